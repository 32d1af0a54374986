"""Findings on the mm packages: which distribution, what they need, mmcv's operators."""

from collections.abc import Iterator

from repnext_mm.compat.packages import INSTALL, compile_command
from repnext_mm.doctor.diagnosis import Diagnosis, Examiner, is_older, release
from repnext_mm.doctor.facts import Facts

CLASSIC: dict[str, tuple[str, ...]] = {
    'mmengine': ('mmengine', 'mmengine-lite'),
    'mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full'),
    'mmdet': ('mmdet',),
    'mmseg': ('mmsegmentation',),
    'mmpretrain': ('mmpretrain', 'mmcls'),
}
ONEDL: dict[str, tuple[str, ...]] = {
    'mmengine': ('onedl-mmengine',),
    'mmcv': ('onedl-mmcv',),
    'mmdet': ('onedl-mmdetection',),
    'mmseg': ('onedl-mmsegmentation',),
    'mmpretrain': ('onedl-mmpretrain',),
}
"""Distributions of OpenMMLab and of OneDL, by import name."""

CLASSIC_INSTALL = "pip install 'repnext-mm[openmmlab]'"
CLASSIC_CEILINGS = {'mmdet': '2.2', 'mmsegmentation': '2.2'}
"""The mmcv that the last releases of OpenMMLab refuse."""

SETUPTOOLS_CEILING = '82'
"""From here on there is no ``pkg_resources``."""

SETUPTOOLS_FLOOR = '66'
"""Before it, ``pkg_resources`` cannot be imported on Python 3.12 and later."""

TRANSFORMERS_CEILING = '5'
MIM = ('openmim', 'opendatalab', 'openxlab')


