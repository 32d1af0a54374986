"""Findings on Python, torch, torchvision, CUDA, OpenCV and the runtimes of exported files."""

from collections.abc import Iterator

from repnext_mm.doctor.diagnosis import FLOORS, Diagnosis, Examiner, is_older, release
from repnext_mm.doctor.facts import Facts

OLDEST_PYTHON, NEWEST_PYTHON = '3.10', '3.13'
SAFE_TORCH = '2.10'
"""Since when ``torch.load(weights_only=True)`` runs no code from any file known (CVE-2026-24747)."""

TORCHVISION_BEHIND = 15
"""torchvision 0.N + 15 belongs to torch 2.N, for all torch 2."""

WHEELS = {11: 'cu118', 12: 'cu126', 13: 'cu130'}
"""By the CUDA of a driver, the folder of torch's wheels that it runs."""

OPENCV = ('opencv-python', 'opencv-python-headless')
OPENCV_CONTRIB = ('opencv-contrib-python', 'opencv-contrib-python-headless')


def python_version(facts: Facts) -> Iterator[Diagnosis]:
    """Python itself, which no package here can be installed for if it is too old."""
    found = release(facts.python)[:2]
    if found < release(OLDEST_PYTHON):
        level, word = 'error', 'older than any that this package runs on'
    elif found > release(NEWEST_PYTHON):
        level, word = 'warning', 'newer than any that this package is tested with'
    else:
        return
    mend = "python3.12 -m venv .venv && .venv/bin/pip install 'repnext-mm[onedl]'"
    message = f'Python {facts.python} is {word} ({OLDEST_PYTHON} to {NEWEST_PYTHON})'
    yield Diagnosis(level, 'python-version', (), message, mend)  # type: ignore[arg-type]


def missing_packages(facts: Facts) -> Iterator[Diagnosis]:
    """What every part of this package needs, but for readers of ONNX and OpenVINO files: those need no torch."""
    for name in ('torch', 'torchvision', 'numpy'):
        if facts.imported(name).absent:
            floor = f'>={FLOORS[name]}' if name in FLOORS else ''
            works = 'nothing works' if name == 'numpy' else 'only ONNX and OpenVINO files work'
            message = f'{name} is not installed: {works} without it'
            mend = f"pip install '{name}{floor}'"
            if name == 'torchvision' and (matching := torchvision_of(facts)):
                mend = f"pip install 'torchvision=={matching}.*'"
            yield Diagnosis('error', 'missing', (name,), message, mend)


def old_packages(facts: Facts) -> Iterator[Diagnosis]:
    """Versions below those that work."""
    for name, floor in FLOORS.items():
        version = facts.distributions.get(name)
        if version is not None and is_older(version, floor):
            message = f'{name} {version} is older than {floor}, the oldest that is tested'
            mend = f"pip install --upgrade '{name}>={floor}'"
            yield Diagnosis('error', 'too-old', (name,), message, mend)


def torchvision_of(facts: Facts) -> str | None:
    """The torchvision that belongs to the installed torch, such as ``'0.26'``."""
    version = release(facts.distributions.get('torch', ''))
    return f'0.{version[1] + TORCHVISION_BEHIND}' if len(version) > 1 and version[0] == 2 else None


def build_of(facts: Facts, name: str) -> str:
    """What a package is built for, such as ``'cu130'``; empty where neither it nor pip says so."""
    words = (facts.imported(name).version or '', facts.distributions.get(name, ''))
    return next((tag for word in words if (tag := word.partition('+')[2])), '')


def torchvision_of_another_torch(facts: Facts) -> Iterator[Diagnosis]:
    """torchvision's operators are compiled for one torch and one CUDA."""
    versions = {name: facts.distributions.get(name) for name in ('torch', 'torchvision')}
    wanted, found = torchvision_of(facts), versions['torchvision']
    if wanted is None or found is None:
        return
    text = ' and '.join(f'{name} {version}' for name, version in versions.items())
    kind, packages = 'torchvision-of-another-torch', ('torchvision', 'torchvision.ops')
    if release(found)[:2] != release(wanted):
        message = f'{text} do not belong together: its operators fail'
        yield Diagnosis('error', kind, packages, message, f"pip install 'torchvision=={wanted}.*'")
        return
    builds = {name: build_of(facts, name) for name in versions}
    if len(set(builds.values()) - {''}) > 1:
        index = f'https://download.pytorch.org/whl/{builds["torch"]}'
        mend = (
            f"pip install --force-reinstall --no-deps 'torchvision=={wanted}.*' --index-url {index}"
        )
        message = f'{text} are built for {" and ".join(builds.values())}: operators may fail'
        yield Diagnosis('error', kind, packages, message, mend)


