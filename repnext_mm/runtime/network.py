"""The base of all readers of exported networks."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from repnext_mm.runtime.images import read_image
from repnext_mm.runtime.sessions import Session, open_session
from repnext_mm.runtime.size_rules import Prepared, apply_rules, fit_static
from repnext_mm.runtime.spec import FileSpec
from repnext_mm.visualization.colours import class_colours

Model = str | os.PathLike | bytes | Session
"""What a reader is opened from."""

Outputs = dict[str, np.ndarray]
"""Of a network for one image, by name."""

BATCH = 8
"""Images that go through a network at a time, where it takes any number."""


class Passed(NamedTuple):
    """An image that went through the network."""

    pixels: np.ndarray
    """``(H, W, 3)`` uint8, as it was given."""

    prepared: Prepared
    """In the size of the config's test pipeline."""

    outputs: Any
    """Of :meth:`ExportedNetwork.read_outputs`."""


class ExportedNetwork(ABC):
    """An exported network, opened; the base of the readers.

    One reader serves any number of threads. A copy, by ``pickle`` or ``copy``, opens the file
    again. See docs/serving.md.

    Args:
        source: File of ``tools/export.py``, its content as bytes, or one that is open already.
        runtime: ``'onnxruntime'`` or ``'openvino'`` for ONNX; None for the first of them.
        batch_size: Images of a list that go through the network at a time, where it takes
            any number of them.
        **options: ``trust=True`` for a file that can run code, and those of the runtime; see
            :func:`repnext_mm.runtime.open_session`.

    Attributes:
        spec: The contract that the exporter wrote into the file.
        classes: Names of the classes; empty where they are unknown.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the runtime is not installed.
        TypeError: If the model is neither a path nor bytes.
        ValueError: If the file is of another task, not of this exporter, or not trusted.
    """

    task: ClassVar[str]
    """The task of the files that this class reads."""

    own_options: ClassVar[tuple[str, ...]] = ('batch_size',)
    """Names of the options that are the reader's, not the runtime's."""

    def __init__(
        self, source: Model, runtime: str | None = None, *, batch_size: int = BATCH, **options: Any
    ):
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f'batch_size is a number of images from 1 on, got {batch_size!r}')
        self.session = (
            source if isinstance(source, Session) else open_session(source, runtime, **options)
        )
        self.spec: FileSpec = self.session.spec
        if self.spec.task != self.task:
            raise ValueError(
                f'{self.session.source} is for {self.spec.task}, not {self.task}: open it '
                'with repnext_mm.export.open_reader, or open_session if it puts out features'
            )
        self.classes = list(self.spec.classes or [])
        self.batch_size = batch_size

    @property
    def metadata(self) -> dict[str, Any]:
        """The contract as the plain values that stand in the file."""
        return self.spec.to_json()

    def prepare(self, image: np.ndarray) -> Prepared:
        """Resizes an image ``(H, W, 3)`` as the test pipeline of the exported config does."""
        return apply_rules(image, self.spec.resize or ())

    def fit(self, resized: np.ndarray) -> Prepared:
        """Scales a resized image down and pads it, if the file takes one size only."""
        static = self.spec.input.static_shape
        if static is None:
            return Prepared(resized, (1.0, 1.0))
        return fit_static(resized, static, self.spec.input.padding_colour)

    def pass_all(self, sources: Sequence[Any]) -> Iterator[Passed]:
        """Reads images and sends them through the network, :attr:`batch_size` at a time.

        Args:
            sources: What :func:`~repnext_mm.runtime.images.read_image` takes.

        Yields:
            In the order of the images.
        """
        for first in range(0, len(sources), self.batch_size):
            pixels = [read_image(source) for source in sources[first : first + self.batch_size]]
            prepared = [self.prepare(image) for image in pixels]
            outputs = self.run([image.image for image in prepared])
            yield from map(Passed, pixels, prepared, outputs)

    def run(self, resized: Sequence[np.ndarray]) -> list[Any]:
        """The network's outputs for images that have its size already.

        Images of one size go through it together, as many as it takes.

        Args:
            resized: ``(H', W', 3)`` uint8, RGB, each.

        Returns:
            For each image what :meth:`read_outputs` makes of them.
        """
        fitted = [self.fit(image) for image in resized]
        groups: dict[tuple[int, ...], list[int]] = {}
        for number, image in enumerate(fitted):
            groups.setdefault(image.image.shape, []).append(number)
        found: dict[int, Any] = {}
        for numbers in groups.values():
            most = self.spec.input.batch or len(numbers)
            for first in range(0, len(numbers), most):
                chosen = numbers[first : first + most]
                parts = self._run([fitted[i].image for i in chosen], most)
                for number, part in zip(chosen, parts, strict=False):
                    found[number] = self.read_outputs(part, fitted[number], resized[number])
        return [found[number] for number in range(len(resized))]

    def _run(self, images: Sequence[np.ndarray], most: int) -> list[Outputs]:
        """The outputs for images of one size; more follow where the file takes a fixed number."""
        fixed = self.spec.input.batch is not None
        batch = [*images, *[images[-1]] * (most - len(images) if fixed else 0)]
        outputs = self.session(np.stack(batch) if len(batch) > 1 else batch[0][None])
        return self.split(outputs, len(batch))

    def split(self, outputs: Outputs, count: int) -> list[Outputs]:
        """The outputs of a batch, image by image."""
        return [{name: values[i] for name, values in outputs.items()} for i in range(count)]

    @abstractmethod
    def read_outputs(self, outputs: Outputs, fitted: Prepared, resized: np.ndarray) -> Any:
        """What the network says of one image, without the padding of a fixed size.

        Args:
            outputs: Of :meth:`split`.
            fitted: What went through the network.
            resized: What it was made from.
        """

    def colours(self, count: int) -> list[tuple[int, int, int]]:
        """One for each class: the dataset's, or others that can be told apart."""
        palette = self.spec.palette or ()
        return list(palette if len(palette) >= count else class_colours(count))


def check_one_picture(picture: object, many: bool) -> None:
    """Makes sure that one picture is asked for one image.

    Raises:
        ValueError: If there are several images.
    """
    if picture is not None and many:
        raise ValueError(f'{picture} is one picture, and there are several images: give one by one')
