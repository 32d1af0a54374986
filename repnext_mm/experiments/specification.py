"""What an experiment consists of: rows, columns and seeds, read from a config file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from repnext_mm.compat import read_config
from repnext_mm.reparam.forms import FORMS, TRAINING, check_form

EXPORTED_KINDS = ('onnx', 'int8')
"""Files that can be made of a trained row and tested; INT8 is made of ONNX."""

MEASURED_COLUMNS = ('name', 'image_size', 'parameters', 'flops', 'images_per_second')
"""What a column can show besides metrics."""

FOLDER_NAME = re.compile(r'[\w.+-]+')


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Raises:
        ValueError: If a text is empty.
    """

    title: str
    value: str
    """One of :data:`MEASURED_COLUMNS`, or the name of a metric as the evaluator has it."""

    scale: float = 1.0
    """The metric is multiplied by it: 100 makes percent of fractions."""

    digits: int = 2

    def __post_init__(self) -> None:
        if not self.title or not self.value:
            raise ValueError(f'a column needs a title and a value, got {self}')

    @property
    def is_metric(self) -> bool:
        """Whether it shows what the evaluator found."""
        return self.value not in MEASURED_COLUMNS


@dataclass(frozen=True)
class ExperimentRow:
    """A row of the table.

    Raises:
        ValueError: If the name cannot name a folder, or there is nothing to show.
    """

    name: str
    config: str | None = None
    """A config file, relative to that of the experiment; None for rows of published values."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the config, by dotted keys; values as a command line can give them."""

    seeds: Sequence[int] | None = None
    """None for those of the experiment."""

    published: Mapping[str, str] = field(default_factory=dict)
    """Published values by titles of columns, shown as such."""

    backbone: str | None = None
    """Another backbone for the config's recipe; see :func:`repnext_mm.configs.with_backbone`."""

    def __post_init__(self) -> None:
        if not FOLDER_NAME.fullmatch(self.name):
            raise ValueError(
                f'the row name {self.name!r} cannot name a folder: use letters, digits and _.+-'
            )
        nested = [key for key, value in self.options.items() if isinstance(value, Mapping)]
        if nested:
            raise ValueError(
                f'row {self.name!r}: the option {nested[0]!r} is a dict, which a command line cannot '
                f'give: use dotted keys, such as {nested[0]}.NAME'
            )
        if self.config is None and (self.backbone or self.options):
            raise ValueError(f'row {self.name!r} changes a config and names none: add its config')
        if self.config is None and not self.published:
            raise ValueError(f'row {self.name!r} has neither config nor published values')


@dataclass(frozen=True)
class Experiment:
    """A table to be filled.

    Raises:
        ValueError: If a value is not among the allowed ones.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[ExperimentRow]
    shape: tuple[int, int]
    """Height and width of the images for which arithmetic is counted, in pixels."""

    seeds: Sequence[int] = (0,)
    forms: Sequence[str] = FORMS
    """Forms to test; those that a network lacks are left out."""

    table_form: str = TRAINING
    """The form whose metrics the table shows."""

    files: Sequence[str] = ()
    """Of :data:`EXPORTED_KINDS`, made of the first seed of every row."""

    export_arguments: Sequence[str] = ()
    """For ``tools/export.py``, besides its output."""

    quantize_arguments: Sequence[str] = ()
    """For ``tools/quantize.py``, besides its output."""

    quantize_options: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the config of ``tools/quantize.py`` alone."""

    train_arguments: Sequence[str] = ()
    """For ``tools/train.py``, such as that of mixed precision."""

    pictures: int = 0
    """Test images to draw, with what the first seed of a row sees in them."""

    description: str = ''

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        twice = sorted({name for name in names if names.count(name) > 1})
        if not self.rows or not self.columns or twice:
            raise ValueError(
                f'{self.name}: an experiment needs rows and columns, and each row its own name; '
                f'twice there: {twice or "none"}'
            )
        for form in (*self.forms, self.table_form):
            check_form(form)
        if self.table_form not in self.forms:
            raise ValueError(
                f'{self.name}: table_form={self.table_form!r} is not among forms={self.forms}'
            )
        unknown = [kind for kind in self.files if kind not in EXPORTED_KINDS]
        if unknown or tuple(self.files) == ('int8',):
            raise ValueError(
                f"{self.name}: files must be (), ('onnx',) or ('onnx', 'int8'), got {self.files}"
            )
        if not self.seeds or min(self.shape) < 1:
            raise ValueError(f'{self.name}: needs a seed and a positive shape, got {self.shape}')

    @property
    def metrics(self) -> list[Column]:
        """The columns that show metrics."""
        return [column for column in self.columns if column.is_metric]

    def seeds_of(self, row: ExperimentRow) -> tuple[int, ...]:
        """The seeds with which a row is trained; none without a config."""
        if row.config is None:
            return ()
        return tuple(self.seeds if row.seeds is None else row.seeds)

    def choose(self, names: Sequence[str] | None) -> list[ExperimentRow]:
        """The rows of these names, in the order of the table; all for None.

        Raises:
            ValueError: If there is no such row.
        """
        known = [row.name for row in self.rows]
        unknown = [name for name in names or () if name not in known]
        if unknown:
            raise ValueError(
                f'{self.name} has no row {", ".join(map(repr, unknown))}: choose from {", ".join(known)}'
            )
        return [row for row in self.rows if names is None or row.name in names]

    def as_record(self) -> dict[str, Any]:
        """What the table needs of it, as JSON holds it."""
        kept = ('name', 'title', 'description', 'columns', 'shape', 'table_form')
        record = {name: getattr(self, name) for name in kept}
        published = {row.name: dict(row.published) for row in self.rows}
        columns = [asdict(column) for column in self.columns]
        return record | dict(columns=columns, shape=list(self.shape), published=published)


def read_experiment(path: Path) -> Experiment:
    """Reads an experiment from a config file, whose variables are the fields of :class:`Experiment`.

    Raises:
        FileNotFoundError: If there is no such file, or a row names a config that is not there.
        ValueError: If a variable is unknown, lacks, or has a wrong value.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no experiment {path}: those of RepNeXt-MM are in configs/experiments'
        )
    given = read_config(path).to_dict()
    known = {item.name for item in fields(Experiment)} - {'name'}
    if set(given) - known or not {'title', 'columns', 'rows', 'shape'} <= set(given):
        raise ValueError(
            f'{path} needs title, columns, rows and shape, and may have {", ".join(sorted(known))}; '
            f'got {", ".join(sorted(given))}'
        )
    columns = [_made(Column, column, path) for column in given.pop('columns')]
    rows = [_made(ExperimentRow, _located(row, path), path) for row in given.pop('rows')]
    return Experiment(name=path.stem, columns=columns, rows=rows, **given)


def _made(kind: Any, values: dict[str, Any], path: Path) -> Any:
    known = {item.name for item in fields(kind)}
    if set(values) - known:
        raise ValueError(
            f'{path}: unknown {", ".join(sorted(set(values) - known))} in {values}; '
            f'choose from {", ".join(sorted(known))}'
        )
    return kind(**values)


def _located(row: dict[str, Any], path: Path) -> dict[str, Any]:
    """A row whose config is relative to the working directory where it lies below it."""
    if row.get('config') is None:
        return row
    config = (path.parent / row['config']).resolve()
    if not config.is_file():
        raise FileNotFoundError(
            f'row {row.get("name")!r} of {path}: there is no config {row["config"]!r} beside it'
        )
    here = Path.cwd()
    return row | dict(
        config=str(config.relative_to(here) if config.is_relative_to(here) else config)
    )
