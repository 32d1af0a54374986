"""``repnext-mm run`` from beginning to end on generated images, and the page that it leaves."""

import json
import re
from html.parser import HTMLParser

import pytest
from commands import ROOT

from repnext_mm.experiments.page import metric_scales, result_table, write_run_page

OPTIONS = [
    'model.backbone.arch.channels=[8,8,8]',
    'model.head.in_channels=8',
    'train_dataloader.batch_size=10',
    'train_cfg.max_epochs=1',
    'param_scheduler=None',
    'default_hooks.logger.interval=1',
]
VOID = ('meta', 'img', 'br')


class Page(HTMLParser):
    """The tags, attributes and texts of a page; tags that are not closed are an error."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.sources, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.sources += [(tag, value) for name, value in attrs if name in ('src', 'href')]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def check_self_contained(text: str) -> Page:
    page = Page(text)
    assert all(tag == 'img' and source.startswith('data:image/') for tag, source in page.sources)
    assert 'url(' not in text and '@import' not in text and '<script' not in text
    return page


def test_chain_runs_once_and_leaves_a_page(tools_inside, tmp_path):
    work_dir = tmp_path / 'work'
    command = ['run.py', ROOT / 'configs/small/repnext_slim_cifar10.py', '--work-dir', work_dir]
    command += ['--rounds', 1, '--images', 2, '--cfg-options', *OPTIONS]
    result = tools_inside(*command)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    data = json.loads((work_dir / 'results.json').read_text())
    (row,) = data['rows'].values()
    steps = row['seeds']['0']
    assert {step['status'] for step in steps.values()} == {'done'}
    forms = {'training', 'fused', 'plain'} & set(row['sizes'])
    assert set(row['speed']) == {*forms, 'onnx', 'int8'}
    text = (work_dir / 'report.html').read_text()
    page = check_self_contained(text)
    for word in ('training form', 'ONNX file', 'INT8 file', 'top-1 accuracy'):
        assert word in page.texts
    assert len([tag for tag, _ in page.sources]) == 1 + 6  # curves, and test images
    assert f'repnext-mm train {command[1]}' in text and 'repnext-mm quantize' in text

    again = tools_inside(*command)
    assert again.returncode == 2 and '--resume goes on with it' in again.stderr
    at = command.index('--rounds')
    again = tools_inside(*command[:at], '--resume', *command[at:])
    assert again.returncode == 0 and 'step ' not in again.stdout and 'measuring' not in again.stdout


def test_a_failing_step_is_told_with_its_reason_and_there_is_a_page(tools_inside, tmp_path):
    work_dir = tmp_path / 'work'
    command = ['run.py', 'small/repnext_slim_cifar10', '--work-dir', work_dir, '--skip', 'export']
    result = tools_inside(*command, '--cfg-options', *OPTIONS[:3], 'train_cfg.max_epochs=many')
    assert result.returncode == 1 and 'train failed' in result.stdout and 'many' in result.stdout
    page = check_self_contained((work_dir / 'report.html').read_text())
    assert any('many' in text for text in page.texts)


ROW = dict(
    sizes=dict(training=dict(parameters=1_000_000)),
    speed=dict(training=dict(images_per_second=10.0, spread=[8.0, 12.5])),
    seeds={},
)


def test_table_has_percent_and_milliseconds():
    steps = {'test training': dict(status='done', metrics={'coco/bbox_mAP': 0.5, 'other': 1.0})}
    scales = metric_scales(steps)
    assert scales == {'coco/bbox_mAP': 100.0}
    (row,) = result_table(ROW, steps, scales)
    assert (row['box AP'].text, row['ms per image'].text) == ('50.00', '100.0')
    assert row['5 % to 95 %'] == '80.0 to 125.0'
    assert metric_scales({'test training': dict(metrics={'other': 1.0})}) == {'other': 1.0}


def test_names_and_reasons_cannot_change_the_page(tmp_path):
    bad = '<script src="http://x.org/x.js"></script>'
    steps = {'train': dict(status='failed', reason=bad, command=f'repnext-mm train {bad}')}
    data = dict(rows={bad: dict(ROW, seeds={'0': steps})}, speed={})
    check_self_contained(write_run_page(data, tmp_path, [bad], 1))


@pytest.mark.parametrize(
    'arguments', [['--skip', 'train'], ['--launcher', 'pytorch'], ['--rounds', 0]]
)
def test_wrong_arguments_are_told(arguments, tools_inside, tmp_path):
    result = tools_inside(
        'run.py', 'small/repnext_slim_cifar10', '--work-dir', tmp_path, *arguments
    )
    assert result.returncode == 2 and re.search('--skip|--launcher|--rounds', result.stderr)
