"""All findings on an environment, and how they are told."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from repnext_mm.doctor import mm_packages, numeric
from repnext_mm.doctor.diagnosis import Diagnosis
from repnext_mm.doctor.facts import Facts, Imported

DISTRIBUTIONS = {
    'cv2': 'opencv-python-headless',
    'mmseg': 'mmsegmentation',
    'pycocotools.mask': 'pycocotools',
    'torchvision.ops': 'torchvision',
    'repnext_mm': 'repnext-mm',
}
"""Distributions that have another name than what is imported, where the mm packages' own tables
do not say it."""

TOLD = (
    'torch',
    'torchvision',
    'numpy',
    'cv2',
    'mmengine',
    'mmcv',
    'mmdet',
    'mmseg',
    'mmpretrain',
    'onnx',
    'onnxruntime',
    'openvino',
)
"""Packages that the report lists."""


def examine(facts: Facts) -> list[Diagnosis]:
    """All findings on an environment, errors first."""
    examiners = (*numeric.NUMERIC_EXAMINERS, *mm_packages.MM_EXAMINERS)
    found = [finding for examiner in examiners for finding in examiner(facts)]
    found += broken_imports(facts, found)
    order = ('error', 'warning', 'note')
    return sorted(found, key=lambda finding: order.index(finding.level))


def broken_imports(facts: Facts, found: list[Diagnosis]) -> Iterator[Diagnosis]:
    """Packages that cannot be imported for a reason that no other error explains."""
    explained = {name for finding in found if finding.level == 'error' for name in finding.packages}
    for name, imported in facts.imports.items():
        if not imported.broken or name in explained or name in ('pkg_resources', 'mmcv._ext'):
            continue
        if follows_from_another(facts, imported) or (name == 'repnext_mm' and explained):
            continue
        distribution = distribution_of(facts, name)
        version = facts.distributions.get(distribution)
        pinned = f'{distribution}=={version}' if version else distribution
        yield Diagnosis(
            'error',
            'broken-import',
            (name,),
            f'{name} cannot be imported ({imported.error})',
            f'pip install --force-reinstall {pinned}',
        )


def follows_from_another(facts: Facts, imported: Imported) -> bool:
    """Whether a package only lacks one that is missing itself, which is told already."""
    match = re.search(r"No module named '(\w+)", imported.error or '')
    return match is not None and not facts.imports.get(match.group(1), Imported()).works


def distribution_of(facts: Facts, name: str) -> str:
    """The installed distribution that an import name belongs to."""
    for table in (mm_packages.ONEDL, mm_packages.CLASSIC):
        for candidate in table.get(name, ()):
            if candidate in facts.distributions:
                return candidate
    return DISTRIBUTIONS.get(name, name)


def as_json(facts: Facts, findings: list[Diagnosis]) -> dict[str, Any]:
    """Plain values of everything."""
    return dict(
        facts=dataclasses.asdict(facts),
        findings=[finding._asdict() for finding in findings],
        works=works(findings),
    )


def as_text(facts: Facts, findings: list[Diagnosis]) -> str:
    """A report for people: versions, then each finding with the line that mends it."""
    lines = [f'Python {facts.python}, {facts.system}']
    for name in TOLD:
        imported, distribution = facts.imported(name), distribution_of(facts, name)
        version = imported.version or facts.distributions.get(distribution) or ''
        state = 'not installed' if imported.absent else version
        origin = f' ({distribution})' if distribution.startswith('onedl-') else ''
        broken = ', cannot be imported' if imported.broken else ''
        lines.append(f'{name:>12} {state}{origin}{broken}')
    gpus = ', '.join(facts.gpus) or 'none that torch can use'
    lines += [f'{"GPU":>12} {gpus}', '']
    for finding in findings:
        lines += [f'{finding.level}: {finding.message} [{finding.kind}]', f'    {finding.mend}']
    errors = sum(finding.level == 'error' for finding in findings)
    lines.append(f'{errors} error(s): the lines below them mend each' if errors else 'No errors.')
    return '\n'.join(lines)


def works(findings: list[Diagnosis]) -> bool:
    """Whether nothing is broken."""
    return all(finding.level != 'error' for finding in findings)
