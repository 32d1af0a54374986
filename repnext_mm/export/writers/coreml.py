"""Core ML's ``.mlpackage``, an ML program, by coremltools."""

from pathlib import Path
from types import ModuleType

from repnext_mm.compat import require_coremltools
from repnext_mm.export.job import INPUT, Job, silent, traced
from repnext_mm.runtime.spec import KEY


def require_coreml_converter() -> ModuleType:
    """Imports coremltools, which writes packages and reads them.

    Raises:
        ImportError: If it is not installed.
    """
    return require_coremltools('exporting to Core ML')


def write_coreml(job: Job, path: Path) -> None:
    """Writes a folder whose input is a picture, for iOS 15 or macOS 12 and later.

    The app feeds a ``CVPixelBuffer`` or a ``CGImage`` of the file's size; normalization is in the
    graph, for Core ML's scale and bias know one scale for all channels.

    Args:
        job: With float images; ``half`` makes weights and activations float16.
        path: Of the folder, which is replaced if it is there.

    Raises:
        ImportError: If coremltools is not installed.
        ValueError: If it cannot convert the graph.
    """
    coremltools = require_coreml_converter()
    precision = coremltools.precision
    image = coremltools.ImageType(
        name=INPUT, shape=tuple(job.images.shape), color_layout=coremltools.colorlayout.RGB
    )
    with silent('coremltools'):
        try:
            model = coremltools.convert(
                traced(job),
                inputs=[image],
                outputs=[coremltools.TensorType(name=name) for name in job.graph.output_names],
                convert_to='mlprogram',
                compute_precision=precision.FLOAT16 if job.half else precision.FLOAT32,
                minimum_deployment_target=coremltools.target.iOS15,
                skip_model_load=True,
            )
        except (NotImplementedError, ValueError) as error:
            raise ValueError(f'coremltools cannot convert this model: {error}') from error
        model.user_defined_metadata[KEY] = job.spec.to_text()
        model.save(str(path))
