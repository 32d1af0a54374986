"""Files are whole or not there, and nobody else has a hand in their drafts."""

import fcntl
import json
import os
import signal
import stat
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from repnext_mm import files
from repnext_mm.files import (
    DRAFT,
    draft_folder,
    remove_drafts,
    replaced,
    replaced_folder,
    to_json,
    write_text,
)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_is_written_with_its_folder_and_over_what_was_there(tmp_path):
    path = tmp_path / 'deep' / 'file.txt'
    write_text(path, 'first')
    write_text(path, 'ä')
    assert path.read_text(encoding='utf-8') == 'ä' and names(path.parent) == ['file.txt']


def test_nothing_is_left_when_writing_fails(tmp_path):
    path = tmp_path / 'file.txt'
    path.write_text('before')
    with pytest.raises(UnicodeEncodeError):
        write_text(path, 'half \ud800')
    with pytest.raises(FileNotFoundError, match=r'nothing was written for .*file\.txt'):
        with replaced(path):
            pass
    assert path.read_text() == 'before' and names(tmp_path) == ['file.txt']


def test_places_where_no_file_can_be_are_named(tmp_path):
    (tmp_path / 'file').touch()
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(IsADirectoryError, match=f'{tmp_path} is a folder'), replaced(tmp_path):
        pass
    taken = pytest.raises(NotADirectoryError, match=f'{tmp_path}/file is a file, no folder')
    with taken, replaced(tmp_path / 'file' / 'deep' / 'model.onnx'):
        pass
    with pytest.raises(FileExistsError, match='pipe is no file'), replaced(tmp_path / 'pipe'):
        pass
    assert names(tmp_path) == ['file', 'pipe'] and (tmp_path / 'pipe').is_fifo()


def test_drafts_are_private_and_have_names_that_nobody_can_guess(tmp_path):
    with replaced(tmp_path / 'file') as first, replaced(tmp_path / 'file') as second:
        assert first.parent != second.parent and first.name == second.name == 'file'
        assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
        first.write_text('1')
        second.write_text('2')
    assert (tmp_path / 'file').read_text() == '1' and names(tmp_path) == ['file']


def test_threads_write_one_file_at_the_same_time(tmp_path):
    contents = [str(number) * 100_000 for number in range(8)]
    together = threading.Barrier(len(contents))

    def write(text):
        with replaced(tmp_path / 'file') as draft:
            together.wait()
            draft.write_text(text)

    threads = [threading.Thread(target=write, args=(text,)) for text in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / 'file').read_text() in contents and names(tmp_path) == ['file']


def test_files_of_one_format_move_together(tmp_path):
    with replaced(tmp_path / 'model.xml') as draft:
        for file in (draft, draft.with_suffix('.bin')):
            file.write_text('first')
    with pytest.raises(KeyError), replaced(tmp_path / 'model.xml') as draft:
        draft.write_text('half')
        raise KeyError
    assert names(tmp_path) == ['model.bin', 'model.xml']
    assert (tmp_path / 'model.xml').read_text() == 'first'


def test_permissions_stay_and_new_files_have_the_usual_ones(tmp_path):
    (tmp_path / 'usual').touch()
    for mode in (0o640, 0o755, 0o444):
        path = tmp_path / f'{mode:o}'
        path.touch(mode)
        path.chmod(mode)
        write_text(path, 'new')
        assert stat.S_IMODE(path.stat().st_mode) == mode and path.read_text() == 'new'
    write_text(tmp_path / 'new', 'new')
    assert (tmp_path / 'new').stat().st_mode == (tmp_path / 'usual').stat().st_mode


@pytest.mark.parametrize('there', [True, False], ids=['there', 'dangling'])
def test_an_output_link_stays_and_its_file_is_written(tmp_path, there):
    real = tmp_path / 'elsewhere' / 'real.txt'
    if there:
        write_text(real, 'old')
        real.chmod(0o640)
    (tmp_path / 'link.txt').symlink_to(real)
    write_text(tmp_path / 'link.txt', 'new')
    assert (tmp_path / 'link.txt').is_symlink() and real.read_text() == 'new'
    assert not there or stat.S_IMODE(real.stat().st_mode) == 0o640
    assert names(tmp_path) == ['elsewhere', 'link.txt'] and names(real.parent) == ['real.txt']


def test_links_to_other_file_systems_are_followed(tmp_path):
    """The second of two files, whose draft does not lie beside its target."""
    disk = tmp_path / 'disk'
    disk.mkdir()
    (tmp_path / 'model.bin').symlink_to(disk / 'real.bin')
    rename = os.replace

    def on_one_device(source, target):
        if Path(target).is_relative_to(disk) and not Path(source).is_relative_to(disk):
            raise OSError(files.errno.EXDEV, 'cross-device link')
        rename(source, target)

    with patch.object(files.Path, 'replace', on_one_device):
        with replaced(tmp_path / 'model.xml') as draft:
            draft.write_text('xml')
            draft.with_suffix('.bin').write_text('bin')
    assert (tmp_path / 'model.bin').is_symlink() and names(disk) == ['real.bin']
    assert (disk / 'real.bin').read_text() == 'bin'


def test_names_may_be_as_long_as_the_file_system_lets_them(tmp_path):
    path = tmp_path / ('n' * 251 + '.txt')
    write_text(path, 'long')
    assert path.read_text() == 'long'


