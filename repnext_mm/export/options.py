"""The options of an export."""

from dataclasses import InitVar, dataclass

from repnext_mm.deprecation import warn_of_old_name
from repnext_mm.reparam import FORMS, TRAINING
from repnext_mm.reparam.forms import AUTO

WHOLE = 'model'
PARTS = (WHOLE, 'backbone', 'backbone-neck')

DYNAMIC = 'dynamic'
"""As ``batch``: any number of images."""

MINIMUM_OPSET = 16
MAXIMUM_OPSET = 20


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export.

    Raises:
        ValueError: If a value does not exist; the message names it and those that do.
    """

    form: str = 'fused'
    """``'fused'``, ``'plain'`` or ``'training'``; ``'auto'`` for the merged one that is fastest here."""

    part: str = WHOLE
    """``'model'``, ``'backbone'`` or ``'backbone-neck'``."""

    format: str | None = None
    """A key of :data:`repnext_mm.export.formats.FORMATS`; None for the one of the file's ending."""

    shape: tuple[int, int] | None = None
    """Height and width to trace with; None for those of a 4:3 image in the config's pipeline."""

    static: bool = False
    """Take only this shape, and only batches of one, or of ``batch``."""

    batch: int | str | None = None
    """How many images the file takes at a time: a number, or ``'dynamic'``; None for one by a detector
    and any number by other models."""

    opset: int = 17
    """ONNX opset version, 16 to 20."""

    half: bool = False
    """Convolutions and linear layers in float16; boxes are still computed in float32."""

    float_input: bool = False
    """Take float32 images ``(N, 3, H, W)`` from 0 to 255, RGB, not uint8 ``(N, H, W, 3)``."""

    target: str | None = None
    """A key of :data:`repnext_mm.export.targets.TARGETS`: write an ONNX file that this runtime takes,
    for one size of images, or none."""

    argmax: bool = False
    """Segmentors put out classes instead of logits."""

    mode: InitVar[str | None] = None
    """The old name of ``form``, in which the training form was ``'none'``."""

    def __post_init__(self, mode: str | None) -> None:
        if mode is not None:
            warn_of_old_name("the option 'mode'", "'form'", stacklevel=4)
            object.__setattr__(self, 'form', TRAINING if mode == 'none' else mode)
        for name, value, known in (('form', self.form, (*FORMS, AUTO)), ('part', self.part, PARTS)):
            if value not in known:
                raise ValueError(f'unknown {name} {value!r}: choose from {known}')
        if self.shape is not None and min(self.shape) < 1:
            raise ValueError(f'the shape must be a positive height and width, got {self.shape}')
        check_batch(self.batch, self.static)
        check_opset(self.opset)


def check_batch(batch: int | str | None, static: bool) -> None:
    """Makes sure that a number of images is one.

    Raises:
        ValueError: If it is not; the message says what would be.
    """
    number = isinstance(batch, int) and not isinstance(batch, bool) and batch > 0
    if not number and batch not in (None, DYNAMIC):
        raise ValueError(f'batch={batch!r}: choose a positive number, {DYNAMIC!r} or None')
    if static and batch == DYNAMIC:
        raise ValueError(
            f'a static file takes one number of images: give it as batch=4, not {DYNAMIC!r}'
        )


def check_opset(opset: int) -> None:
    """Makes sure that RoIAlign means in ONNX what it means in torch.

    Raises:
        ValueError: If the opset is unknown to the exporter, or too old: before 16 RoIAlign
            has no half-pixel shift, and what is exported is wrong without any notice.
    """
    if not MINIMUM_OPSET <= opset <= MAXIMUM_OPSET:
        raise ValueError(
            f'opset {opset} does not work: choose one from {MINIMUM_OPSET} (the first in which '
            f'RoIAlign samples as in torch) to {MAXIMUM_OPSET} (the last that torch traces to)'
        )
