"""Curves are what was logged, in the order of iterations, whatever was killed and resumed."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from repnext_mm.visualization.curves import (
    draw_curves,
    main_metrics,
    read_curves,
    scalar_files,
    smoothed,
    write_curves,
)


def write(path, rows, end=''):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(map(json.dumps, rows)) + '\n' + end, encoding='utf-8')
    return path


def step(number, loss, **more):
    return (
        dict(lr=0.1, loss=loss, loss_mask=loss / 2, acc=9.0, time=1.0, iter=number, step=number)
        | more
    )


def validation(number, **metrics):
    return dict(metrics, time=0.1, data_time=0.1, step=number)


def test_lines_are_told_apart_and_a_broken_one_is_left_out(tmp_path):
    rows = [
        step(20, 2.0),
        step(40, 1.0),
        validation(40, **{'coco/bbox_mAP': 0.5, 'coco/bbox_mAP_l': -1.0}),
    ]
    curves = read_curves([write(tmp_path / 'scalars.json', rows, '{"lr": 0.1, "lo')])
    assert list(curves.losses) == ['loss', 'loss_mask'] and list(curves.rates) == ['lr']
    assert curves.losses['loss'].steps.tolist() == [20, 40]
    assert curves.metrics['coco/bbox_mAP'].values.tolist() == [0.5]
    assert np.isnan(curves.metrics['coco/bbox_mAP_l'].values).all()


def test_two_starts_in_one_second_share_a_file_and_the_later_one_counts(tmp_path):
    rows = [step(1, 3.0), step(2, 2.0), validation(2, mIoU=7.0), step(1, 0.3), step(2, 0.2)]
    curves = read_curves([write(tmp_path / 'scalars.json', rows)])
    assert curves.losses['loss'].values.tolist() == [0.3, 0.2] and not curves.metrics


def test_a_resumed_training_goes_on_from_its_checkpoint(tmp_path):
    # Killed at 60, and resumed from 30.
    write(tmp_path / '20260101_000000/vis_data/scalars.json', [step(n, n) for n in (20, 40, 60)])
    later = [step(40, 0.4), validation(50, mIoU=7.0), step(60, 0.6)]
    write(tmp_path / '20260102_000000/vis_data/scalars.json', later)
    curves = read_curves(scalar_files(tmp_path))
    assert curves.losses['loss'].steps.tolist() == [20, 40, 60]
    assert curves.losses['loss'].values.tolist() == [20, 0.4, 0.6]
    assert curves.metrics['mIoU'].steps.tolist() == [50]


def test_validations_of_epochs_stand_at_the_iteration(tmp_path):
    rows = [
        step(50, 2.0, epoch=1),
        validation(1, top1=3.0),
        step(100, 1.0, epoch=2),
        validation(2, top1=4.0),
    ]
    assert read_curves([write(tmp_path / 'a', rows)]).metrics['top1'].steps.tolist() == [50, 100]


def test_smoothing_keeps_a_constant_and_bridges_what_is_not_finite():
    assert smoothed(np.full(100, 3.0)) == pytest.approx(np.full(100, 3.0))
    noisy = np.array([0.0, 1.0] * 50)
    noisy[31] = math.nan
    means = smoothed(noisy)
    assert np.isfinite(means).all() and means.std() < noisy[~np.isnan(noisy)].std() / 2


def test_main_metrics():
    names = ['coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/segm_mAP', 'aAcc', 'mIoU', 'accuracy/top1']
    assert main_metrics(names) == ['coco/bbox_mAP', 'coco/segm_mAP', 'mIoU', 'accuracy/top1']
    assert main_metrics(['a', 'b']) == ['a'] and main_metrics([]) == []


def test_a_panel_for_each_kind_the_total_boldest_and_a_short_legend(tmp_path):
    terms = {f'd{number}.loss': 0.5 for number in range(40)}
    rows = [step(10, 300.0, **terms), step(20, 1.0, **terms), validation(20, mIoU=5.0)]
    figure = draw_curves([write(tmp_path / 'a', rows)])
    loss, rate, metrics = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == ['loss', 'learning rate', 'validation']
    widths = {line.get_label(): line.get_linewidth() for line in loss.lines}
    assert widths['loss'] == max(widths.values()) > widths['loss_mask'] or 'loss_mask' not in widths
    assert len(loss.lines) == 43 and len(loss.get_legend().texts) <= 15
    assert loss.get_yscale() == 'log' and rate.get_yscale() == 'linear' and len(metrics.lines) == 1


def test_a_picture_is_written_when_there_is_a_curve(tmp_path):
    path = tmp_path / 'run/curves.png'
    assert not write_curves([write(tmp_path / 'a', [])], path) and not path.exists()
    for rows in ([step(10, 1.0)], [step(10, 1.0), step(20, math.nan)]):
        assert write_curves([write(tmp_path / 'a', rows)], path)
        with Image.open(path) as drawn:
            assert min(drawn.size) > 300
            assert np.unique(np.asarray(drawn.convert('L'))).size > 20
    with pytest.raises(FileNotFoundError):
        write_curves([tmp_path / 'none'], path)
