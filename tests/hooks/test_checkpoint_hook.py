"""At each moment of a training, a killed process leaves a complete checkpoint."""

import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from interrupted import differences, read, runner
from mmengine.fileio import LocalBackend
from mmengine.hooks import EMAHook
from runners import Logits, RandomImages, loader

from repnext_mm.files import DRAFT
from repnext_mm.hooks import SafeCheckpointHook
from repnext_mm.hooks.checkpoint_hook import WholeFileBackend
from repnext_mm.training.resume import latest_checkpoint

pytestmark = pytest.mark.distribution


class Rising(Logits):
    """A score that each validation improves, so that each checkpoint is the best."""

    rounds = 0

    def compute_metrics(self, results):
        self.rounds += 1
        return dict(acc=float(self.rounds))


def validated(**checkpoint) -> dict:
    """Options of a run that keeps its best checkpoint."""
    return dict(
        train_cfg=dict(by_epoch=True, max_epochs=3, val_interval=1),
        val_dataloader=loader(RandomImages()),
        val_cfg=dict(),
        val_evaluator=[Rising()],
        checkpoint=dict(save_best='test/acc') | checkpoint,
    )


def names(folder: Path) -> list[str]:
    """The files of a folder, but for the config that mmengine writes there."""
    files = (path for path in folder.iterdir() if path.is_file())
    return sorted(path.name for path in files if path.suffix != '.py')


WATCHERS: list[Callable] = []


def _audit(event: str, arguments: tuple) -> None:
    # One hook for all tests, since Python offers no way to take one away.
    if WATCHERS and event in ('open', 'os.rename', 'os.remove', 'os.rmdir', 'os.truncate'):
        watcher = WATCHERS.pop()
        try:
            watcher(event, arguments)
        finally:
            WATCHERS.append(watcher)


sys.addaudithook(_audit)


@contextmanager
def watching(watcher: Callable) -> Iterator[None]:
    """Calls a function with the name and the path of each change of a file, before it happens."""

    def watch(event: str, arguments: tuple) -> None:
        writes = event != 'open' or 'w' in str(arguments[1]) or 'a' in str(arguments[1])
        place = arguments[1] if event == 'os.rename' else arguments[0]
        if writes and isinstance(place, str | Path):
            watcher(event, Path(place))

    WATCHERS.append(watch)
    try:
        yield
    finally:
        WATCHERS.remove(watch)


def broken_promises(work_dir: Path, event: str, path: Path) -> Iterator[str]:
    """What a kill at this moment, or in the middle of this change, would leave broken."""
    if event == 'open' and path.suffix == '.pth':
        yield f'{path.name} is written in place'
    pointer = work_dir / 'last_checkpoint'
    if event == 'open' and path == pointer:
        yield 'last_checkpoint is written in place'
    if list(work_dir.glob('epoch_*.pth')) and pointer.exists():
        last = Path(pointer.read_text())
        if not zipfile.is_zipfile(last):
            yield f'last_checkpoint names {last.name}, which is missing or incomplete'
            return
        best = read(last)['message_hub']['runtime_info'].get('best_ckpt')
        if best and not zipfile.is_zipfile(best):
            yield f'{last.name} names {Path(best).name}, which is missing or incomplete'


@pytest.mark.parametrize('keep', [1, 2, -1])
@pytest.mark.parametrize('hook', ['repnext_mm.SafeCheckpointHook', 'CheckpointHook'])
def test_last_checkpoint_names_a_complete_one_at_each_moment(hook, keep, tmp_path):
    broken, changes = set(), []

    def look(event: str, path: Path) -> None:
        if path.parent == tmp_path:
            changes.append(event)
            broken.update(broken_promises(tmp_path, event, path))

    with watching(look):
        runner(tmp_path, **validated(type=hook, max_keep_ckpts=keep)).train()
    if hook == 'CheckpointHook':
        # So the promises can be broken: by a kill in any of the changes.
        assert {'last_checkpoint is written in place', 'epoch_3.pth is written in place'} <= broken
        assert any('names best_test_acc' in text for text in broken)
        assert any('last_checkpoint names' in text for text in broken) == (keep == 1)
        return
    assert broken == set() and {'os.rename', 'os.remove'} <= set(changes)
    kept = range(1 if keep < 0 else 4 - keep, 4)
    expected = [f'epoch_{step}.pth' for step in kept] + ['best_test_acc_epoch_3.pth']
    assert names(tmp_path) == sorted([*expected, 'last_checkpoint'])
    hub = read(tmp_path / 'epoch_3.pth')['message_hub']['runtime_info']
    assert hub['last_ckpt'] == str(tmp_path / 'epoch_3.pth')
    assert hub['best_ckpt'] == str(tmp_path / 'best_test_acc_epoch_3.pth')
    assert hub.get('keep_ckpt_ids') == (None if keep < 0 else list(kept))


class Killed(BaseException):
    """Ends a training from outside; nothing that expects errors sees it."""


