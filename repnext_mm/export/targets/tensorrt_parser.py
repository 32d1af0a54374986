"""TensorRT's own parser, where the package ``tensorrt`` and a GPU are there."""

from pathlib import Path

from repnext_mm.compat import is_installed
from repnext_mm.export.targets.obstacles import Obstacle


def parse_with_tensorrt(path: Path) -> list[Obstacle]:
    """What TensorRT's parser says of an ONNX file; nothing where it is not installed.

    Args:
        path: The file.
    """
    if not is_installed('tensorrt'):
        return []
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    if builder is None:  # it needs NVIDIA's driver
        return []
    network = builder.create_network()
    parser = tensorrt.OnnxParser(network, logger)
    if parser.parse_from_file(str(path)):
        return []
    errors = (parser.get_error(number) for number in range(parser.num_errors))
    remedy = 'see the limits of its version in docs/operators.md of ONNX-TensorRT'
    return [Obstacle(f'node {error.node()}', error.desc(), remedy) for error in errors]
