"""The contract of an exported file: its inputs, its outputs, and the model it was made from.

The exporter writes a :class:`FileSpec` into each file, as one JSON object, and every reader gets
it back. Readers in other languages read the JSON; docs/export.md lists its keys.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from repnext_mm.reparam.forms import TRAINING
from repnext_mm.runtime.entry_types import FILE_ENTRIES, INPUT_ENTRIES, check_types
from repnext_mm.runtime.size_rules import SizeRule, rule_from_json
from repnext_mm.visualization.colours import Colour

KEY = 'repnext_mm'
"""The name of the entry that holds the JSON among a file's metadata."""

VERSION = 2
"""Of the JSON. Version 1, without a ``version``, called the training form null."""


@dataclass(frozen=True)
class InputSpec:
    """The images that a file takes: ``(N, H, W, 3)`` uint8, RGB, unless :attr:`float_input` is set.

    Normalization, the order of the network's channels and padding to multiples are in the graph.
    """

    mean: tuple[float, ...]
    """Of the channels in the network's order, 0 to 255; a single 0 without normalization."""

    std: tuple[float, ...]
    """Likewise; a single 1 without normalization."""

    network_channel_order: str = 'RGB'
    """``'BGR'`` if the network was trained on such images."""

    size_divisor: int = 1
    """The graph pads heights and widths to multiples of it."""

    static_shape: tuple[int, int] | None = None
    """The only height and width that the file takes; None for any."""

    batch: int | None = None
    """The only number of images at a time; None for any."""

    float_input: bool = False
    """The file takes float32 ``(N, 3, H, W)`` from 0 to 255, RGB. Sessions convert."""

    @property
    def side_axes(self) -> tuple[int, int]:
        """The axes of height and width among those of what the file takes."""
        return (2, 3) if self.float_input else (1, 2)

    def arrange(self, images: np.ndarray) -> np.ndarray:
        """Images ``(N, H, W, 3)`` uint8, RGB, as the file takes them, in one block of memory."""
        if self.float_input:
            return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
        return np.ascontiguousarray(images)

    @property
    def padding_colour(self) -> tuple[float, float, float]:
        """The RGB colour, 0 to 255, that normalization turns into zero."""
        mean = self.mean if len(self.mean) == 3 else (self.mean[0],) * 3
        red, green, blue = mean[::-1] if self.network_channel_order == 'BGR' else mean
        return red, green, blue

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values, with the properties that all files share."""
        return dict(
            layout='NCHW' if self.float_input else 'NHWC',
            dtype='float32' if self.float_input else 'uint8',
            channel_order='RGB',
            normalization='in the graph',
            mean=list(self.mean),
            std=list(self.std),
            network_channel_order=self.network_channel_order,
            size_divisor=self.size_divisor,
            padding='in the graph',
            static_shape=None if self.static_shape is None else list(self.static_shape),
            batch=self.batch,
        )

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> 'InputSpec':
        """The inverse of :meth:`to_json`."""
        static = entries.get('static_shape')
        return cls(
            mean=tuple(entries['mean']),
            std=tuple(entries['std']),
            network_channel_order=entries['network_channel_order'],
            size_divisor=entries['size_divisor'],
            static_shape=None if static is None else (static[0], static[1]),
            batch=entries['batch'],
            float_input=entries.get('layout') == 'NCHW',
        )


@dataclass(frozen=True)
class FileSpec:
    """The contract of an exported file."""

    task: str
    """The name that the reader of such files has; see :data:`repnext_mm.runtime.READERS`."""

    part: str
    """``'model'``, ``'backbone'`` or ``'backbone-neck'``."""

    form: str
    """Of :data:`repnext_mm.reparam.FORMS`."""

    precision: str
    """``'float32'``, ``'float16'`` or ``'int8'``."""

    outputs: tuple[str, ...]
    """Names of the outputs, in order."""

    input: InputSpec
    """The images that the file takes."""

    arch: str | dict | None = None
    """Of the RepNeXt in it, a name or an arch dict; None for other networks."""

    classes: tuple[str, ...] | None = None
    """Names of the classes; None where they are unknown."""

    palette: tuple[Colour, ...] | None = None
    """A colour for each class, RGB from 0 to 255; None where there is none."""

    resize: tuple[SizeRule, ...] | None = None
    """The size that images should have; None for the size they have."""

    opset: int | None = None
    """ONNX opset version of the graph, 16 to 20."""

    quantization: dict[str, Any] | None = None
    """How an 8-bit file was made; None for others."""

    details: dict[str, Any] = field(default_factory=dict)
    """The entries of the file's task, which its reader knows, and of its origin."""

    def to_json(self) -> dict[str, Any]:
        """A flat dict of plain values: the fields, and the details among them."""
        entries = {row.name: getattr(self, row.name) for row in fields(self)}
        details = entries.pop('details')
        entries['input'] = self.input.to_json()
        entries['outputs'] = list(self.outputs)
        if self.classes is not None:
            entries['classes'] = list(self.classes)
        if self.palette is not None:
            entries['palette'] = [list(colour) for colour in self.palette]
        if self.resize is not None:
            entries['resize'] = [rule.to_json() for rule in self.resize]
        if self.quantization is None:
            del entries['quantization']
        return dict(version=VERSION, **entries, **details)

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> 'FileSpec':
        """The inverse of :meth:`to_json`, for every version up to this one.

        Raises:
            ValueError: If the version is a newer one, an entry is missing, or has another type.
        """
        entries = dict(entries)
        version = entries.pop('version', 1)
        if not isinstance(version, int) or not 1 <= version <= VERSION:
            raise ValueError(
                f'its metadata have version {version!r}, and this repnext-mm reads versions 1 to '
                f'{VERSION}: install the repnext-mm that wrote it, or a newer one'
            )
        check_types(entries, FILE_ENTRIES)
        try:
            check_types(entries['input'], INPUT_ENTRIES)
            return cls._from_known(entries)
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            raise ValueError(
                f'its metadata lack an entry or have one of another type ({error!r}): export the '
                'model again'
            ) from error

    @classmethod
    def _from_known(cls, entries: dict[str, Any]) -> 'FileSpec':
        classes, palette, resize = (entries.pop(k) for k in ('classes', 'palette', 'resize'))
        return cls(
            task=entries.pop('task'),
            part=entries.pop('part'),
            form=entries.pop('form') or TRAINING,
            precision=entries.pop('precision'),
            outputs=tuple(entries.pop('outputs')),
            input=InputSpec.from_json(entries.pop('input')),
            arch=entries.pop('arch'),
            classes=None if classes is None else tuple(classes),
            palette=None if palette is None else tuple(map(_colour, palette)),
            resize=None if resize is None else tuple(map(rule_from_json, resize)),
            opset=entries.pop('opset', None),
            quantization=entries.pop('quantization', None),
            details=entries,
        )

    @classmethod
    def from_text(cls, text: str) -> 'FileSpec':
        """Reads the JSON text of a file's entry.

        Raises:
            ValueError: If it is no JSON object, or as :meth:`from_json`.
        """
        try:
            entries = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f'its metadata are no JSON ({error}): export the model again'
            ) from error
        if not isinstance(entries, dict):
            raise ValueError(f'its metadata are a {type(entries).__name__}, not a JSON object')
        return cls.from_json(entries)

    def to_text(self) -> str:
        """The JSON text for a file's entry."""
        return json.dumps(self.to_json())


def _colour(values: Sequence[int]) -> Colour:
    red, green, blue = values
    return int(red), int(green), int(blue)
