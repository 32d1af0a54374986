"""Packaging. Everything that is not code for setuptools is in pyproject.toml."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
MIM = ('configs', 'tools', 'model-index.yml')
"""What OpenMMLab packages carry in ``.mim``, where mim and users look for it."""

TORCH = ['torch>=2.4', 'torchvision>=0.19']
"""For the networks. Who only runs exported ONNX files, or brings mm packages, needs none of it from here."""

ONEDL = [
    *TORCH,
    'onedl-mmengine>=0.10.12',
    'onedl-mmcv>=2.3.6',
    'onedl-mmdetection>=3.5.1',
    'onedl-mmsegmentation>=1.4.2',
    'onedl-mmpretrain>=1.3.6',
    'timm>=1.0',
]
OPENMMLAB = [
    *TORCH,
    'mmengine>=0.10.7',
    'mmcv-lite>=2.1.0,<2.2',  # mmdet 3.3 and mmsegmentation 1.2 refuse newer ones
    'mmdet>=3.3.0',
    'mmsegmentation>=1.2.2',
    'mmpretrain>=1.2.0',
    'timm>=1.0',
    'ftfy',
    'regex',
    'setuptools<82',  # mmengine 0.10 reads configs of packages through pkg_resources
]
ONNX = ['onnx>=1.16', 'onnxruntime>=1.20']
OPENVINO = ['onnx>=1.16', 'openvino>=2026.1']
COREML = ['coremltools>=9.0']
NCNN = ['ncnn>=1.0.20261020', 'pnnx>=20261020']
LITERT = ['ai-edge-litert>=2.3']
"""To run LiteRT's files; what writes them is in requirements/litert.txt."""
RUNTIME = ['onnxruntime>=1.20', 'opencv-python-headless', 'pillow>=10.1', 'matplotlib']
"""To use exported ONNX files where none of the mm packages is installed."""
COCO = ['faster-coco-eval>=1.8']
"""For ``FasterCocoMetric`` of OneDL's mmdet, in the place of pycocotools."""
ANALYSIS = ['hotcoco>=1.3', 'matplotlib']
"""For ``tools/analyze.py`` with detectors: kinds of errors, thresholds, confusions."""
NNCF = ['nncf>=3.0', *OPENVINO]
"""For ``tools/quantize.py --method nncf``."""
PRUNING = ['torch-pruning>=1.6']
CAM = ['grad-cam>=1.5.4,<1.5.6']
"""For ``tools/show_features.py --cam``. From 1.5.7 on it takes opencv-python-headless, which overwrites files
of the opencv-python that the mm packages bring."""
DATA = ['pillow>=10.1', 'pycocotools', 'pyyaml', 'rich']
"""For ``tools/convert_dataset.py`` and ``tools/predict.py``; the mm packages bring all of it."""
SERVE = [
    'starlette>=1.0',
    'uvicorn>=0.30',
    'python-multipart>=0.0.20',
    'prometheus-client>=0.20',
]
"""For ``python -m repnext_mm.serve``, besides the runtime of the file."""
TRACKERS = ('tensorboard', 'wandb', 'mlflow', 'swanlab')
"""For ``tools/train.py --track``, an extra of its name for each."""
DEV = ['build', 'hypothesis', 'mypy', 'pytest', 'pytest-timeout', 'pytest-xdist', 'ruff']

PYTHONS = ('3.10', '3.11', '3.12', '3.13')
"""Tested on hosted machines."""
KEYWORDS = [
    'RepNeXt',
    'structural re-parameterization',
    'backbone',
    'OpenMMLab',
    'object detection',
    'instance segmentation',
    'semantic segmentation',
    'image classification',
    'ONNX',
    'quantization',
]
PAPERS = {
    'Paper of RepNeXt-M': 'https://arxiv.org/abs/2406.16004',
    'Paper of RepVGG': 'https://arxiv.org/abs/2101.03697',
}
"""Those of CITATION.cff."""


def version() -> str:
    namespace: dict[str, str] = {}
    exec((ROOT / 'repnext_mm' / 'version.py').read_text(), namespace)
    return namespace['__version__']


def index_page(readme: str) -> str:
    """README.md for a package index, which has none of the repository's files.

    What stands between the marks is left out: pictures, what belongs to them, other languages. Links to
    files become their texts. Code stays, and so do links to other hosts.
    """
    text = re.sub(r'<!-- repository -->\n.*?<!-- /repository -->\n+', '', readme, flags=re.DOTALL)
    parts = re.split(r'(^```.*?^```$)', text, flags=re.MULTILINE | re.DOTALL)
    link = r'\[([^\[\]]*)\]\((?![a-z]+:|#)[^()]*\)'
    parts[::2] = [re.sub(link, r'\1', part) for part in parts[::2]]
    return ''.join(parts)


class BuildWithMim(build_py):
    """Also copies the files of :data:`MIM` into the built package."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / 'repnext_mm' / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in MIM:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns('__pycache__')
                shutil.copytree(source, target / name, ignore=ignored)
            else:
                shutil.copy2(source, target / name)


setup(
    name='repnext-mm',
    version=version(),
    description='RepNeXt backbones for OpenMMLab: train with branches, test and ship without',
    long_description=index_page((ROOT / 'README.md').read_text(encoding='utf-8')),
    long_description_content_type='text/markdown',
    author='The RepNeXt-MM authors',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords=KEYWORDS,
    project_urls=PAPERS,
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Natural Language :: English',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        *(f'Programming Language :: Python :: {version}' for version in PYTHONS),
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    packages=find_packages(include=['repnext_mm', 'repnext_mm.*']),
    package_data={'repnext_mm.viewer': ['assets/*']},
    python_requires='>=3.10',
    install_requires=['filelock', 'numpy', 'safetensors'],
    extras_require={
        'torch': TORCH,
        'onedl': ONEDL,
        'openmmlab': OPENMMLAB,
        'onnx': ONNX,
        'openvino': OPENVINO,
        'coreml': COREML,
        'ncnn': NCNN,
        'litert': LITERT,
        'runtime': RUNTIME,
        'coco': COCO,
        'analysis': ANALYSIS,
        'nncf': NNCF,
        'pruning': PRUNING,
        'cam': CAM,
        'data': DATA,
        'serve': SERVE,
        **{name: [name] for name in TRACKERS},
        'dev': DEV,
    },
    entry_points={'console_scripts': ['repnext-mm = repnext_mm.commands.__main__:main']},
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False,
)
