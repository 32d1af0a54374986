"""All that exporting must know of one kind of model, as one object."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from repnext_mm.compat import require
from repnext_mm.export.image_input import ImageInput
from repnext_mm.export.options import ExportOptions
from repnext_mm.runtime import READERS, Session

Axes = Mapping[str, Mapping[int, str]]
"""For each output of a graph the names of the axes that stay open."""

Reader = TypeVar('Reader')
Prediction = TypeVar('Prediction')


class ExportGraph(Protocol):
    """A ``torch.nn.Module`` that can be traced: images ``(N, H, W, 3)`` uint8, RGB, to tensors."""

    image: ImageInput
    """The first step of the graph."""

    dynamic_batch: bool
    """Whether the graph takes any number of images at a time, or one."""

    @property
    def output_names(self) -> Sequence[str]:
        """The names of the outputs, in order."""

    @property
    def dynamic_axes(self) -> Axes:
        """The axes of the outputs that are open where images may have any size."""

    @property
    def static_axes(self) -> Axes:
        """The axes that are open for images of one size, too."""

    def __call__(self, images: Tensor) -> Tensor | tuple[Tensor, ...]: ...


class Task(ABC, Generic[Reader, Prediction]):
    """A kind of model: its graph, its predictions in torch and from a file, and their comparison.

    The exporter, the proof, the evaluation and the tools ask nothing but this.
    """

    name: ClassVar[str]
    """The ``task`` in the file's metadata, by which its reader is found."""

    package: ClassVar[str] = ''
    """The mm package of such models, which is also the scope of their configs."""

    sample_class: ClassVar[str] = ''
    """The package's data sample."""

    parts: ClassVar[tuple[str, ...]]
    """The attributes of a model that hold the weights of the file; none for the whole model."""

    limits: ClassVar[Mapping[str, Mapping[str, float]]]
    """For each precision the differences between torch and the file that are allowed."""

    roundings: ClassVar[int] = 0
    """How often torch runs again with other rounding where a comparison fails, to see by how much
    it differs from itself; twice that is allowed on top."""

    counts_rows: ClassVar[bool] = False
    """Whether a graph for several images says how many rows are each one's; others have a row for each."""

    keeps_positions: ClassVar[bool] = False
    """Whether positions in the image count, so that a test pipeline must not crop."""

    metrics: ClassVar[tuple[str, ...]] = ()
    """The names of the metrics that count, as the package's evaluators call them."""

    metric_scale: ClassVar[float] = 1.0
    """Brings them to the scale of 0 to 1."""

    @abstractmethod
    def accepts(self, model: nn.Module) -> bool:
        """Whether a model is of this kind; the graph may still refuse a part of it."""

    def parts_of(self, part: str) -> tuple[str, ...]:
        """The attributes of a model that hold the weights of a part of it."""
        return self.parts

    @abstractmethod
    def graph(self, model: nn.Module, image: ImageInput, options: ExportOptions) -> ExportGraph:
        """The traceable module for a model in evaluation mode.

        Raises:
            ValueError: If the model has a part that cannot be exported; the message names it.
        """

    @abstractmethod
    def predict(self, model: Any, image: np.ndarray) -> Prediction:
        """Asks the model in torch, by its own package's code.

        Args:
            model: What :meth:`subject` returns.
            image: ``(H, W, 3)`` uint8, RGB.
        """

    @abstractmethod
    def read(self, reader: Reader, image: np.ndarray) -> Prediction:
        """Asks the file for the same image."""

    def read_together(self, reader: Reader, images: Sequence[np.ndarray]) -> Sequence[Prediction]:
        """Asks the file for several images of one size at once, where rows are counted."""
        raise TypeError(f'a file for {self.name} has a row for each image')

    @abstractmethod
    def compare(self, expected: Prediction, found: Prediction) -> dict[str, float]:
        """The differences of two predictions, by the names in :attr:`limits`."""

    def check_options(self, options: ExportOptions) -> None:
        """Makes sure that the options are for this kind of model.

        Raises:
            ValueError: If one is not.
        """
        if isinstance(options.batch, int) and options.batch > 1 and not self.counts_rows:
            raise ValueError(
                f'a file for {self.name} takes any number of images, or with static=True one: '
                f'leave batch={options.batch} out'
            )
        if options.argmax:
            raise ValueError(
                f'argmax is for segmentors, this model is for {self.name}: leave it out'
            )

    def fixed_shape(self, model: nn.Module) -> tuple[int, int] | None:
        """The height and width that a static file must have; None for any."""
        return None

    def details(
        self, model: nn.Module, graph: ExportGraph, options: ExportOptions
    ) -> dict[str, Any]:
        """The task's own entries of the file's metadata, plain values."""
        return {}

    def subject(self, model: nn.Module, graph: ExportGraph) -> Any:
        """The one of the two that :meth:`predict` asks."""
        return model

    def open(self, session: Session) -> Reader:
        """The reader of an opened file."""
        return READERS[self.name](session)  # type: ignore[return-value]

    def count(self, expected: Prediction, found: Prediction) -> int | None:
        """The number of objects in both predictions; None where none are counted."""
        return None

    def allowed(
        self, precision: str, count: int | None, instability: Mapping[str, float]
    ) -> dict[str, float]:
        """The limits of a comparison.

        Args:
            precision: Of the file.
            count: Of :meth:`count`.
            instability: The differences of torch from itself.
        """
        usual = self.limits[precision]
        return {name: limit + 2 * instability.get(name, 0.0) for name, limit in usual.items()}

    # --- In the place of a model of the package ---

    def new_sample(self, size: tuple[int, int]) -> Any:
        """An empty data sample of the package for an image ``(height, width)`` as it is."""
        structures = require(f'{self.package}.structures', f'a model for {self.name}')
        meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
        return getattr(structures, self.sample_class)(metainfo=meta)

    def otherwise(
        self, test_cfg: Mapping[str, Any], details: Mapping[str, Any]
    ) -> dict[str, tuple[Any, Any]]:
        """Where a ``test_cfg`` says otherwise than a graph, which has it for good.

        Args:
            test_cfg: Of a model.
            details: The task's own entries of a file's metadata.

        Returns:
            By the names of the reader's ``details`` the file's value and the config's.
        """
        return {}

    def adopt_test_cfg(self, reader: Reader, test_cfg: Mapping[str, Any]) -> None:
        """Lets a reader test as a model's ``test_cfg`` says, as far as a file leaves it open."""

    def prepare_samples(self, samples: Sequence[Any]) -> None:
        """Does to data samples what the package's data preprocessor does besides images."""

    def fill(self, reader: Reader, image: np.ndarray, sample: Any) -> Any:
        """Asks a file and writes the answer into a data sample, as the package's models do.

        Args:
            reader: Of :meth:`open`.
            image: ``(H, W, 3)`` uint8, RGB, of the network's size.
            sample: The image's data sample.

        Returns:
            The sample.
        """
        raise TypeError(f'no data sample takes {self.name}')

    @torch.no_grad()
    def run_package(self, model: Any, inputs: Any, size: tuple[int, int]) -> Any:
        """The data sample that a model's own ``test_step`` fills for one image.

        Args:
            model: In evaluation mode.
            inputs: As the package's data preprocessor takes them.
            size: Height and width of the image.
        """
        (sample,) = model.test_step(dict(inputs=inputs, data_samples=[self.new_sample(size)]))
        return sample


def to_bgr(image: np.ndarray) -> Tensor:
    """An RGB image ``(H, W, 3)`` as OpenMMLab's pipelines give it: ``(3, H, W)``, BGR.

    It lies in memory so, for some heads ``view`` what convolutions make of it.
    """
    return torch.from_numpy(image[:, :, ::-1].transpose(2, 0, 1).copy())
