"""Goes through rows and seeds, step by step, and keeps what each step finds."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

from repnext_mm.experiments.checks import CheckedRow
from repnext_mm.experiments.commands import (
    Launcher,
    config_options,
    reason_of,
    run_logged,
    shown_command,
)
from repnext_mm.experiments.results import DONE, FAILED, Results
from repnext_mm.experiments.specification import Experiment

TRAIN, EXPORT, QUANTIZE, PICTURES = 'train', 'export', 'quantize', 'pictures'
TEST = 'test '
"""What the names of steps begin with that test a form or a file."""

FILES = {'onnx': 'model.onnx', 'int8': 'model_int8.onnx'}
"""Names of exported files in the folder of a seed."""


class StepError(RuntimeError):
    """A step did not end well; the message says why."""


@dataclass(frozen=True)
class SeedRun:
    """A row with one seed.

    All that it writes lies in its folder: ``train/``, exported files, and a folder for each test.
    """

    experiment: Experiment
    checked: CheckedRow
    seed: int
    folder: Path
    launcher: Launcher
    say: Callable[[str], None]
    skipped: Sequence[str] = ()
    """First words of the names of steps to leave out."""

    commands: dict[str, str] = field(default_factory=dict)
    """What a user would have typed, by the steps that were performed."""

    @property
    def steps(self) -> list[str]:
        """The names of the steps, in order."""
        names = [TRAIN, *(TEST + form for form in self.checked.forms)]
        files = self.experiment.files
        if self.seed == self.experiment.seeds_of(self.checked.row)[0]:
            names += [PICTURES] if self.experiment.pictures else []
            names += [EXPORT, TEST + 'onnx'] if files else []
            names += [QUANTIZE, TEST + 'int8'] if 'int8' in files else []
        return [name for name in names if name.split()[0] not in self.skipped]

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint of the training.

        Raises:
            StepError: If there is none.
        """
        path = last_checkpoint(self.folder)
        if path is None:
            raise StepError(f'training left no checkpoint in {self.folder / TRAIN}')
        return path

    def perform(self, step: str) -> dict[str, Any]:
        """Runs a step in a process.

        Returns:
            What it found, JSON-able.

        Raises:
            StepError: If it failed.
        """
        if step == TRAIN:
            return self._train()
        if step == EXPORT:
            output = self.folder / FILES['onnx']
            arguments = [self.checkpoint, '--output', output, *self.experiment.export_arguments]
            self._call('export.py', step, arguments, alone=True)
            return dict(megabytes=output.stat().st_size / 1e6)
        if step == QUANTIZE:
            return self._quantize()
        if step == PICTURES:
            return self._draw()
        return self._test(step.removeprefix(TEST))

    def _train(self) -> dict[str, Any]:
        arguments = ['--resume', *self.experiment.train_arguments]
        self._call('train.py', TRAIN, arguments, options={'randomness.seed': self.seed})
        return dict(checkpoint=self.checkpoint.name)

    def _test(self, what: str) -> dict[str, Any]:
        exported = what in FILES
        subject = self.folder / FILES[what] if exported else self.checkpoint
        arguments = [subject] if exported else [subject, '--form', what]
        folder = self._call('test.py', TEST + what, arguments, alone=exported)
        path = folder / 'metrics.json'
        metrics = json.loads(path.read_text(encoding='utf-8'))['metrics']
        return dict(
            metrics={key: value for key, value in metrics.items() if isinstance(value, Real)}
        )

    def _draw(self) -> dict[str, Any]:
        """Draws some of the test images; all where the data set cannot be cut short."""
        options = {}
        if not {'dataset', 'datasets'} & set(self.checked.cfg.test_dataloader.dataset):
            options = {'test_dataloader.dataset.indices': self.experiment.pictures}
        target = self.folder / PICTURES / 'drawn'
        arguments = [self.checkpoint, '--form', self.checked.forms[-1], '--show-dir', target]
        self._call('test.py', PICTURES, arguments, alone=True, options=options)
        return dict(folder=str(target))

    def _quantize(self) -> dict[str, Any]:
        source, output = (self.folder / FILES[kind] for kind in ('onnx', 'int8'))
        arguments = [source, '--output', output, *self.experiment.quantize_arguments]
        report = self.folder / QUANTIZE / 'quantization.json'
        report.unlink(missing_ok=True)
        try:
            self._call('quantize.py', QUANTIZE, arguments, True, self.experiment.quantize_options)
        except StepError:
            if not report.is_file():  # with a report, it only lost more than it should
                raise
        found = json.loads(report.read_text(encoding='utf-8'))
        return dict(
            megabytes=output.stat().st_size / 1e6,
            max_loss=found['max_loss'],
            within_max_loss=found['within_max_loss'],
        )

    def _call(
        self,
        tool: str,
        step: str,
        arguments: list[Any],
        alone: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> Path:
        """Runs a tool on the row's config, and returns its work dir."""
        row, folder = self.checked.row, self.folder / step.replace(' ', '_')
        given = [row.config, *arguments, '--work-dir', folder]
        given += ['--backbone', row.backbone] if row.backbone else []
        given += config_options({**row.options, **(options or {})})
        self.commands[step] = shown_command(tool, given)
        log = folder.with_suffix('.log')
        status = run_logged(self.launcher.command(tool, given, alone), log, self.say)
        if status:
            raise StepError(reason_of(log, status))
        return folder


def run_rows(
    experiment: Experiment,
    checked: Mapping[str, CheckedRow],
    results: Results,
    work_dir: Path,
    launcher: Launcher,
    say: Callable[[str], None],
    seeds: Sequence[int] | None = None,
) -> None:
    """Runs what is not done yet: the first seed of all rows, then the second.

    A step that fails ends its row with its seed, not the others.

    Args:
        experiment: The experiment.
        checked: Its rows to run, by name.
        results: Where everything is kept.
        work_dir: Gets a folder for each row, and in it one for each seed.
        launcher: For training and testing.
        say: Called with lines of progress.
        seeds: Those to run now; None for all of the experiment.

    Raises:
        ValueError: If a row has no such seed, or has results although its config has changed
            since.
    """
    for row in checked.values():
        check_unchanged(row, results)
    pairs = pairs_of(experiment, checked.values(), seeds)
    for number, (row, seed) in enumerate(pairs, 1):
        name = row.row.name
        keep_row(row, results)
        place = f'[{number}/{len(pairs)}] {name}, seed {seed}'
        folder = work_dir / name / f'seed_{seed}'
        run = SeedRun(experiment, row, seed, folder, launcher, partial(_say_at, say, place))
        run_steps(run, results)


def keep_row(checked: CheckedRow, results: Results) -> None:
    """Keeps what a row is, beside what its steps find."""
    row = checked.row
    results.update_row(
        row.name,
        config=row.config,
        backbone=row.backbone,
        options=dict(row.options),
        fingerprint=checked.fingerprint,
        sizes={form: vars(size) for form, size in checked.sizes.items()},
    )


def pairs_of(
    experiment: Experiment, checked: Iterable[CheckedRow], seeds: Sequence[int] | None
) -> list[tuple[CheckedRow, int]]:
    """Rows and seeds in the order in which they run: the first seed of all rows, then the second.

    Args:
        experiment: The experiment.
        checked: Its rows to run.
        seeds: Those to run; None for all.

    Raises:
        ValueError: If a row has no such seed.
    """
    pairs = []
    for row in checked:
        known = experiment.seeds_of(row.row)
        unknown = sorted(set(seeds or ()) - set(known))
        if unknown:
            raise ValueError(f'row {row.row.name!r} has the seeds {known}, not {unknown}')
        pairs += [(known.index(seed), row, seed) for seed in known if not seeds or seed in seeds]
    return [(row, seed) for _, row, seed in sorted(pairs, key=lambda pair: pair[0])]


def _say_at(say: Callable[[str], None], place: str, text: str) -> None:
    say(f'{place}: {text}')


def run_steps(run: SeedRun, results: Results) -> None:
    """Runs the steps of a run that are not done yet, up to the first that fails."""
    name, seed = run.checked.row.name, run.seed
    for number, step in enumerate(run.steps, 1):
        if results.is_done(name, seed, step):
            continue
        run.say(f'step {number}/{len(run.steps)}, {step}')
        start = time.monotonic()
        try:
            found = run.perform(step)
        except (StepError, OSError) as error:
            run.say(f'FAILED: {error}')
            results.record(
                name, seed, step, FAILED, reason=str(error), command=run.commands.get(step)
            )
            return
        seconds = round(time.monotonic() - start, 1)
        found |= dict(seconds=seconds, command=run.commands.get(step))
        results.record(name, seed, step, DONE, **found)


def check_unchanged(checked: CheckedRow, results: Results) -> None:
    """Makes sure that earlier results of a row are of the same config.

    Raises:
        ValueError: If they are not.
    """
    record = results.data['rows'].get(checked.row.name)
    if record and record['seeds'] and record['fingerprint'] != checked.fingerprint:
        raise ValueError(
            f'row {checked.row.name!r} has results in {results.path}, and its config has changed '
            'since: choose another work dir, or remove the folder of the row and its entry there'
        )


def trained_checkpoint(experiment: Experiment, checked: CheckedRow, work_dir: Path) -> Path | None:
    """The last checkpoint of the row's first seed; None if there is none yet."""
    seed = experiment.seeds_of(checked.row)[0]
    return last_checkpoint(work_dir / checked.row.name / f'seed_{seed}')


def last_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint of a training in the folder of a seed, which may have moved since."""
    pointer = folder / TRAIN / 'last_checkpoint'
    if not pointer.is_file():
        return None
    path = pointer.with_name(Path(pointer.read_text().strip()).name)
    return path if path.is_file() else None
