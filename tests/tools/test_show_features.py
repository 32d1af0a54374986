"""The tool that shows what a network computes, as a user runs it."""

import cv2
import pytest
from commands import CONFIG, SLIM


def test_pictures_of_a_detector_are_written_for_every_form(inside, data, checkpoint, tmp_path):
    pytest.importorskip('pytorch_grad_cam')
    picture = sorted((data / 'val').iterdir())[0]
    pages = {}
    for form in ('training', 'plain'):
        arguments = ['--output', tmp_path / form, '--form', form, '--channels', 2]
        arguments += ['--cam', '--object', 0, '--score-threshold', 0]
        arguments += ['--branches', '0.0', '2.1'] if form == 'training' else []
        command = ['show_features.py', CONFIG, checkpoint, picture, *arguments]
        result = inside(*command, '--cfg-options', *SLIM[:2], SHAPES_ROOT=data)
        assert result.returncode == 0, result.stderr[-3000:]
        files = {
            p.parent.relative_to(tmp_path / form).as_posix(): p
            for p in tmp_path.joinpath(form).rglob('*.png')
        }
        pages[form] = {place: cv2.imread(str(path)) for place, path in files.items()}
    assert set(pages['training']) == {'features', 'cam', 'branches/0.0', 'branches/2.1'}
    assert set(pages['plain']) == {'features', 'cam'}
    for place, page in pages['plain'].items():
        difference = cv2.absdiff(page, pages['training'][place])
        assert page.std() > 20 and (difference > 8).mean() < 0.01


def test_what_does_not_fit_is_refused(inside, data, checkpoint, tmp_path):
    picture = sorted((data / 'val').iterdir())[0]
    base = [CONFIG, checkpoint, picture, '--output', tmp_path / 'out']
    for arguments, message in (
        (['--form', 'fused', '--branches', '0.0'], 'a merged network has no branches'),
        (['--branches', 'first'], "'first' is not STAGE.BLOCK"),
        (['--classes', 'disk'], 'are for --cam'),
        (['--channels', 0], '--channels is at least 1'),
    ):
        result = inside('show_features.py', *base, *arguments, SHAPES_ROOT=data)
        assert result.returncode == 2 and message in result.stderr, result.stderr[-500:]
    assert not (tmp_path / 'out').exists()
