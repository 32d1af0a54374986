"""A project beside ours: the examples of the documentation, small data, trained checkpoints."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import as_new_process
from examples import script, write_examples
from images import write_images

from repnext_mm.__main__ import run_script
from repnext_mm.demo.shapes import generate_shapes


@pytest.fixture(scope='session')
def project(tmp_path_factory) -> Path:
    """The folder of the project, whose configs name data relative to it."""
    folder = tmp_path_factory.mktemp('project')
    write_examples(folder)
    write_images(folder)
    generate_shapes(folder / 'shapes', train=4, val=2)
    return folder


@pytest.fixture(scope='session')
def inside(project) -> Callable[..., None]:
    """Runs a script in the project's folder, and in this process, which saves it the imports."""

    def run(path: Path, *arguments: object) -> None:
        with (
            as_new_process([]),
            pytest.MonkeyPatch.context() as patch,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter('ignore')  # those of other projects are theirs
            patch.chdir(project)
            sys.path.insert(0, '')
            try:
                run_script(str(path), [str(argument) for argument in arguments])
            except SystemExit as end:
                assert not end.code

    return run


@pytest.fixture(scope='session')
def detector(project, inside) -> Path:
    """A checkpoint that mmdet's script wrote."""
    work_dir = project / 'work_dirs' / 'detector'
    inside(script('mmdet', 'train.py'), 'mask_rcnn_repnext.py', '--work-dir', work_dir)
    return work_dir / 'epoch_1.pth'


@pytest.fixture(scope='session')
def segmentor(project, inside) -> Path:
    """A checkpoint that mmseg's script wrote."""
    work_dir = project / 'work_dirs' / 'segmentor'
    inside(script('mmseg', 'train.py'), 'fpn_repnext.py', '--work-dir', work_dir)
    return work_dir / 'iter_2.pth'


@pytest.fixture(scope='session')
def classifier(project, inside) -> Path:
    """A checkpoint that mmpretrain's script wrote."""
    work_dir = project / 'work_dirs' / 'classifier'
    inside(script('mmpretrain', 'train.py'), 'repnext_m1.py', '--work-dir', work_dir)
    return work_dir / 'epoch_1.pth'