def unsafe_torch(facts: Facts) -> Iterator[Diagnosis]:
    """torch's reader of plain data had flaws, through which a checkpoint runs code."""
    version = facts.distributions.get('torch')
    if version and not is_older(version, FLOORS['torch']) and is_older(version, SAFE_TORCH):
        message = (
            f'torch {version} has a known flaw in its safe loader (CVE-2026-24747): a checkpoint '
            'from others may run code'
        )
        mend = f"pip install --upgrade 'torch>={SAFE_TORCH}' 'torchvision>=0.25'"
        yield Diagnosis('warning', 'unsafe-loader', ('torch',), message, mend)


def gpu_not_used(facts: Facts) -> Iterator[Diagnosis]:
    """A driver is there, and torch finds no GPU."""
    if facts.driver_cuda is None or facts.gpus or not facts.imported('torch').works:
        return
    major = release(facts.driver_cuda)[0]
    wheels = WHEELS.get(major, WHEELS[max(WHEELS)])
    mend = (
        'pip install --force-reinstall torch torchvision '
        f'--index-url https://download.pytorch.org/whl/{wheels}'
    )
    if facts.cuda is None:
        message = (
            f'there is an NVIDIA driver (CUDA {facts.driver_cuda}), and torch is built for CPUs'
        )
    elif release(facts.cuda)[0] > major:
        message = (
            f'torch is built for CUDA {facts.cuda}, and the NVIDIA driver runs '
            f'{facts.driver_cuda} at most'
        )
    else:
        message = f'torch, built for CUDA {facts.cuda}, finds no GPU although there is a driver'
        mend = 'nvidia-smi && env | grep CUDA_VISIBLE_DEVICES'
    yield Diagnosis('warning', 'gpu-not-used', (), f'{message}: everything runs on the CPU', mend)


def opencv_twice(facts: Facts) -> Iterator[Diagnosis]:
    """All distributions of OpenCV write the same folder; the last one stays, or a mixture."""
    versions = {n: v for n in (*OPENCV, *OPENCV_CONTRIB) if (v := facts.distributions.get(n))}
    lost = [name for name in versions if name in facts.lost_files]
    newest = max(versions.values(), key=release, default='')
    pins = ' '.join(f'{name}=={newest}' for name in versions)
    mend = f'pip install --force-reinstall --no-deps {pins}'
    if len(set(versions.values())) > 1:
        text = ', '.join(f'{name} {version}' for name, version in versions.items())
        message = f'OpenCV is there more than once and in several versions ({text}), in one folder'
        yield Diagnosis('error', 'opencv-twice', ('cv2',), message, mend)
    elif lost:
        message = f'files of {", ".join(lost)} are gone, as after another OpenCV was uninstalled'
        yield Diagnosis('error', 'opencv-twice', ('cv2',), message, mend)
    elif len(versions) > 1:
        message = (
            f'OpenCV {newest} is there {len(versions)} times, in one folder, as packages ask for '
            'each: keep their versions equal, and uninstall none alone'
        )
        yield Diagnosis('note', 'opencv-twice', (), message, mend)


def opencv_without_display(facts: Facts) -> Iterator[Diagnosis]:
    """The OpenCV with windows needs libraries of a desktop, which servers and containers lack."""
    error = facts.imported('cv2').error or ''
    if 'libGL' in error or 'libgthread' in error or 'libxcb' in error:
        version = next((v for n in OPENCV if (v := facts.distributions.get(n))), None)
        pin = f'=={version}' if version else ''
        message = f'OpenCV needs libraries of a desktop that are not there ({error})'
        mend = f'pip install --force-reinstall --no-deps opencv-python-headless{pin}'
        yield Diagnosis('error', 'opencv-without-display', ('cv2',), message, mend)


def runtimes_twice(facts: Facts) -> Iterator[Diagnosis]:
    """Both distributions of ONNX Runtime write the same folder."""
    both = ('onnxruntime', 'onnxruntime-gpu')
    if all(name in facts.distributions for name in both):
        message = 'onnxruntime and onnxruntime-gpu are installed, in one folder'
        mend = (
            'pip uninstall -y onnxruntime onnxruntime-gpu && '
            f"pip install 'onnxruntime-gpu>={FLOORS['onnxruntime']}'"
        )
        yield Diagnosis('error', 'onnxruntime-twice', ('onnxruntime',), message, mend)


NUMERIC_EXAMINERS: tuple[Examiner, ...] = (
    python_version,
    missing_packages,
    old_packages,
    torchvision_of_another_torch,
    unsafe_torch,
    gpu_not_used,
    opencv_twice,
    opencv_without_display,
    runtimes_twice,
)
