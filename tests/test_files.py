"""Files are whole or not there."""

import pytest

from repnext_mm.files import write_text


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
