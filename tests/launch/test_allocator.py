"""The allocator that keeps memory: in our tools, and nowhere else."""

import os
import subprocess
import sys

import pytest
import torch

from repnext_mm.launch.allocator import HUGE_PAGES, OWN_SETTINGS, keep_memory

CODE = """
import resource
import repnext_mm.registry
from repnext_mm.launch.allocator import keep_memory
import torch
def faults():
    for _ in range(5):  # the heap grows to its size
        torch.ones(25_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(25_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
usual = faults()
print(keep_memory() and keep_memory(), usual, faults())
"""
"""Prints the page faults of five large tensors, before and after memory is kept."""


@pytest.mark.skipif(
    not sys.platform.startswith('linux') or torch.cuda.is_available(), reason='glibc and no GPU'
)
def test_large_tensors_come_without_page_faults_only_where_asked():
    names = (*OWN_SETTINGS, HUGE_PAGES)
    environment = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, '-c', CODE]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    kept, usual, faults = found.stdout.splitlines()[-1].split()
    assert kept == 'True' and int(faults) < int(usual) / 10
    assert found.stdout.count('no GPU') == 1


@pytest.mark.parametrize('name', OWN_SETTINGS)
def test_what_users_have_told_glibc_holds(name, monkeypatch):
    monkeypatch.setenv(name, '1')
    assert keep_memory() is False


def test_other_libraries_and_devices_are_left_alone(monkeypatch):
    monkeypatch.setattr('repnext_mm.launch.allocator.get_device', lambda: 'cuda')
    assert keep_memory() is False
    monkeypatch.setattr('repnext_mm.launch.allocator.get_device', lambda: 'cpu')
    monkeypatch.setattr(os, 'confstr', lambda name: None)
    assert keep_memory() is False
