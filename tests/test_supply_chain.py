"""What is installed where: tested versions, lower bounds, and what hosted machines run."""

import hashlib
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / '.github' / 'workflows').glob('*.yml'))
DISTRIBUTIONS = ('onedl', 'openmmlab')


def pins(name: str) -> dict[str, str]:
    """The versions of a requirements file and of those that it names, by normalized name."""
    found: dict[str, str] = {}
    for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines():
        if line.startswith('-r '):
            found |= pins(line.removeprefix('-r ').removesuffix('.txt'))
        elif '==' in line and not line.startswith('#'):
            package, _, version = line.partition('==')
            found[re.sub(r'[-_.]+', '-', package).lower()] = version
    return found


@pytest.mark.parametrize('distribution', DISTRIBUTIONS)
def test_constraints_are_the_tested_versions(distribution):
    constraints = pins(f'constraints-{distribution}')
    tested = pins(distribution) | pins('dev')
    assert len(constraints) > len(tested) > 15
    differing = {n: (v, constraints.get(n)) for n, v in tested.items() if constraints.get(n) != v}
    assert differing == {}, 'make constraints writes them again'
    others = set(DISTRIBUTIONS) - {distribution}
    foreign = [name for name in constraints if any(name.startswith(f'{o}-') for o in others)]
    assert foreign == [] and 'repnext-mm' not in constraints


@pytest.mark.parametrize('distribution', DISTRIBUTIONS)
def test_tested_versions_are_allowed_by_the_packaging(distribution):
    constraints = pins(f'constraints-{distribution}')
    floors = re.findall(r"'([\w-]+)>=([\d.]+)", (ROOT / 'setup.py').read_text())
    known = [(name, floor) for name, floor in floors if name in constraints]
    assert len(known) > 10
    for name, floor in known:
        numbers = [tuple(map(int, re.findall(r'\d+', v)[:3])) for v in (constraints[name], floor)]
        assert numbers[0] >= numbers[1], name


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_commands_that_exist(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow['permissions'] == {'contents': 'read'}
    makefile = (ROOT / 'Makefile').read_text()
    for job in workflow['jobs'].values():
        steps = [step.get('run', '') for step in job['steps']]
        matrix = job.get('strategy', {}).get('matrix', {})
        for command in steps:
            for target in re.findall(r'\bmake ([\w-]+|\$\{\{ matrix\.target \}\})', command):
                for name in matrix['target'] if target.startswith('$') else [target]:
                    assert re.search(rf'^[\w -]*\b{name}\b[\w -]*:', makefile, re.MULTILINE), name
            for script in re.findall(r'python (\w+/[\w/]+\.py)', command):
                assert (ROOT / script).is_file(), script
        assert all(re.search(r'@v\d', step['uses']) for step in job['steps'] if 'uses' in step)


def test_every_system_and_python_installs_and_runs_what_the_readme_says():
    workflow = yaml.safe_load((ROOT / '.github' / 'workflows' / 'test.yml').read_text())
    matrix = workflow['jobs']['install']['strategy']['matrix']
    assert {name.split('-')[0] for name in matrix['os']} == {'ubuntu', 'macos', 'windows'}
    assert matrix['python'] == ['3.10', '3.11', '3.12', '3.13']
    assert tuple(matrix['extra']) == DISTRIBUTIONS
    readme = (ROOT / 'README.md').read_text()
    assert all(f"pip install '.[{extra}]'" in readme for extra in DISTRIBUTIONS)
    commands = [step.get('run', '') for step in workflow['jobs']['install']['steps']]
    assert 'python -m repnext_mm.doctor' in commands


def test_published_files_can_be_checked_by_their_hashes(tmp_path):
    write_hashes = runpy.run_path(str(ROOT / 'requirements' / 'write_hashes.py'))['write_hashes']
    with pytest.raises(FileNotFoundError, match='nothing in'):
        write_hashes(tmp_path)
    for name in ('b.whl', 'a b.tar.gz'):
        (tmp_path / name).write_text(name)
    for _ in range(2):  # the list does not count itself
        path = write_hashes(tmp_path)
        digests = [hashlib.sha256(name.encode()).hexdigest() for name in ('a b.tar.gz', 'b.whl')]
        assert path.read_text() == f'{digests[0]}  a b.tar.gz\n{digests[1]}  b.whl\n'
    if shutil.which('sha256sum'):
        command = ['sha256sum', '--check', '--quiet', path.name]
        assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
        (tmp_path / 'b.whl').write_text('another')
        changed = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
        assert changed.returncode == 1 and 'b.whl: FAILED' in changed.stdout


def test_a_release_has_hashes_of_all_that_it_publishes():
    makefile = (ROOT / 'Makefile').read_text()
    recipe = makefile.split('\nrelease:')[1].split('\n\n')[0]
    steps = [
        '-m build --outdir dist',
        'constraints-*.txt dist/',
        'requirements/write_hashes.py dist',
    ]
    assert [step for step in steps if step not in recipe] == []
    assert recipe.rstrip().endswith(steps[-1])
    manifest = (ROOT / 'MANIFEST.in').read_text().splitlines()
    assert 'SECURITY.md' in manifest[0].split() and 'prune tests' in manifest
