"""Whether OpenCV's dnn module runs an ONNX file and computes what ONNX Runtime does.

It has no list of what it takes that could be read as rules: its parser and its layers say so.
"""

from pathlib import Path

import numpy as np

from repnext_mm.export.comparison import ARRAY_LIMITS, compare_arrays
from repnext_mm.export.targets.obstacles import Obstacle
from repnext_mm.runtime import Session, open_session

ERROR_LENGTH = 300
"""Characters of an error of OpenCV, which begin with its own place in files of C++."""

OTHER_MODELS = (
    'export a segmentor, a classifier or a backbone (part="backbone"); OpenCV has no graphs whose '
    'tensors depend on what was found, as in whole detectors'
)


def check_for_opencv(path: Path) -> list[Obstacle]:
    """Runs a file on an image of noise in OpenCV and in ONNX Runtime.

    Args:
        path: An ONNX file of this exporter.

    Raises:
        ImportError: If OpenCV, onnx or ONNX Runtime is missing.
    """
    reference = open_session(path)
    static = reference.spec.input.static_shape
    if static is None:
        reason = 'it takes images of any size, and OpenCV needs the sizes of all tensors'
        return [Obstacle(path.name, reason, 'export with static=True')]
    image = np.random.default_rng(0).integers(0, 256, (1, *static, 3), np.uint8)
    limit = ARRAY_LIMITS.get(reference.spec.precision, ARRAY_LIMITS['float16'])['features']
    try:
        session = open_session(path, 'opencv')
        found = session(image)
    except Exception as error:  # OpenCV's own class, and ours when the file is opened
        text = ' '.join(str(error).split())
        return [Obstacle(path.name, f'OpenCV cannot run it ({text[-ERROR_LENGTH:]})', OTHER_MODELS)]
    return _differences(path, reference, image, found, limit)


def _differences(
    path: Path, reference: Session, image: np.ndarray, found: dict[str, np.ndarray], limit: float
) -> list[Obstacle]:
    import torch

    rows = []
    for name, expected in reference(image).items():
        difference = compare_arrays([torch.as_tensor(expected)], [found[name]])['features']
        if not difference <= limit:
            reason = f'OpenCV computes {name} with a difference of {difference:.1e}'
            rows.append(
                Obstacle(path.name, reason, 'use ONNX Runtime, or another part of the model')
            )
    return rows
