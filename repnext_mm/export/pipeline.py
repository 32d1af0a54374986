"""From the config of a test pipeline to rules for the size of images.

The rules themselves are in :mod:`repnext_mm.runtime.size_rules`.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from repnext_mm.config_dicts import type_name
from repnext_mm.runtime.size_rules import (
    FILTERS,
    CenterCrop,
    Pad,
    Resize,
    ResizeEdge,
    ResizeToMultiple,
    SizeRule,
)


class UnsupportedStepError(ValueError):
    """A step of a pipeline that no rule describes.

    Args:
        step: Its name.
        reason: What about it, if the name alone is known.
    """

    def __init__(self, step: str, reason: object = ''):
        what = f'{step} ({reason})' if reason else step
        super().__init__(
            f'no rule for the size of images describes the step {what} of the test pipeline: known '
            f'are {", ".join(RULE_OF_STEP)}, and steps that load and pack'
        )
        self.step = step


def resize_rules(pipeline: Sequence[Any]) -> list[SizeRule]:
    """The rules by which a test pipeline changes the size of images.

    Args:
        pipeline: The config of its steps, with types of any scope, or classes.

    Returns:
        One rule for each step that resizes, crops or pads.

    Raises:
        UnsupportedStepError: If a step does anything else than load, resize, crop and
            pack, or has options that have no counterpart here.
    """
    rules = []
    for step in pipeline:
        name = type_name(step) if isinstance(step, dict) else type(step).__name__
        if name in RULE_OF_STEP:
            rules.append(_read(name, step))
        elif name.startswith('LoadImage'):
            _check_loading(name, step)
        elif not name.startswith(('Load', 'Pack')):
            raise UnsupportedStepError(name)
    return rules


# The arguments of these functions are those of the transforms.


def _read_resize(
    scale=None,
    scale_factor=None,
    keep_ratio=False,
    clip_object_border=True,
    backend='cv2',
    interpolation='bilinear',
) -> Resize:
    resampling = _resampling(interpolation, backend)
    if scale is not None:
        return Resize(*resampling, bool(keep_ratio), scale=_pair(scale))
    return Resize(*resampling, bool(keep_ratio), factor=_pair(scale_factor, float))


def _read_resize_edge(scale, edge='short', backend='cv2', interpolation='bilinear') -> ResizeEdge:
    if edge not in ('short', 'long', 'width', 'height'):
        raise ValueError(f'edge={edge!r}')
    length, _ = _pair((scale, scale))
    return ResizeEdge(*_resampling(interpolation, backend), length, edge)


def _read_resize_to_multiple(size_divisor=32, interpolation=None) -> ResizeToMultiple:
    resampling = _resampling(interpolation or 'bilinear', 'cv2')
    return ResizeToMultiple(*resampling, _pair(size_divisor))


def _read_center_crop(
    crop_size, auto_pad=False, pad_cfg=None, clip_object_border=True
) -> CenterCrop:
    if auto_pad:
        raise ValueError('auto_pad=True')
    return CenterCrop(_pair(crop_size))


def _read_pad(
    size=None, size_divisor=None, pad_to_square=False, pad_val=0, padding_mode='constant'
) -> Pad:
    if padding_mode != 'constant':
        raise ValueError(f'padding_mode={padding_mode!r}')
    value = pad_val.get('img', 0) if isinstance(pad_val, dict) else pad_val
    values = set(value) if isinstance(value, list | tuple) else {value}
    if len(values) != 1 or not values <= set(range(256)):
        raise ValueError(f'pad_val={pad_val!r}, which is no grey from 0 to 255')
    grey = int(values.pop())
    return Pad(grey, None if size is None else _pair(size), size_divisor, bool(pad_to_square))


RULE_OF_STEP: dict[str, Callable[..., SizeRule]] = {
    'Resize': _read_resize,
    'ResizeEdge': _read_resize_edge,
    'ResizeToMultiple': _read_resize_to_multiple,
    'CenterCrop': _read_center_crop,
    'Pad': _read_pad,
}


def _read(name: str, step: Any) -> SizeRule:
    options = {key: value for key, value in step.items() if key != 'type'}
    try:
        inspect.signature(RULE_OF_STEP[name]).bind(**options)
        return RULE_OF_STEP[name](**options)
    except (TypeError, ValueError) as error:
        raise UnsupportedStepError(name, error) from error


def _check_loading(name: str, step: Any) -> None:
    """Only the way in which :func:`repnext_mm.runtime.images.read_image` reads is supported."""
    usual = dict(to_float32=False, color_type='color', imdecode_backend='cv2')
    for key, value in usual.items():
        if step.get(key, value) != value:
            raise UnsupportedStepError(name, f'{key}={step[key]!r}')


def _pair(value: Any, kind: type = int) -> tuple:
    """For width and height: two numbers, or one for both."""
    numbers = list(value) if isinstance(value, list | tuple) else [value, value]
    allowed = (int, float) if kind is float else int
    if len(numbers) != 2 or not all(isinstance(x, allowed) and x > 0 for x in numbers):
        raise ValueError(f'a size of {value!r}')
    return tuple(kind(number) for number in numbers)


def _resampling(interpolation: str, backend: str | None) -> tuple[str, str]:
    backend = backend or 'cv2'  # mmcv's default
    if backend not in FILTERS:
        raise ValueError(f'backend={backend!r}')
    if interpolation not in FILTERS[backend]:
        raise ValueError(f'interpolation={interpolation!r}, backend={backend!r}')
    return interpolation, backend
