"""mmengine's configs: Python files are code, YAML and JSON files are data and nothing else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config

DATA_SUFFIXES = ('.json', '.yaml', '.yml')
KNOWN_PACKAGES = ('repnext_mm', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain')
"""The packages that a config of data may name."""


def read_config(path: str | Path) -> 'Config':
    """Reads a config as mmengine does, but that YAML and JSON can run nothing.

    Args:
        path: A ``.py`` file, which is run, as are Python files that any config inherits from; or a
            ``.yaml``, ``.yml`` or ``.json`` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file of data has objects of Python, or names what mmengine would import
            and call.
    """
    from mmengine.config import Config

    with yaml_as_data():
        if Path(path).suffix in DATA_SUFFIXES:
            try:
                cfg = Config.fromfile(path, import_custom_modules=False)
            except ValueError as error:
                raise ValueError(f'{path} cannot be read: {error}') from error
            _check_data(cfg, path)
        return Config.fromfile(path)


@contextmanager
def yaml_as_data() -> Iterator[None]:
    """Within it, mmengine reads YAML without the tags that call functions of Python."""
    from mmengine.fileio.handlers import yaml_handler

    before = yaml_handler.Loader
    read_yaml_as_data()
    try:
        yield
    finally:
        yaml_handler.Loader = before


def provide_bases(scope: str, find: Callable[[str], str]) -> None:
    """Makes ``_base_ = 'SCOPE::NAME'`` a config of another package than mmengine's own.

    mmengine writes bases so, for the packages of a list; its answers for these stay as they are.

    Args:
        scope: What stands in front of the colons.
        find: Gives the path of the config by what stands behind them.
    """
    from mmengine.config import Config

    if scope in _PROVIDED:
        return
    others = Config._get_cfg_path

    def find_base(base: str, filename: str) -> tuple[str, str | None]:
        given, separator, name = base.partition('::')
        if separator and given == scope:
            return find(name), None
        return others(base, filename)

    Config._get_cfg_path = staticmethod(find_base)
    _PROVIDED.add(scope)


_PROVIDED: set[str] = set()
"""Scopes of :func:`provide_bases`."""


def read_yaml_as_data() -> None:
    """Makes mmengine read YAML so in this process."""
    from mmengine.fileio.handlers import yaml_handler

    yaml_handler.Loader = _data_loader()


def _data_loader() -> type:
    """PyYAML's safe loader, whose refusals say what to do."""
    import yaml

    safe: Any = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)

    class DataLoader(safe):
        """Tuples are the only objects of Python that are data."""

    def refuse(loader: Any, suffix: str, node: Any) -> None:
        raise ValueError(
            f'line {node.start_mark.line + 1} has an object of Python, {node.tag!r}, and YAML is read '
            'as data alone: write it as plain YAML, or as a .py config, which is code'
        )

    def as_tuple(loader: Any, node: Any) -> tuple:
        return tuple(loader.construct_sequence(node, deep=True))

    DataLoader.add_multi_constructor('tag:yaml.org,2002:python/', refuse)
    DataLoader.add_constructor('tag:yaml.org,2002:python/tuple', as_tuple)
    return DataLoader


def _check_data(cfg: Any, path: str | Path) -> None:
    imports = (cfg.get('custom_imports') or {}).get('imports') or []
    modules = [imports] if isinstance(imports, str) else imports
    named = [f'custom_imports of {name!r}' for name in modules if _is_foreign(str(name), False)]
    for found in [*named, *_foreign_types(cfg.to_dict())]:
        raise ValueError(
            f'{path} has {found}, which would be imported: a config in YAML or JSON is data, and '
            f'names what is registered by {", ".join(KNOWN_PACKAGES)}. Write it as a .py config, which is '
            'code, if you trust it'
        )


def _foreign_types(part: Any) -> Iterator[str]:
    """The types in a config that mmengine would look for outside of its registries."""
    if isinstance(part, dict):
        for key, value in part.items():
            named = isinstance(key, str) and (key.endswith('type') or key == 'constructor')
            if named and isinstance(value, str) and _is_foreign(value, True):
                yield f'{key}={value!r}'
            yield from _foreign_types(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _foreign_types(value)


def _is_foreign(name: str, registered: bool) -> bool:
    """Whether a name is another package's, or, of what is registered, more than SCOPE.NAME."""
    first, *rest = name.split('.')
    if registered:
        return bool(rest) and (first not in KNOWN_PACKAGES or len(rest) > 1)
    return first not in KNOWN_PACKAGES
