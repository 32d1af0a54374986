"""Imports packages one after the other, and prints a line of JSON before and after each.

Run as text by a Python of its own, so that an import which kills the process is found out too.
"""

import importlib
import importlib.util
import json
import sys
import warnings

PROBED = (
    'numpy',
    'torch',
    'torchvision',
    'cv2',
    'pycocotools.mask',
    'pkg_resources',
    'mmengine',
    'mmcv',
    'repnext_mm',
    'mmdet',
    'mmseg',
    'mmpretrain',
    'onnx',
    'onnxruntime',
    'openvino',
)
"""In an order in which none hides what is wrong with one before it."""


def tell(**entries):
    """Prints one line, at once."""
    print(json.dumps(entries), file=sys.__stdout__, flush=True)


def describe_error(error):
    """Class and first line of an error."""
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0] if lines else ""}'


def probe_package(name):
    """Imports one package, and tells its version or what it raised."""
    tell(begin=name)
    try:
        module = importlib.import_module(name)
    except BaseException as error:
        root = getattr(error, 'name', None)
        absent = isinstance(error, ModuleNotFoundError) and root == name.split('.')[0]
        tell(name=name, absent=absent, error=describe_error(error))
    else:
        tell(name=name, version=str(getattr(module, '__version__', '')) or None)


def probe_cuda():
    """Tells for which CUDA torch was built, and the GPUs that it finds."""
    tell(begin='torch.cuda')
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    tell(cuda=torch.version.cuda, gpus=names if torch.cuda.is_available() else [])


def probe_operators():
    """Tells whether torchvision's operators run, and which of mmcv's extension modules there is."""
    tell(begin='torchvision.ops')
    try:
        import torch
        from torchvision.ops import nms

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
    except Exception as error:
        tell(name='torchvision.ops', error=describe_error(error))
    else:
        tell(name='torchvision.ops', version=None)


def probe_extension():
    """Tells whether mmcv has compiled operators; asked for before anything stands in for them."""
    tell(begin='mmcv._ext')
    found = importlib.util.find_spec('mmcv') and importlib.util.find_spec('mmcv._ext')
    if found and found.origin != 'torchvision':
        probe_package('mmcv._ext')
    else:
        tell(name='mmcv._ext', absent=True, error='not compiled')


def probe_all(done):
    """Probes everything but what an earlier process died of, or has told already."""
    warnings.simplefilter('ignore')
    sys.stdout = sys.stderr
    for name in PROBED:
        if name not in done:
            probe_package(name)
        if name == 'torch' and 'torch' in sys.modules and 'torch.cuda' not in done:
            probe_cuda()
        if name == 'torchvision' and 'torchvision' in sys.modules and 'torchvision.ops' not in done:
            probe_operators()
        if name == 'mmcv' and 'mmcv' in sys.modules and 'mmcv._ext' not in done:
            probe_extension()


if __name__ == '__main__':
    probe_all(sys.argv[1:])
