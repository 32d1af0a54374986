"""From a trained model to a file that another runtime reads, and the proof that it is the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from repnext_mm.export.comparison import Comparison
from repnext_mm.export.fastest import fastest_file
from repnext_mm.export.formats import FORMATS, check_format, format_of, settled
from repnext_mm.export.options import ExportOptions
from repnext_mm.export.overflow import check_activations
from repnext_mm.export.preparation import ReadyModel, prepare
from repnext_mm.export.proof import check_prediction, prove
from repnext_mm.export.targets import TARGETS, require_taken
from repnext_mm.export.tasks import task_of
from repnext_mm.files import check_new_folder, check_place, replaced, replaced_folder
from repnext_mm.reparam.forms import AUTO
from repnext_mm.runtime import FileSpec
from repnext_mm.runtime.pairs import check_pair, files_of
from repnext_mm.trained import trained_model


@dataclass(frozen=True)
class Report:
    """The result of an export."""

    path: Path
    spec: FileSpec
    comparisons: list[Comparison]

    @property
    def metadata(self) -> dict[str, Any]:
        """The contract as the plain values that stand in the file."""
        return self.spec.to_json()

    @property
    def size(self) -> int:
        """The bytes of all files that belong to it."""
        return sum(file.stat().st_size for file in files_of(self.path))


def export_model(
    model: Runner | nn.Module,
    path: str | Path,
    cfg: Config | None = None,
    options: ExportOptions | None = None,
    dataset_meta: Mapping[str, Any] | None = None,
    **metadata: Any,
) -> Report:
    """Writes a model to a file, and makes sure that the file computes the same.

    The model is copied and merged; it stays as it is, whatever mode it is in and whatever
    wraps it (see :func:`repnext_mm.trained.merged_copy`). The file appears under its name only
    after its outputs have been compared with the merged model's own predictions, at three sizes
    and on an image of one colour.

    Args:
        model: A detector of mmdet, a segmentor of mmseg, a classifier of mmpretrain, or, with a
            ``data_preprocessor``, anything with a backbone; or a Runner with such a model.
        path: File to write. Its ending says the format, as in
            :data:`repnext_mm.export.formats.FORMATS`.
        cfg: The model's config: for the size rules of its test pipeline, for class names and
            for images of its test data to compare with.
        options: What to export.
        dataset_meta: Classes and palette of the data that the model was trained on, as its
            checkpoint has them; they take the place of the config's.
        metadata: More entries for the file's metadata, such as ``source_sha256``.

    Raises:
        ImportError: If a package is missing; the message names the extra that brings it.
        OSError: If the place of the file is taken (:func:`~repnext_mm.files.check_place`), or that of
            its weights.
        ValueError: If the model cannot be exported so, or the file computes something else; the
            message says where. No file is left then.
    """
    path = Path(path)
    options = options or ExportOptions()
    options = replace(options, format=format_of(path, options.format))
    options = settled_for_target(settled(options))
    check_format(task_of(trained_model(model), options.part), options)
    row = FORMATS[str(options.format)]
    (check_new_folder if row.folder else check_place)(path)
    check_pair(path)
    row.require()
    if options.form == AUTO:
        choice = fastest_file(model, cfg, options)
        options = replace(options, form=choice.form)
        metadata |= dict(choice=choice.to_json())
    ready = prepare(model, cfg, options, dataset_meta, **metadata)
    check_prediction(ready.task, ready.model, ready.job.graph, ready.images[0])
    if options.half:
        check_activations(ready.task, ready.float_subject, ready.images)
    with replaced_folder(path) if row.folder else replaced(path) as draft:
        row.write(ready.job, draft)
        comparisons = prove(ready.task, ready.model, ready.job.graph, draft, ready.images)
        check_equal(comparisons, options)
        if options.target is not None:
            comparisons += prove_for(options.target, ready, draft)
            check_equal(comparisons, options)
    return Report(path, ready.job.spec, comparisons)


def settled_for_target(options: ExportOptions) -> ExportOptions:
    """The options with those that every file for a target has.

    Raises:
        ValueError: If the target is unknown, or reads no such files.
    """
    if options.target is None:
        return options
    if options.target not in TARGETS:
        raise ValueError(f'unknown target {options.target!r}: choose from {tuple(TARGETS)}')
    if options.format != 'onnx':
        raise ValueError(
            f'{options.target} reads ONNX files, not {options.format}: end the output in .onnx'
        )
    return replace(options, static=True)


def prove_for(target: str, ready: ReadyModel, path: Path) -> list[Comparison]:
    """Makes sure that a target takes a file, and compares it there where it can be run here.

    Raises:
        ValueError: If it does not take the file.
    """
    require_taken(target, path)
    runtime = TARGETS[target].runtime
    if runtime is None:
        return []
    found = prove(ready.task, ready.model, ready.job.graph, path, ready.images, runtime)
    return [replace(row, place=f'{row.place}, {runtime}') for row in found]


def check_equal(comparisons: Sequence[Comparison], options: ExportOptions) -> None:
    """Makes sure that a file computes what the model does.

    Args:
        comparisons: The first is at the traced size.
        options: What was exported.

    Raises:
        ValueError: If not; the message says where.
    """
    failures = [text for row in comparisons for text in row.failures()]
    if failures:
        elsewhere = not options.static and not comparisons[0].failures()
        advice = '; static=True fixes the traced size, at which it is right' if elsewhere else ''
        raise ValueError(
            f'the {options.format} file computes something else than the model in torch, so it '
            f'was not kept: {"; ".join(failures)}{advice}'
        )
