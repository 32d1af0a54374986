"""Files are whole or not there."""

import json

import numpy as np
import pytest
import torch

from repnext_mm.files import remove_drafts, replaced, replaced_together, to_json, write_text


def test_text_is_written_with_its_folder_and_over_what_was_there(tmp_path):
    path = tmp_path / 'deep' / 'file.txt'
    write_text(path, 'first')
    write_text(path, 'ä')
    assert path.read_text(encoding='utf-8') == 'ä'
    assert [file.name for file in path.parent.iterdir()] == ['file.txt']


def test_nothing_is_left_when_writing_fails(tmp_path):
    path = tmp_path / 'file.txt'
    path.write_text('before')
    with pytest.raises(UnicodeEncodeError):
        write_text(path, 'half \ud800')
    assert path.read_text() == 'before'
    assert [file.name for file in tmp_path.iterdir()] == ['file.txt']


@pytest.mark.parametrize('write', [replaced, replaced_together])
def test_places_where_no_file_can_be_are_named(write, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(IsADirectoryError, match=f'{tmp_path} is a folder'), write(tmp_path):
        pass
    taken = pytest.raises(NotADirectoryError, match=f'{tmp_path}/file is a file, no folder')
    with taken, write(tmp_path / 'file' / 'deep' / 'model.onnx'):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ['file']


def test_drafts_that_killed_processes_left_are_recognized(tmp_path):
    for name in ('file.txt', '.file.txt.12.tmp', '.hidden'):
        (tmp_path / name).touch()
    with replaced(tmp_path / 'file.txt') as draft:
        draft.touch()
        assert remove_drafts(tmp_path) == [draft]
        draft.touch()
    assert remove_drafts(tmp_path) == remove_drafts(tmp_path / 'missing') == []
    assert len(list(tmp_path.iterdir())) == 3


def test_files_of_one_format_move_together_whatever_others_left(tmp_path):
    with replaced_together(tmp_path / 'model.xml') as first:
        with replaced_together(tmp_path / 'model.xml') as second:  # of a killed process, say
            assert first.parent != second.parent
            second.touch()
        for draft in (first, first.with_suffix('.bin')):
            draft.write_text('first')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['model.bin', 'model.xml']
    with pytest.raises(KeyError), replaced_together(tmp_path / 'model.xml') as draft:
        draft.write_text('half')
        assert remove_drafts(tmp_path) == [draft.parent]
        draft.parent.mkdir()
        raise KeyError
    assert (tmp_path / 'model.xml').read_text() == 'first' and len(list(tmp_path.iterdir())) == 2


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
