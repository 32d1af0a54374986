"""Where the files lie that belong to the package and are no modules of it: configs and tools."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """The folder ``configs`` or ``tools``: that of an installed package, else that of the clone.

    Raises:
        FileNotFoundError: If the package has been copied from its place without them.
    """
    for root in (PACKAGE / '.mim', PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(
        f'the folder {name!r} of RepNeXt-MM lies neither in {PACKAGE / ".mim"} nor in '
        f'{PACKAGE.parent}: install repnext-mm again'
    )
