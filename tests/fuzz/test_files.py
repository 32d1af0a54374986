"""Checkpoint files and metadata of any content, whole and damaged: read, or refused by us."""

import functools
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import safetensors.torch
import torch
from damages import Code, byte_edits, edited, ran
from fuzzing import budget, counted, json_values
from helpers import slim
from hypothesis import example, given
from hypothesis import strategies as st

from repnext_mm.border import is_foreseen
from repnext_mm.checkpoints.files import load_from_local, write_checkpoint
from repnext_mm.compat.checkpoints import SAFE
from repnext_mm.models import RepNeXt
from repnext_mm.runtime.sessions import read_spec
from repnext_mm.runtime.spec import KEY, FileSpec, InputSpec

SPEC = FileSpec(
    task='detection',
    part='model',
    form='fused',
    precision='float32',
    outputs=('boxes', 'scores'),
    input=InputSpec(mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0)),
    classes=('a', 'b'),
    palette=((1, 2, 3), (4, 5, 6)),
)
tensors = st.builds(torch.ones, st.lists(st.integers(0, 3), max_size=3))
names = st.sampled_from(
    ('state_dict', 'model', 'meta', 'module.a', 'stages.0.blocks.0.expand.weight', 'optimizer')
)
contents = st.recursive(
    json_values | tensors,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(names | st.text(max_size=4) | st.integers(0, 3), inner, max_size=4)
    ),
    max_leaves=10,
)
edits = byte_edits(1, 4)


def read(content: bytes, suffix: str) -> Any:
    """What the loader gives for a file of these bytes; None if it is refused as it should be."""
    # As in the tools: what the safe loader refuses must not get to the one that runs code.
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {SAFE: '1'}):
        path = Path(folder, f'some{suffix}')
        path.write_bytes(content)
        try:
            return load_from_local(str(path), map_location='cpu')
        except ValueError as error:
            assert is_foreseen(error) and 'some' in str(error), error
            return None


@functools.cache
def whole_files() -> dict[str, bytes]:
    """A good checkpoint in each format."""
    torch.manual_seed(0)
    state = RepNeXt(slim(depths=(1, 1, 1, 1))).state_dict()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ('.pth', '.safetensors'):
            path = Path(folder, f'whole{suffix}')
            write_checkpoint(path, state, dict(arch='tiny', dataset_meta=dict(classes=['a'])))
            found[suffix] = path.read_bytes()
    return found


@budget(60)
@given(st.sampled_from(('.pth', '.safetensors')), edits)
@example('.pth', [(0.9375, 'zeros', b'0')])
@pytest.mark.filterwarnings('ignore')
def test_damaged_files_are_read_or_refused_by_us(suffix, edits):
    counted('damaged files')
    content = read(edited(whole_files()[suffix], edits), suffix)
    assert content is None or isinstance(content, dict)


@budget(60)
@given(contents)
@pytest.mark.filterwarnings('ignore')
def test_files_of_anything_are_read_or_refused_by_us(content):
    counted('contents')
    file = io.BytesIO()
    torch.save(content, file)
    found = read(file.getvalue(), '.pth')
    assert found is None or isinstance(found, dict)


@budget(40)
@given(contents, names | st.text(max_size=4), st.booleans())
@pytest.mark.filterwarnings('ignore')
def test_files_with_code_are_refused_and_it_never_runs(content, name, beside):
    counted('files with code')
    content = {**content, name: Code()} if isinstance(content, dict) else [content, Code()]
    state = dict(state_dict=dict(w=torch.ones(2)), meta=content)
    file = io.BytesIO()
    torch.save(state if beside else content, file)
    assert read(file.getvalue(), '.pth') is None
    assert not ran


@budget(30)
@given(st.dictionaries(st.text(min_size=1, max_size=4), tensors, max_size=3), st.text(max_size=30))
def test_safetensors_with_any_metadata_are_read_or_refused_by_us(state, meta):
    counted('safetensors')
    file = safetensors.torch.save(state, dict(meta=meta))
    found = read(file, '.safetensors')
    assert found is None or found['state_dict'].keys() == state.keys()


def spec_or_none(text: str) -> FileSpec | None:
    """The contract that a text holds; None if it is refused as it should be."""
    try:
        return read_spec({KEY: text}, Path('some.onnx'))
    except ValueError as error:
        assert is_foreseen(error) and 'some.onnx' in str(error), error
        return None


@budget(150)
@given(
    st.dictionaries(st.sampled_from((*SPEC.to_json(), 'resize')), json_values, max_size=3),
    st.dictionaries(st.sampled_from(tuple(SPEC.input.to_json())), json_values, max_size=2),
    st.sets(st.sampled_from(tuple(SPEC.to_json())), max_size=2),
)
def test_metadata_with_any_entries_are_read_or_refused_by_us(entries, inputs, missing):
    counted('metadata')
    changed = SPEC.to_json()
    changed['input'] |= inputs
    changed |= entries
    for name in missing:
        del changed[name]
    spec = spec_or_none(json.dumps(changed))
    if spec is not None:
        assert FileSpec.from_text(spec.to_text()).to_json() == spec.to_json()


@budget(50)
@given(st.text(max_size=40) | json_values.map(json.dumps))
def test_metadata_of_any_text_are_refused_by_us(text):
    counted('texts')
    assert spec_or_none(text) is None
