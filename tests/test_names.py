"""One name for one thing, one way to register, and no command-line options in the library."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / 'repnext_mm'
MODULES = sorted(PACKAGE.rglob('*.py'))

OPTION = re.compile(r'(?<![\w-])--[a-z][\w-]+')
OPTIONS_ALLOWED = {
    'launch/command_line.py',  # defines them
    'checks/presence.py',  # says which command makes weights that nobody publishes
    'checks/checkpoint_fit.py',  # remedies are for users of the tools
    'checks/schedule.py',  # the same
    'checks/settings.py',  # the same
    'evaluation/model_zoo.py',  # writes a page for users of the tools
    'analysis/samples.py',  # says which tool writes the file that it reads
    'launch/watching.py',  # defines those of the training tool
    'launch/screen.py',  # defines one
    'launch/details.py',  # says which ones show what is left out
    'launch/allocator.py',  # tells in the log which one undoes what it has done
    'border.py',  # defines the one of every tool
    'compat/packages.py',  # pip's
    'own_data/apply.py',  # says what the log of the training tool means
    'own_data/look_at_images.py',  # says which option names another folder
    'own_data/suggest.py',  # recommends options of the tools, with the reason
    'serve/__main__.py',  # defines its own
    'serve/limits.py',  # says which ones allow more
    'web/__main__.py',  # defines its own
    'web/onnxruntime_web.py',  # npm's
    'doctor/__main__.py',  # defines its own
    'doctor/examination.py',  # pip's
    'doctor/mm_packages.py',  # pip's
    'doctor/numeric.py',  # pip's
    'experiments/commands.py',  # starts the tools
    'experiments/page.py',  # says what was typed
    'experiments/report.py',  # says how a table was made
    'experiments/running.py',  # starts the tools
}
FOR_USERS_OF_ONE_TOOL = ('commands/', 'datasets/')
"""Rooms that define the options, or whose errors are the tool's whole output to a user."""
OF_EVERY_COMMAND = {'main', 'parse_args'}
TWINS = ('networks/repnext_t.py', 'networks/repnext_m.py', 'models/repnext.py')
"""Two files that build the same parts of different networks, under the same names, and the backbone of
torch alone under OpenMMLab's contract, which has its name."""


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def definitions(path: Path) -> Iterator[str]:
    """Public names that a module defines at its top level."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign):
            names = [node.target.id]
        else:
            names = []
        yield from (name for name in names if not name.startswith('_'))


def test_every_public_name_means_one_thing():
    places = defaultdict(list)
    for path in MODULES:
        if name_of(path) in TWINS:
            continue
        for name in definitions(path):
            if path.parent.name != 'commands' or name not in OF_EVERY_COMMAND:
                places[name].append(name_of(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_the_library_speaks_of_arguments_not_of_options():
    found = {}
    for path in MODULES:
        if name_of(path) in OPTIONS_ALLOWED or name_of(path).startswith(FOR_USERS_OF_ONE_TOOL):
            continue
        nodes = ast.walk(ast.parse(path.read_text()))
        constants = (node.value for node in nodes if isinstance(node, ast.Constant))
        texts = [text for text in constants if isinstance(text, str)]
        found[name_of(path)] = [option for text in texts for option in OPTION.findall(text)]
    assert {name: options for name, options in found.items() if options} == {}


def test_classes_are_registered_with_the_one_decorator():
    calls = {
        name_of(path): re.findall(r'\bregister_module\b', path.read_text()) for path in MODULES
    }
    assert {name for name, found in calls.items() if found} == {'registry.py'}
