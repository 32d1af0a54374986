"""What a request asks for, from its query parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from repnext_mm.runtime.masks import MaskKind
from repnext_mm.serve.limits import RefusedError

ANSWER_FORMATS = {
    'detection': ('json', 'png', 'jpeg'),
    'segmentation': ('json', 'png', 'jpeg', 'labels'),
    'classification': ('json',),
}
"""Of the answer, by task: JSON, a picture with what was found on it, or the class of each pixel as a PNG."""


@dataclass(frozen=True)
class AnswerOptions:
    """What a request asks for."""

    format: str = 'json'
    """Of :data:`ANSWER_FORMATS`."""

    masks: MaskKind = 'none'
    """``'rle'`` for masks as COCO's compressed runs."""

    score_threshold: float = 0.0
    """Less certain objects are left out; the file has a threshold of its own."""

    limit: int | None = None
    """The most objects, the most certain first; None for all."""

    top: int = 5
    """Classes of a classifier's answer, the most probable first."""


PARAMETERS = {
    'detection': ('format', 'masks', 'score_threshold', 'limit'),
    'segmentation': ('format', 'masks'),
    'classification': ('format', 'top'),
}
"""Query parameters by task."""


def read_options(query: Mapping[str, str], task: str) -> AnswerOptions:
    """Reads the query parameters of a request.

    Args:
        query: Texts by name.
        task: Of the network.

    Raises:
        RefusedError: With status 422, if a parameter is unknown or has a value that is not allowed.
    """
    known = PARAMETERS[task]
    found: dict[str, Any] = {}
    for name, text in query.items():
        if name not in known:
            raise RefusedError(
                422,
                f'there is no query parameter {name!r} for {task}',
                f'leave it out, or use one of {", ".join(known)}',
            )
        found[name] = _parsed(name, text, task)
    return AnswerOptions(**found)


def _parsed(name: str, text: str, task: str) -> Any:
    choices = {'format': ANSWER_FORMATS[task], 'masks': ('none', 'rle')}
    if name in choices:
        if text not in choices[name]:
            raise _wrong(name, text, f'one of {", ".join(choices[name])}')
        return text
    if name == 'score_threshold':
        return _number(name, text, float, lambda value: 0 <= value <= 1, 'a number from 0 to 1')
    return _number(name, text, int, lambda value: value >= 1, 'a whole number, at least 1')


def _number(
    name: str, text: str, kind: type, is_allowed: Callable[[Any], bool], allowed: str
) -> Any:
    try:
        value = kind(text)
    except ValueError:
        raise _wrong(name, text, allowed) from None
    if not is_allowed(value):
        raise _wrong(name, text, allowed)
    return value


def _wrong(name: str, text: str, allowed: str) -> RefusedError:
    return RefusedError(422, f'{name}={text!r} is not allowed', f'give {allowed}')