@pytest.mark.parametrize(
    ('keep', 'victim'), [(1, 'epoch_1.pth'), (1, 'epoch_2.pth'), (2, 'epoch_1.pth')]
)
def test_resumed_run_deletes_what_the_killed_one_did_not(keep, victim, tmp_path):
    def kill(event: str, path: Path) -> None:
        if event == 'os.remove' and path.name == victim:
            raise Killed

    options = dict(checkpoint=dict(max_keep_ckpts=keep))
    with pytest.raises(Killed), watching(kill):
        runner(tmp_path, **options).train()
    assert victim in names(tmp_path)
    latest = latest_checkpoint(tmp_path)
    assert latest == str(tmp_path / f'epoch_{int(victim[6]) + keep}.pth')
    runner(tmp_path, **options, resume=True, load_from=latest).train()
    kept = [f'epoch_{step}.pth' for step in range(4 - keep, 4)]
    assert names(tmp_path) == [*kept, 'last_checkpoint']


def test_failure_while_writing_leaves_the_old_checkpoint_and_no_draft(tmp_path, monkeypatch):
    whole = LocalBackend.put

    def put(self, content: bytes, path: Path) -> None:
        if 'epoch_2' in Path(path).name:
            whole(self, content[: len(content) // 2], path)
            raise OSError('no space left on device')
        whole(self, content, path)

    monkeypatch.setattr(LocalBackend, 'put', put)
    with pytest.raises(OSError, match='no space left'):
        runner(tmp_path, checkpoint=dict(max_keep_ckpts=1)).train()
    assert names(tmp_path) == ['epoch_1.pth', 'last_checkpoint']
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_1.pth')
    assert read(tmp_path / 'epoch_1.pth')['meta']['epoch'] == 1


def test_drafts_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    work_dir, out_dir = tmp_path / 'run', tmp_path / 'out'
    for folder in (work_dir, out_dir / 'run'):
        folder.mkdir(parents=True)
        for name in ('.cache.123.tmp', 'notes.txt'):
            (folder / name).touch()
        (folder / f'{DRAFT}1').mkdir()
        (folder / f'{DRAFT}1' / 'epoch_1.pth').touch()
    (work_dir / f'{DRAFT}2').symlink_to(tmp_path / 'out')
    runner(work_dir, checkpoint=dict(out_dir=out_dir, max_keep_ckpts=1)).train()
    assert names(work_dir) == ['.cache.123.tmp', 'last_checkpoint', 'notes.txt']
    assert (work_dir / f'{DRAFT}2').is_symlink() and not list(tmp_path.rglob(f'{DRAFT}1'))
    assert names(out_dir / 'run') == ['.cache.123.tmp', 'epoch_3.pth', 'notes.txt']
    assert latest_checkpoint(work_dir) == str(out_dir / 'run' / 'epoch_3.pth')


def test_averages_and_published_files_are_as_with_the_hook_of_mmengine(tmp_path):
    found = {}
    for hook in ('repnext_mm.SafeCheckpointHook', 'CheckpointHook'):
        work_dir = tmp_path / hook
        options = validated(type=hook, published_keys=['meta', 'state_dict'], interval=2)
        runner(work_dir, [EMAHook(momentum=0.1)], **options).train()
        found[hook] = [name.split('-')[0] for name in names(work_dir)]
        content = read(work_dir / 'epoch_3.pth')
        assert {'ema_state_dict', 'optimizer', 'param_schedulers'} <= set(content)
        published = next(work_dir.glob('epoch_3-*.pth'))
        assert set(read(published)) == {'meta', 'state_dict'}
    expected = ['best_test_acc_epoch_3', 'best_test_acc_epoch_3.pth', 'epoch_2.pth']
    expected += ['epoch_3', 'epoch_3.pth', 'last_checkpoint']
    assert list(found.values()) == [expected, expected]


def test_averages_are_resumed(tmp_path):
    for work_dir, source in (('whole', None), ('resumed', tmp_path / 'whole' / 'epoch_2.pth')):
        options = dict(resume=True, load_from=str(source)) if source else {}
        hooks = [EMAHook(momentum=0.1), dict(type='repnext_mm.ReseedHook')]
        runner(tmp_path / work_dir, hooks, **options).train()
    ends = [read(tmp_path / work_dir / 'epoch_3.pth') for work_dir in ('whole', 'resumed')]
    assert differences(*ends) == []


@pytest.mark.parametrize('backend', [None, dict(backend='local')])
def test_backend_of_the_user_is_left_alone(backend, tmp_path):
    run = runner(tmp_path, checkpoint=dict(backend_args=backend))
    hook = next(hook for hook in run.hooks if isinstance(hook, SafeCheckpointHook))
    hook.before_train(run)
    assert isinstance(hook.file_backend, LocalBackend)
    assert isinstance(hook.file_backend, WholeFileBackend) == (backend is None)


def test_backend_writes_whole_text_files(tmp_path):
    backend, path = WholeFileBackend(), tmp_path / 'deep' / 'text'
    backend.put_text('ä', path)
    with pytest.raises(UnicodeEncodeError):
        backend.put_text('half \ud800', path)
    assert backend.get_text(path) == 'ä' and names(path.parent) == ['text']


def test_best_checkpoint_that_keeps_its_name_stays(tmp_path):
    """In a loop of iterations, ``by_epoch=True`` calls each of them that of epoch 0."""
    options = validated(save_best='test/acc')
    options |= dict(train_cfg=dict(by_epoch=False, max_iters=4, val_interval=2))
    runner(tmp_path, **options, data=dict(sampler=dict(type='InfiniteSampler'))).train()
    best = read(tmp_path / 'best_test_acc_epoch_0.pth')
    assert best['message_hub']['runtime_info']['best_ckpt'] == str(
        tmp_path / 'best_test_acc_epoch_0.pth'
    )