def test_drafts_are_removed_when_their_owner_is_dead_and_nothing_else_is(tmp_path):
    outside = tmp_path / 'outside'
    outside.mkdir()
    (outside / 'precious').touch()
    (tmp_path / f'{DRAFT}link').symlink_to(outside)
    (tmp_path / f'{DRAFT}dangling').symlink_to(tmp_path / 'nothing')
    (tmp_path / f'{DRAFT}file').touch()
    left = tmp_path / f'{DRAFT}left'
    left.mkdir()
    (left / 'epoch_1.pth').touch()
    before = names(tmp_path)
    with replaced(tmp_path / 'file') as draft:
        draft.touch()
        assert remove_drafts(tmp_path) == [left] and draft.exists()
    assert names(tmp_path) == sorted({*before, 'file'} - {left.name})
    assert names(outside) == ['precious']
    assert remove_drafts(tmp_path) == remove_drafts(tmp_path / 'missing') == []


def test_a_draft_that_somebody_removes_before_it_is_locked_is_made_again(tmp_path):
    lock, removed = files._lock, []

    def removed_at_first(folder, wait):
        if not removed:
            removed.append(folder)
            folder.rmdir()
        return lock(folder, wait)

    with patch.object(files, '_lock', removed_at_first), draft_folder(tmp_path) as folder:
        assert folder.is_dir() and folder not in removed
    assert names(tmp_path) == []


def test_without_locks_nothing_is_taken_for_dead(tmp_path):
    (tmp_path / f'{DRAFT}left').mkdir()
    with patch.object(fcntl, 'flock', side_effect=OSError(files.errno.ENOTSUP, 'no locks')):
        write_text(tmp_path / 'file', 'text')
        assert remove_drafts(tmp_path) == []
    with patch.object(files, 'fcntl', None):
        assert remove_drafts(tmp_path) == []
    assert names(tmp_path) == [f'{DRAFT}left', 'file']


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT], ids=['terminate', 'interrupt'])
def test_signals_leave_no_draft(tmp_path, number):
    # A shell lets what it starts in the background ignore Ctrl-C, and processes inherit that.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises((SystemExit, KeyboardInterrupt)), replaced(tmp_path / 'file') as draft:
        draft.write_text('half')
        signal.raise_signal(number)
        raise AssertionError('the signal has done nothing')
    signal.signal(signal.SIGINT, inherited)
    assert names(tmp_path) == [] and signal.getsignal(signal.SIGTERM) is before


def test_handlers_of_others_stay(tmp_path):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        with replaced(tmp_path / 'file') as draft:
            signal.raise_signal(signal.SIGTERM)
            draft.touch()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [1] and names(tmp_path) == ['file']


def test_a_copy_of_the_process_leaves_the_draft_alone(tmp_path):
    with replaced(tmp_path / 'file') as draft:
        draft.touch()
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        assert draft.exists()


def test_a_copy_that_ends_by_an_error_leaves_the_draft_alone(tmp_path):
    with ExitStack() as stack:
        draft = stack.enter_context(replaced(tmp_path / 'file'))
        draft.touch()
        child = os.fork()
        if child == 0:
            with suppress(SystemExit):
                stack.__exit__(SystemExit, SystemExit(), None)
            os._exit(0)
        os.waitpid(child, 0)
        assert draft.exists()


def test_content_and_names_reach_the_disk_in_this_order(tmp_path):
    """Before the new name is there, and when it is."""
    path, steps = tmp_path / 'file', []

    def note(handle):
        kind = 'folder' if stat.S_ISDIR(os.fstat(handle).st_mode) else 'file'
        steps.append((kind, path.exists()))

    with patch.object(os, 'fsync', note):
        write_text(path, 'text')
    assert steps == [('file', False), ('folder', False), ('folder', True)]
    with patch.object(os, 'fsync', side_effect=OSError(files.errno.EIO, 'the disk is broken')):
        with pytest.raises(OSError, match='broken'):
            write_text(path, 'other')
    assert path.read_text() == 'text' and names(tmp_path) == ['file']
    with patch.object(os, 'fsync', side_effect=OSError(files.errno.EINVAL, 'not here')):
        write_text(path, 'other')
    assert path.read_text() == 'other'


def test_many_drafts_at_once_and_none_is_left(tmp_path):
    with ExitStack() as stack:
        for number in range(20):
            stack.enter_context(replaced(tmp_path / str(number))).touch()
    assert len(names(tmp_path)) == 20


def test_json_has_null_for_what_is_not_finite_and_plain_numbers(tmp_path):
    nan, inf = float('nan'), float('inf')
    content = {
        'mean': np.float64(nan),
        'list': [1.5, inf, (-inf, True, None)],
        3: np.arange(2),
        'tensor': torch.tensor([1.0, nan]),
        'path': tmp_path,
        'größe': np.int64(4),
    }

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(to_json(content), parse_constant=refuse) == {
        'mean': None,
        'list': [1.5, None, [None, True, None]],
        '3': [0, 1],
        'tensor': [1.0, None],
        'path': str(tmp_path),
        'größe': 4,
    }
    assert to_json([1, 2], indent=None) == '[1, 2]'


def test_folders_appear_whole_or_not_at_all(tmp_path):
    target = tmp_path / 'deep' / 'data'
    with pytest.raises(RuntimeError), replaced_folder(target) as draft:
        (draft / 'part').write_text('half')
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    with replaced_folder(target) as draft:
        (draft / 'part').write_text('whole')
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ['data']
    assert (target / 'part').read_text() == 'whole'
    with (
        pytest.raises(FileExistsError, match='remove it, or name another'),
        replaced_folder(target),
    ):
        pass


def test_a_folder_that_another_process_made_meanwhile_stays(tmp_path):
    target = tmp_path / 'data'
    with (
        pytest.raises(FileExistsError, match='by another process meanwhile'),
        replaced_folder(target) as draft,
    ):
        (draft / 'mine').write_text('mine')
        target.mkdir()
        (target / 'theirs').write_text('theirs')
    assert [path.name for path in tmp_path.rglob('*')] == ['data', 'theirs']
