"""What a checkpoint file must hold, and a word for files that hold something else."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from repnext_mm.networks.layouts import BACKBONE, SIGNATURE, unwrap

KEYS_SHOWN = 5
"""Names that a message lists before it only counts them."""

EXTRA_STATE = '_extra_state'
"""Last part of the names of entries that are no tensors by torch's own rules."""

NOUNS = {dict: 'dict', list: 'list', tuple: 'tuple', str: 'text', type(None): 'nothing'}


def check_content(content: Any, filename: str) -> None:
    """Makes sure that weights and metadata can be taken from what a file holds.

    Args:
        content: What ``torch.load`` or safetensors gave.
        filename: Path or URL, for the message.

    Raises:
        ValueError: If it is no dict of weights, or has metadata of another kind; the message says
            what it is and what it should be.
    """
    problem = _problem_of(content)
    if problem:
        raise ValueError(
            f'{filename} {problem}. A checkpoint is a dict of tensors by name, alone or under '
            "'state_dict' or 'model', with a dict under 'meta' if it has metadata"
        )


def _problem_of(content: Any) -> str:
    """What keeps a content from being a checkpoint, as the end of a sentence, or nothing."""
    if not isinstance(content, Mapping):
        return f'is no checkpoint: it holds {_noun(content)}'
    state = content.get('state_dict', {})
    if not isinstance(state, Mapping):
        return f"is no checkpoint: under 'state_dict' it has {_noun(state)}"
    return _problem_of_weights(content) or _problem_of_metadata(content.get('meta'))


def _problem_of_weights(content: Mapping[Any, Any]) -> str:
    state = unwrap(content)
    numbered = [name for name in state if not isinstance(name, str)]
    if numbered:
        return f'is no checkpoint: it names an entry {numbered[0]!r}, which is no text'
    if not any(isinstance(value, Tensor) for value in state.values()):
        return f'holds no weights: {_listed(content)}'
    if any(SIGNATURE.match(name.removeprefix(BACKBONE)) for name in state):
        for name, value in state.items():
            if not isinstance(value, Tensor) and not name.endswith(EXTRA_STATE):
                return f'is damaged: it has {_noun(value)} as {name!r}, in the place of a tensor'
    return ''


def _problem_of_metadata(meta: Any) -> str:
    if meta is None:
        return ''
    if not isinstance(meta, Mapping):
        return f"has other metadata than a checkpoint: {_noun(meta)} under 'meta'"
    dataset = meta.get('dataset_meta')
    if dataset is not None and not isinstance(dataset, Mapping):
        return f"has other metadata than a checkpoint: {_noun(dataset)} under 'dataset_meta'"
    for where, key in ((meta, 'CLASSES'), (dataset or {}, 'classes')):
        names = where.get(key)
        if names is not None and not (
            isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
        ):
            return f'has other metadata than a checkpoint: {key} is {names!r}, no list of names'
    return ''


def _listed(content: Mapping[Any, Any]) -> str:
    """The keys of a dict, with what stands there, as the end of a sentence."""
    if not content:
        return 'it is empty'
    found = [f'{name!r} ({_noun(value)})' for name, value in list(content.items())[:KEYS_SHOWN]]
    more = f', and {len(content) - KEYS_SHOWN} more' if len(content) > KEYS_SHOWN else ''
    return f'it has {", ".join(found)}{more}'


def _noun(value: Any) -> str:
    """What a value is, with its article."""
    noun = NOUNS.get(type(value), type(value).__name__)
    if noun == 'nothing':
        return noun
    return f'{"an" if noun[0].lower() in "aeiou" else "a"} {noun}'
