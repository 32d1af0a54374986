"""The commands of ``repnext-mm``: their names, their modules, and one line about each."""

from typing import NamedTuple

ROOM = 'repnext_mm.commands'


class Command(NamedTuple):
    """A command, which is imported when it is asked for."""

    module: str
    help: str
    """One line, in small letters, as argparse's help texts are."""

    function: str = 'main'
    """Returns the exit status, None for 0; takes the arguments of ``sys.argv``."""

    is_light: bool = False
    """Whether it needs neither torch nor the mm packages, and so works where they are broken."""


COMMANDS = {
    'run': Command(
        f'{ROOM}.run', 'the whole chain: train, test, export, quantize, a page about it'
    ),
    'train': Command(f'{ROOM}.train', 'train a detector, segmentor or classifier'),
    'test': Command(f'{ROOM}.test', 'test a checkpoint, in any form, or an exported file'),
    'analyze': Command(
        f'{ROOM}.analyze', 'classes, sizes, errors, thresholds and images behind a test'
    ),
    'predict': Command(f'{ROOM}.predict', 'find out what is in images and videos'),
    'export': Command(
        f'{ROOM}.export', 'write a trained model as a file of ONNX, OpenVINO, Core ML ...'
    ),
    'serve': Command(
        'repnext_mm.serve.__main__',
        'serve an exported file over HTTP, with a page',
        'run_service',
        True,
    ),
    'web': Command(
        'repnext_mm.web.__main__',
        'write a page that runs an exported file in the browser',
        'run_packing',
        True,
    ),
    'quantize': Command(f'{ROOM}.quantize', 'make an ONNX file one of 8 bits'),
    'check': Command(f'{ROOM}.check_dataset', 'look for trouble in the data of a config'),
    'check-target': Command(
        f'{ROOM}.check_target', 'say whether TensorRT or OpenCV takes an ONNX file'
    ),
    'convert': Command(f'{ROOM}.convert_dataset', 'convert a data set of another format'),
    'features': Command(
        f'{ROOM}.show_features', 'draw feature maps, branches and class activation'
    ),
    'merge': Command(f'{ROOM}.reparameterize', 'merge the branches in a checkpoint'),
    'convert-checkpoint': Command(f'{ROOM}.convert_checkpoint', 'convert one of another layout'),
    'prune': Command(f'{ROOM}.prune', 'remove channels of a trained network'),
    'benchmark': Command(f'{ROOM}.benchmark', 'measure speed and memory'),
    'formats': Command(
        f'{ROOM}.compare_formats', 'export to every format, and compare size, difference and speed'
    ),
    'experiment': Command(f'{ROOM}.experiment', 'fill a table of several configs'),
    'prepare': Command(f'{ROOM}.prepare_data', 'prepare a small published data set'),
    'configs': Command(f'{ROOM}.configs', 'list the configs that are installed', is_light=True),
    'doctor': Command(
        'repnext_mm.doctor.__main__',
        'say what is wrong with the installed packages',
        'run_doctor',
        True,
    ),
}

TOOLS = {
    command.module.rpartition('.')[2]: name
    for name, command in COMMANDS.items()
    if command.module.startswith(ROOM)
}
"""The commands by the names that their files have, and those in ``tools``: they are known too."""
