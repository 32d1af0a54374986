"""The command-line tools as a user runs them, on generated data."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from commands import CONFIG, ROOT, SLIM, TOOLS, call, run_inside, test, train
from mmengine.config import Config

from repnext_mm.integrity import not_finite
from repnext_mm.reparam import fastest


@pytest.mark.distribution
def test_training_writes_checkpoints_and_resumes_from_the_last(data, checkpoint, tmp_path):
    options = ['--cfg-options', *SLIM, 'train_cfg.max_iters=3']
    result = run_inside('train.py', CONFIG, '--work-dir', tmp_path, *options, data=data)
    assert result.returncode == 0, result.stderr[-3000:]
    train(data, tmp_path, 6, '--resume')
    assert (tmp_path / 'last_checkpoint').read_text().endswith('iter_6.pth')
    resumed, whole = (
        torch.load(path, weights_only=True) for path in (tmp_path / 'iter_6.pth', checkpoint)
    )
    assert resumed['meta']['iter'] == whole['meta']['iter'] == 6
    assert list(resumed['state_dict']) == list(whole['state_dict'])
    assert any('token_mixer.branches' in key for key in resumed['state_dict'])
    for key in ('param_groups', 'state'):
        assert len(resumed['optimizer'][key]) == len(whole['optimizer'][key]) > 0
    steps = {int(state['step']) for state in resumed['optimizer']['state'].values()}
    rates = [[group['lr'] for group in c['optimizer']['param_groups']] for c in (resumed, whole)]
    assert steps == {6} and rates[0] == rates[1]


@pytest.mark.distribution
def test_forms_give_equal_metrics_and_predictions(data, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(fastest, 'fastest', lambda timings: 'plain, channels-last')
    low = ['--cfg-options', 'model.test_cfg.rcnn.score_thr=0.0', *SLIM]
    reports, predictions = {}, {}
    for form in ('training', 'fused', 'auto'):
        work_dir, out = tmp_path / form, tmp_path / f'{form}.pkl'
        command = ['test.py', CONFIG, checkpoint, '--form', form, '--out', out]
        result = run_inside(*command, '--work-dir', work_dir, *low, data=data)
        assert result.returncode == 0, result.stderr[-3000:]
        chosen = dict(fused="form 'fused'", auto="form 'plain, channels-last'").get(form)
        merged = f'Evaluating a merged copy, {chosen}' in result.stdout
        assert merged == (form != 'training')
        reports[form] = json.loads((work_dir / 'metrics.json').read_text())
        predictions[form] = pickle.loads(out.read_bytes())
    assert reports['training']['form'] == 'training' and len(reports['training']['metrics']) == 12
    choice = reports['auto']['choice']
    assert (choice['form'], choice['layout']) == ('plain', 'channels-last')
    assert reports['auto']['form'] == 'plain' and reports['fused']['choice'] is None
    for form in ('fused', 'auto'):
        for key, value in reports['training']['metrics'].items():
            assert reports[form]['metrics'][key] == pytest.approx(value, abs=1e-3)
        for ours, theirs in zip(predictions[form], predictions['training'], strict=True):
            expected, actual = theirs['pred_instances'], ours['pred_instances']
            assert len(expected['scores']) == len(actual['scores']) > 5
            ranked = [instances['scores'].sort().values for instances in (actual, expected)]
            torch.testing.assert_close(*ranked, atol=1e-4, rtol=0)
            # Equal scores may change places, so each box is looked up among all.
            distances = torch.cdist(expected['bboxes'], actual['bboxes'], p=torch.inf)
            assert distances.min(1).values.max() < 0.1


@pytest.mark.filterwarnings('ignore:__array_wrap__')  # mmdet's visualizer, NumPy 2
def test_tta_and_pictures(data, checkpoint, tmp_path):
    report = test(data, checkpoint, tmp_path, '--tta', '--show-dir', tmp_path / 'pictures')
    assert report['tta'] and report['form'] == 'fused'
    assert all('bbox' in key for key in report['metrics'])
    assert len(list((tmp_path / 'pictures').glob('*.png'))) == 6


# Notes which process writes which checkpoint, and which threads of gloo are left at its end.
WITNESS = """
import atexit
import os
from pathlib import Path
from mmengine.fileio import LocalBackend

