"""Writes SHA256SUMS beside the files of a folder, which ``sha256sum --check SHA256SUMS`` reads.

python requirements/write_hashes.py dist
"""

import argparse
from pathlib import Path

from repnext_mm.files import file_digest, write_text

NAME = 'SHA256SUMS'


def write_hashes(folder: Path) -> Path:
    """Writes the hashes of all files of a folder, by name, and returns the list's path.

    Raises:
        FileNotFoundError: If there is no file in it.
    """
    files = sorted(path for path in folder.glob('*') if path.is_file() and path.name != NAME)
    if not files:
        raise FileNotFoundError(f'there is nothing in {folder} to be published')
    write_text(folder / NAME, ''.join(f'{file_digest(path)}  {path.name}\n' for path in files))
    return folder / NAME


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path)
    print(write_hashes(parser.parse_args().folder).read_text(), end='')