def owners(facts: Facts, table: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """The installed distributions of a table by import name, those with none left out."""
    found = {key: [n for n in names if n in facts.distributions] for key, names in table.items()}
    return {key: names for key, names in found.items() if names}


def renewal(facts: Facts, command: str) -> str:
    """The line that removes all mm packages and installs those of one distribution."""
    both = (owners(facts, CLASSIC), owners(facts, ONEDL))
    names = sorted({name for found in both for group in found.values() for name in group})
    return f'pip uninstall -y {" ".join(names)} && {command}' if names else command


def both_distributions(facts: Facts) -> Iterator[Diagnosis]:
    """One distribution over the other: both write the same folders."""
    classic, onedl = owners(facts, CLASSIC), owners(facts, ONEDL)
    twice = [name for name in classic if name in onedl]
    packages = tuple(CLASSIC)
    if twice:
        message = (
            f'{", ".join(twice)} came from OpenMMLab and from OneDL, one over the other: what is '
            'there now is a mixture of both'
        )
        yield Diagnosis('error', 'mixed-mm', packages, message, renewal(facts, INSTALL))
    elif classic and onedl:
        listed = [f'{", ".join(sorted(found))} of {who}' for found, who in
                  ((classic, 'OpenMMLab'), (onedl, 'OneDL'))]  # fmt: skip
        message = f'{" and ".join(listed)} are installed together, which nobody tests'
        yield Diagnosis('warning', 'mixed-mm', (), message, renewal(facts, INSTALL))


def variants_of_mmcv(facts: Facts) -> Iterator[Diagnosis]:
    """mmcv, mmcv-lite and mmcv-full write the same folder."""
    for names in owners(facts, CLASSIC).values():
        if len(names) > 1:
            message = f'{" and ".join(names)} are installed, in one folder'
            mend = renewal(facts, CLASSIC_INSTALL)
            yield Diagnosis('error', 'mmcv-twice', tuple(CLASSIC), message, mend)


def lost_files(facts: Facts) -> Iterator[Diagnosis]:
    """Uninstalling one distribution takes files of the other with it."""
    known = {n: k for table in (CLASSIC, ONEDL) for k, names in table.items() for n in names}
    for name, number in facts.lost_files.items():
        if name in known:
            version = facts.distributions[name]
            message = f'{number} modules of {name} {version} are gone'
            mend = f'pip install --force-reinstall --no-deps {name}=={version}'
            yield Diagnosis('error', 'lost-files', (known[name],), message, mend)


def no_mm_packages(facts: Facts) -> Iterator[Diagnosis]:
    """Without them there are networks and exported files, and no training."""
    absent = [name for name in CLASSIC if facts.imported(name).absent]
    command = CLASSIC_INSTALL if owners(facts, CLASSIC) else INSTALL
    if len(absent) == len(CLASSIC):
        message = 'the mm packages are not installed: networks and exported files work without'
        yield Diagnosis('note', 'no-mm', tuple(absent), message, command)
    elif {'mmengine', 'mmcv'} & set(absent):
        message = f'{" and ".join(absent)} are missing, and others of the mm packages are there'
        yield Diagnosis('error', 'missing-mm', tuple(absent), message, command)
    elif absent:
        message = f'{" and ".join(absent)} are not installed: their configs do not run'
        yield Diagnosis('note', 'missing-mm', tuple(absent), message, command)


def mmcv_too_new(facts: Facts) -> Iterator[Diagnosis]:
    """The last mmdet and mmsegmentation of OpenMMLab check mmcv's version when imported."""
    found = owners(facts, CLASSIC).get('mmcv', [])
    for name in found:
        version = facts.distributions[name]
        refused = [
            package
            for package, ceiling in CLASSIC_CEILINGS.items()
            if package in facts.distributions and not is_older(version, ceiling)
        ]
        if refused:
            message = f'{name} {version} is newer than {" and ".join(refused)} take: below 2.2'
            mend = f"pip install '{name}>=2.1.0,<2.2'"
            yield Diagnosis('error', 'mmcv-too-new', ('mmdet', 'mmseg'), message, mend)


def setuptools_of_mmengine(facts: Facts) -> Iterator[Diagnosis]:
    """OpenMMLab's mmengine reads configs of packages through setuptools' ``pkg_resources``."""
    if 'mmengine' not in owners(facts, CLASSIC) or facts.imported('pkg_resources').works:
        return
    version = facts.distributions.get('setuptools')
    if version is None:
        reason = 'setuptools is not installed'
    elif not is_older(version, SETUPTOOLS_CEILING):
        reason = f'setuptools {version} has no pkg_resources any more'
    elif release(facts.python) >= (3, 12) and is_older(version, SETUPTOOLS_FLOOR):
        reason = f'setuptools {version} does not work with Python {facts.python}'
    else:
        reason = f'pkg_resources cannot be imported ({facts.imported("pkg_resources").error})'
    message = f'{reason}: mmengine of OpenMMLab reads the configs of packages with it'
    mend = f"pip install 'setuptools>={SETUPTOOLS_FLOOR},<{SETUPTOOLS_CEILING}'"
    yield Diagnosis('error', 'setuptools', ('mmengine', 'pkg_resources'), message, mend)


def openmim(facts: Facts) -> Iterator[Diagnosis]:
    """openmim's dependencies pin old versions of what others need."""
    found = [name for name in MIM if name in facts.distributions]
    if not found:
        return
    setuptools = facts.distributions.get('setuptools', '')
    hurts = bool(setuptools) and is_older(setuptools, SETUPTOOLS_FLOOR)
    held = f', and setuptools is {setuptools} now' if hurts else ''
    message = (
        f'{", ".join(found)} hold setuptools, requests, tqdm and rich at versions of 2023{held}: '
        'install packages with pip'
    )
    mend = (
        f'pip uninstall -y {" ".join(found)} && pip install --upgrade requests tqdm rich '
        f"'setuptools>={SETUPTOOLS_FLOOR},<{SETUPTOOLS_CEILING}'"
    )
    yield Diagnosis('warning', 'openmim', (), message, mend)


def transformers_of_mmpretrain(facts: Facts) -> Iterator[Diagnosis]:
    """mmpretrain imports transformers where it is, and does not know its version 5."""
    version = facts.distributions.get('transformers')
    if version and not facts.imported('mmpretrain').absent:
        if not is_older(version, TRANSFORMERS_CEILING):
            message = f'mmpretrain cannot be imported beside transformers {version}'
            mend = f"pip install 'transformers<{TRANSFORMERS_CEILING}'"
            yield Diagnosis('error', 'transformers', ('mmpretrain',), message, mend)


def operators(facts: Facts) -> Iterator[Diagnosis]:
    """mmcv's operators: compiled, compiled for another torch, or stood in for."""
    if not facts.imported('mmcv').works:
        return
    extension, mend = facts.imported('mmcv._ext'), compile_command(facts.distributions)
    if extension.broken:
        message = f'the compiled operators of mmcv belong to another torch ({extension.error})'
        yield Diagnosis('error', 'operators', ('mmcv._ext', 'mmdet', 'mmseg'), message, mend)
    elif extension.absent:
        message = (
            "mmcv has no compiled operators: torch's and torchvision's stand in for those that mmdet and "
            'mmseg need, but for deform_roi_pool and rotated boxes'
        )
        yield Diagnosis('note', 'operators', ('mmcv._ext',), message, mend)


MM_EXAMINERS: tuple[Examiner, ...] = (
    both_distributions,
    variants_of_mmcv,
    lost_files,
    no_mm_packages,
    mmcv_too_new,
    setuptools_of_mmengine,
    openmim,
    transformers_of_mmpretrain,
    operators,
)