write = LocalBackend.put

def put(self, content, path):
    with Path(os.environ['WITNESS']).open('a') as file:
        file.write(os.environ['RANK'] + ' ')
    write(self, content, path)

def note_threads():
    names = [path.read_text() for path in Path('/proc/self/task').glob('*/comm')]
    left = sum('gloo' in name for name in names)
    with Path(os.environ['WITNESS'] + '_threads').open('a') as file:
        file.write(f'{left} of gloo, ')

LocalBackend.put = put
atexit.register(note_threads)  # before the tool registers anything, thus run after it
"""


def test_the_script_for_tests_starts_the_processes_of_torch():
    """What they do is that of test_slurm.py, where two of them test like one."""
    command = [TOOLS / 'dist_test.sh', 'a b.py', 'c.pth', 2, '--tta']
    result = call(command, PYTHON='echo', PORT='29611')
    start = '-m torch.distributed.run --nnodes=1 --node_rank=0 --nproc_per_node=2'
    address = '--master_addr=127.0.0.1 --master_port=29611'
    run = f'{TOOLS}/test.py --launcher pytorch a b.py c.pth --tta'
    assert (result.returncode, result.stdout) == (0, f'{start} {address} {run}\n')


def test_two_processes_train(data, tmp_path):
    (tmp_path / 'witness.py').write_text(WITNESS)
    config = tmp_path / 'config.py'
    imports = "custom_imports = dict(imports=['repnext_mm', 'witness'])"
    config.write_text(f"_base_ = '{CONFIG}'\n{imports}\n")
    command = [TOOLS / 'dist_train.sh', config, 2, '--work-dir', tmp_path / 'train']
    options = ['--cfg-options', *SLIM, 'train_cfg.max_iters=3']
    places = f'{tmp_path}{os.pathsep}{ROOT}'
    environment = dict(PYTHONPATH=places, WITNESS=str(tmp_path / 'writers'), PORT='29612')
    result = call([*command, *options], data, **environment)
    assert result.returncode == 0, result.stderr[-3000:]
    assert [path.name for path in (tmp_path / 'train').glob('*.pth')] == ['iter_3.pth']
    assert (tmp_path / 'writers').read_text() == '0 '
    assert (tmp_path / 'writers_threads').read_text() == '0 of gloo, 0 of gloo, '
    assert 'batch norms are not synchronized' in result.stdout + result.stderr


def test_config_hook_is_replaced_by_the_command_line(data, checkpoint, tmp_path):
    hook = "custom_hooks=[dict(type='repnext_mm.ReparameterizeHook',form='plain')]"
    path = tmp_path / 'config.py'
    resumed = "resume = True\nload_from = 'gone.pth'"  # as a resumed training leaves its config
    path.write_text(f"_base_ = '{CONFIG}'\n{hook}\n{resumed}\n")
    command = ['test.py', path, checkpoint, '--form', 'fused', '--work-dir', tmp_path / 'run']
    result = run_inside(*command, '--cfg-options', *SLIM, data=data)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "form 'fused'" in result.stdout and "form 'plain'" not in result.stdout


def test_errors_come_early_and_say_what_to_do(data, checkpoint, tmp_path):
    coco = ROOT / 'configs' / 'mask_rcnn_repnext_tiny_coco.py'
    best = 'default_hooks.checkpoint.save_best=bbox_mAP'
    old = ['--work-dir', tmp_path, '--cfg-options', best, 'lr_config.policy=step']
    for arguments, words in (
        (['train.py', coco], ['instances_train2017.json', 'cocodataset.org', 'COCO_ROOT']),
        (['train.py', 'missing.py'], ["'missing.py'"]),
        (['train.py', CONFIG, *old], ["'coco/bbox_mAP'", 'lr_config', 'param_scheduler']),
        (['test.py', CONFIG, 'missing.pth'], ["'missing.pth'"]),
        (['test.py', CONFIG, checkpoint, '--out', 'x.json'], ['.pkl', "'x.json'"]),
        (['test.py', CONFIG, checkpoint, '--form', 'merged'], ["'merged'", 'fused', 'plain']),
    ):
        result = run_inside(*arguments, data=data, COCO_ROOT=tmp_path)
        assert result.returncode != 0
        assert all(word in result.stderr for word in words), result.stderr[-2000:]


def test_a_training_that_diverges_fails_and_keeps_its_last_finite_checkpoint(data, tmp_path):
    options = [
        *SLIM,
        'default_hooks.checkpoint.interval=1',
        'default_hooks.checkpoint.max_keep_ckpts=1',
    ]
    options += ['optim_wrapper.optimizer.lr=1e30', 'param_scheduler=None', 'train_cfg.max_iters=5']
    command = ['train.py', CONFIG, '--work-dir', tmp_path, '--cfg-options', *options]
    result = run_inside(*command, data=data)
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    assert 'NotFiniteError: the loss is not finite at iteration 2' in result.stderr
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_1.pth']
    assert not not_finite(torch.load(tmp_path / 'iter_1.pth', weights_only=True)['state_dict'])
    again = run_inside(*command, '--resume', data=data)
    assert again.returncode == 1 and f'Resuming from {tmp_path / "iter_1.pth"}' in again.stdout


def test_weights_of_heads_that_are_not_finite_are_named(data, checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    name = next(name for name in content['state_dict'] if name.startswith('roi_head.mask_head'))
    content['state_dict'][name].view(-1)[3] = float('nan')
    bad, merged = tmp_path / 'bad.pth', tmp_path / 'merged.pth'
    torch.save(content, bad)
    tested = ['test.py', CONFIG, bad, '--work-dir', tmp_path / 'run']
    for command in (tested, ['reparameterize.py', CONFIG, bad, merged]):
        result = run_inside(*command, '--cfg-options', *SLIM, data=data)
        assert result.returncode in (1, 2) and 'Traceback' not in result.stderr
        assert str(bad) in result.stderr and f'the first is {name!r}' in result.stderr
    assert not merged.exists() and not (tmp_path / 'run' / 'metrics.json').exists()


class Payload:
    """Unpickling it leaves a trace."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_checkpoint_with_code_in_it_is_refused(data, checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    trace = tmp_path / 'code_ran'
    torch.save(content | dict(payload=Payload(trace)), tmp_path / 'evil.pth')
    command = ['test.py', CONFIG, tmp_path / 'evil.pth', '--work-dir', tmp_path / 'run']
    result = run_inside(*command, '--cfg-options', *SLIM, data=data)
    assert result.returncode != 0 and 'evil.pth cannot be loaded' in result.stderr
    assert 'pathlib.Path was not an allowed global' in result.stderr
    assert 'weights_only' not in result.stderr  # torch's advice to run the code
    assert not trace.exists()


