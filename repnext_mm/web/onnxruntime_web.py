"""The files of ONNX Runtime Web, from npm's package ``onnxruntime-web``.

They are not part of this package: a user downloads them once, with npm, or from wherever the
package is kept.
"""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE = 'onnxruntime-web'
TESTED = '1.30.0'
"""The version of the package with which the page is tested; others may work."""

RUNTIME_FILES = (
    'ort.wasm.min.mjs',
    'ort-wasm-simd-threaded.mjs',
    'ort-wasm-simd-threaded.wasm',
)
"""What the page needs of its folder ``dist``."""

GET_IT = f'npm pack {PACKAGE}@{TESTED}'


def read_package(place: Path) -> dict[str, bytes]:
    """Reads the files from where somebody has the package.

    Args:
        place: The archive that ``npm pack`` writes; the folder of the package, as npm installs
            it; or a folder with ``node_modules`` or the files themselves in it.

    Returns:
        Contents by name, with the ``package.json`` that says version and licence.

    Raises:
        FileNotFoundError: If there is nothing, or a file is missing.
        ValueError: If it is an archive that cannot be read.
    """
    if place.is_file():
        return _complete(_read_archive(place), place)
    folders = (place, place / 'dist', place / 'node_modules' / PACKAGE / 'dist')
    for folder in folders:
        if (folder / RUNTIME_FILES[0]).is_file():
            paths = [folder / name for name in RUNTIME_FILES]
            paths.append(folder.parent / 'package.json')
            return _complete(
                {path.name: path.read_bytes() for path in paths if path.is_file()}, place
            )
    raise FileNotFoundError(f'{place} is no archive or folder of {PACKAGE}: {GET_IT} writes one')


def _read_archive(path: Path) -> dict[str, bytes]:
    """The files of an archive; nothing is unpacked to the disk."""
    wanted = {f'package/dist/{name}': name for name in RUNTIME_FILES} | {
        'package/package.json': 'package.json'
    }
    found = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name in wanted else None
                if file is not None:
                    found[wanted[member.name]] = file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f'{path} is no archive of npm ({error}): {GET_IT} writes one') from error
    return found


def _complete(found: dict[str, bytes], place: Path) -> dict[str, bytes]:
    missing = [name for name in RUNTIME_FILES if name not in found]
    if missing:
        raise FileNotFoundError(
            f'{place} has no {missing[0]}: {PACKAGE} {TESTED} has it, get it with {GET_IT}'
        )
    return found


def download_package() -> dict[str, bytes]:
    """Downloads the tested version from npm's registry.

    Raises:
        FileNotFoundError: If npm is not installed.
        RuntimeError: If npm does not get it.
    """
    npm = shutil.which('npm')
    if npm is None:
        raise FileNotFoundError(
            f'npm is not installed: get {PACKAGE} {TESTED} with it elsewhere ({GET_IT}), and name '
            'the archive'
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, 'pack', '--ignore-scripts', f'--pack-destination={folder}']
        result = subprocess.run(
            [*command, f'{PACKAGE}@{TESTED}'], capture_output=True, text=True, check=False
        )
        archives = list(Path(folder).glob('*.tgz'))
        if result.returncode != 0 or not archives:
            raise RuntimeError(
                f'npm did not get {PACKAGE} {TESTED}: {result.stderr.strip()[-500:]}'
            )
        return read_package(archives[0])
