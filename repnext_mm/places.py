"""Where the files lie that belong to the package and are no modules of it: configs and tools."""

from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path

PACKAGE_FOLDER = Path(__file__).resolve().parent
HIDDEN = ('_base_', 'experiments')
"""Folders of ``configs`` with parts of configs, and with tables of them."""


def shipped(name: str) -> Path:
    """The folder ``configs`` or ``tools``: that of an installed package, else that of the clone.

    Raises:
        FileNotFoundError: If the package has been copied from its place without them.
    """
    for root in (PACKAGE_FOLDER / '.mim', PACKAGE_FOLDER.parent):
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(
        f'the folder {name!r} of RepNeXt-MM lies neither in {PACKAGE_FOLDER / ".mim"} nor in {PACKAGE_FOLDER.parent}: '
        'install repnext-mm again'
    )


def config_names(pattern: str = '*') -> list[str]:
    """The configs that can be trained, as paths below ``configs`` without ``.py``.

    Args:
        pattern: Those whose names match it, or have it in them.
    """
    folder = shipped('configs')
    paths = (path.relative_to(folder).with_suffix('') for path in folder.rglob('*.py'))
    names = sorted(path.as_posix() for path in paths if path.parts[0] not in HIDDEN)
    return [name for name in names if fnmatch(name, f'*{pattern.removesuffix(".py")}*')]


def named_config(name: str) -> str:
    """The path of a config: that of a file which is there, else of a config that is shipped.

    Args:
        name: A path, or the name of a shipped config, with or without ``.py`` and ``configs/``.

    Returns:
        The name as it is if there is neither, for the reader to complain of.
    """
    given = Path(name)
    if given.is_file() or given.is_absolute():
        return name
    relative = given.relative_to('configs') if given.parts[:1] == ('configs',) else given
    candidate = shipped('configs') / relative
    if candidate.suffix != '.py':
        candidate = candidate.with_name(f'{candidate.name}.py')
    return str(candidate) if relative.name and candidate.is_file() else name


def existing_config(name: str) -> str:
    """As :func:`named_config`, for a config that has to be there.

    Raises:
        FileNotFoundError: If it is not; the message lists names that are close.
    """
    path = named_config(name)
    if not Path(path).is_file():
        raise unknown_config(name)
    return path


def unknown_config(name: str) -> FileNotFoundError:
    """The error for a config that is neither a file nor shipped; it lists names that are close."""
    close = get_close_matches(Path(name).stem, [Path(known).stem for known in config_names()], n=3)
    listed = [known for stem in close for known in config_names() if Path(known).stem == stem]
    advice = f'is it one of {", ".join(dict.fromkeys(listed))}? ' if listed else ''
    return FileNotFoundError(
        f"there is no config {name!r}: {advice}'repnext-mm configs' lists those of RepNeXt-MM, which "
        f'are in {shipped("configs")}'
    )