@pytest.mark.distribution
def test_folders_of_data_and_work_may_have_any_name(data, tmp_path):
    place = tmp_path / 'it\'s "mine", \\back'
    place.mkdir()
    (place / 'my shapes').symlink_to(data)
    train(place / 'my shapes', place / 'work dir', 1)
    assert (place / 'work dir' / 'iter_1.pth').is_file()
    written = Config.fromfile(place / 'work dir' / CONFIG.name)
    assert written.data_root == str(place / 'my shapes')
    assert written.work_dir == str(place / 'work dir')


@pytest.mark.parametrize(
    'command',
    [('test.py', CONFIG, 'model.pt2'), ('benchmark.py', CONFIG, '--exported', 'model.pt2')],
    ids=['test', 'benchmark'],
)
def test_programs_are_opened_only_when_trusted(command, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('model.pt2').write_text('no archive')
    options = ['--work-dir', tmp_path / 'work', '--cfg-options', *SLIM]
    refused = run_inside(*command, *options, data=data)
    assert refused.returncode == 2 and 'model.pt2 can run code' in refused.stderr
    assert 'say --trust-file' in refused.stderr
    trusted = run_inside(*command, '--trust-file', *options, data=data)
    assert trusted.returncode and 'model.pt2 cannot be opened' in trusted.stderr
