"""Checksums of files of torch.save, and entries that are not finite."""

import zipfile
from pathlib import Path

import pytest
import torch

from repnext_mm.integrity import damage, listed, named_tensors, not_finite


def save(path: Path) -> Path:
    torch.save(dict(state_dict=dict(weight=torch.rand(5000)), meta=dict(iter=3)), path)
    return path


def records(path: Path) -> dict[str, tuple[int, int]]:
    """Where the content of each part lies in the file, and how long it is."""
    with zipfile.ZipFile(path) as archive:
        content = path.read_bytes()
        return {
            part.filename: (content.index(archive.read(part)), part.file_size)
            for part in archive.infolist()
            if part.file_size > 20
        }


def test_a_hole_in_any_part_is_found_though_torch_reads_it(tmp_path):
    whole = save(tmp_path / 'whole.pth')
    assert damage(whole) is None
    parts = records(whole)
    assert any(name.endswith('/data/0') for name in parts) and len(parts) > 2
    for name, (start, size) in parts.items():
        content = bytearray(whole.read_bytes())
        middle = start + size // 2
        content[middle : middle + 4] = bytes(byte ^ 0xFF for byte in content[middle : middle + 4])
        broken = tmp_path / 'broken.pth'
        broken.write_bytes(content)
        assert repr(name) in damage(broken)
        if name.endswith('/data/0'):
            torch.load(broken, weights_only=True)  # without a word


def test_a_hole_of_zeros_anywhere_is_found_unless_it_changes_nothing(tmp_path):
    whole = save(tmp_path / 'whole.pth').read_bytes()
    path = tmp_path / 'hole.pth'
    for start in range(0, len(whole) - 600, 599):
        path.write_bytes(whole[:start] + bytes(600) + whole[start + 600 :])
        if damage(path) is None and zipfile.is_zipfile(path):  # between the parts
            read, expected = (
                torch.load(p, weights_only=True) for p in (path, tmp_path / 'whole.pth')
            )
            assert torch.equal(read['state_dict']['weight'], expected['state_dict']['weight'])


def test_files_without_checksums_pass(tmp_path, monkeypatch):
    (tmp_path / 'text.txt').write_text('no archive')
    assert damage(tmp_path / 'text.txt') is None
    if hasattr(torch.serialization, 'set_crc32_options'):
        before = torch.serialization.get_crc32_options()
        torch.serialization.set_crc32_options(False)
        try:
            assert damage(save(tmp_path / 'unchecked.pth')) is None
        finally:
            torch.serialization.set_crc32_options(before)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_entries_that_are_not_finite_are_named_in_order(value, dtype):
    tensors = {name: torch.zeros(3, dtype=dtype) for name in 'dcba'}
    tensors['count'] = torch.tensor(3)
    tensors['empty'] = torch.empty(0)
    tensors['shape'] = torch.empty(3, device='meta')
    assert not_finite(tensors) == []
    for name in 'ac':
        tensors[name][1] = value
    assert not_finite(tensors) == ['c', 'a']


def test_tensors_are_found_in_nested_content_and_names_are_counted():
    content = dict(optimizer=dict(state={0: dict(step=torch.zeros(1))}, groups=[dict(lr=1)]), x=[1])
    assert [name for name, _ in named_tensors(content)] == ['optimizer.state.0.step']
    assert listed(['a', 'b']) == "'a', 'b'" and listed(list('abcde')) == "'a', 'b', 'c' and 2 more"


def test_a_damaged_name_in_the_index_is_damage(tmp_path):
    path = tmp_path / 'file.pth'
    torch.save(dict(weight=torch.zeros(3)), path)
    content = path.read_bytes()
    place = content.rindex(b'version')
    path.write_bytes(content[: place + 4] + b'\xe9' + content[place + 5 :])
    assert 'damaged' in str(damage(path))
