"""Experiments as config files: those of the repository, and mistakes in them."""

from pathlib import Path

import pytest
from commands import ROOT

from repnext_mm.configs.rows import ROWS
from repnext_mm.experiments.specification import Column, Experiment, ExperimentRow, read_experiment

AUTHORS = (
    'imagenet', 'imagewoof', 'cifar100', 'coco_mask_rcnn', 'coco_cascade', 'ade20k_upernet'
)  # fmt: skip
FILES = sorted((ROOT / 'configs' / 'experiments').glob('*.py'))


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_experiments_of_the_repository_can_be_read(path):
    experiment = read_experiment(path)
    assert experiment.name == path.stem and experiment.metrics
    titles = {column.title for column in experiment.columns}
    for row in experiment.rows:
        assert row.config is None or Path(row.config).is_file()
        assert set(row.published) <= titles
        assert row.backbone is None or row.backbone in ROWS
        assert row.config or path.stem not in AUTHORS, row.name


def test_every_experiment_is_documented_and_every_small_recipe_is_in_one():
    page = (ROOT / 'docs' / 'experiments.md').read_text()
    for path in FILES:
        assert f'](../{path.relative_to(ROOT).as_posix()})' in page, path
    used = {Path(row.config or '').name for path in FILES for row in read_experiment(path).rows}
    assert {path.name for path in (ROOT / 'configs' / 'small').glob('*.py')} <= used


def write(path, **changes):
    given = dict(
        title='T',
        columns=[dict(title='model', value='name')],
        rows=[dict(name='a', config='c.py')],
        shape=(8, 8),
    )
    path.with_name('c.py').write_text('')
    values = {key: value for key, value in (given | changes).items() if value is not None}
    path.write_text('\n'.join(f'{key} = {value!r}' for key, value in values.items()))
    return path


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(seed=3), 'may have .*seeds.*; got .*seed'),
        (dict(shape=None), 'needs title, columns, rows and shape'),
        (dict(rows=[dict(name='a', conifg='c.py')]), 'unknown conifg in .*; choose from .*config'),
        (dict(rows=[dict(name='a/b', config='c.py')]), "'a/b' cannot name a folder"),
        (
            dict(rows=[dict(name='a', config='c.py', options={'b': dict(c=1)})]),
            "'b' is a dict.*b.NAME",
        ),
        (dict(rows=[dict(name='a')]), 'neither config nor published'),
        (dict(rows=[dict(name='a', backbone='resnet18')]), 'changes a config and names none'),
        (dict(rows=[dict(name='a', config='c.py')] * 2), "twice there: \\['a'\\]"),
        (dict(forms=['merged']), "unknown form 'merged'"),
        (dict(forms=['plain']), "table_form='training' is not among"),
        (dict(files=['int8']), 'files must be'),
        (dict(columns=[]), 'needs rows and columns'),
        (dict(seeds=[]), 'needs a seed'),
    ],
)
def test_mistakes_are_named_with_what_is_allowed(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read_experiment(write(tmp_path / 'e.py', **changes))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='configs/experiments'):
        read_experiment(tmp_path / 'none.py')
    path = write(tmp_path / 'e.py', rows=[dict(name='a', config='none.py')])
    with pytest.raises(FileNotFoundError, match=r"row 'a' of .*: there is no config 'none.py'"):
        read_experiment(path)


def test_rows_are_chosen_in_the_order_of_the_table():
    rows = [ExperimentRow(name, 'x.py') for name in 'abc']
    experiment = Experiment('e', 'T', [Column('model', 'name')], rows, (8, 8))
    assert experiment.choose(None) == rows
    assert [row.name for row in experiment.choose(['c', 'a'])] == ['a', 'c']
    with pytest.raises(ValueError, match="e has no row 'd': choose from a, b, c"):
        experiment.choose(['d'])
