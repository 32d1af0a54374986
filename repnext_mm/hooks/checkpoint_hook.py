"""Checkpoints of which a killed process leaves the last complete one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from repnext_mm.files import remove_drafts, replaced, write_text
from repnext_mm.registry import HOOKS, register

WHOLE_FILES = 'repnext_mm.whole_files'
"""The ``backend`` that ``backend_args`` of mmengine's functions may name."""


class WholeFileBackend(LocalBackend):
    """mmengine's backend for local files, which appear whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes bytes to a draft that becomes the file."""
        with replaced(filepath) as draft:
            super().put(obj, draft)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Writes text to a draft that becomes the file."""
        with replaced(filepath) as draft:
            super().put_text(obj, draft, encoding)


def register_whole_files() -> None:
    """Registers :class:`WholeFileBackend` with mmengine under its name; may be called again."""
    register_backend(WHOLE_FILES, WholeFileBackend, force=True)


@register(HOOKS)
class SafeCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` for processes that may be killed at any moment.

    Takes the same arguments and writes the same files. At each moment
    ``last_checkpoint`` names a complete checkpoint, once there was one, because

    - files in local folders are renamed to their names when they are complete,
    - ``last_checkpoint`` is rewritten, in the same way, after that,
    - and only then what is superseded is deleted, the previous best included;
      mmengine deletes before it writes.

    Drafts that a killed process left are removed when training starts. Two things
    stay as they are in mmengine: what ``published_keys`` asks for is written in place,
    after training, and remote folders have the guarantees of their backend.

    Config::

        default_hooks = dict(checkpoint=dict(type='repnext_mm.SafeCheckpointHook', interval=1))
    """

    # mmengine's attributes, whose types mypy cannot tell.
    out_dir: str
    backend_args: dict | None
    file_backend: Any

    def before_train(self, runner: Runner) -> None:
        """Chooses the file backend, and removes what killed processes left."""
        # A Path would end up in the checkpoint, which could not be read as data then.
        self.out_dir = str(self.out_dir or runner.work_dir)
        local = '://' not in self.out_dir
        if local and self.backend_args is None and self.file_client_args is None:
            register_whole_files()
            self.backend_args = dict(backend=WHOLE_FILES)
        super().before_train(runner)
        if is_main_process():
            for folder in {runner.work_dir, self.out_dir if local else runner.work_dir}:
                for draft in remove_drafts(folder):
                    runner.logger.info(f'Removed {draft}, which a killed process left')

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Writes a checkpoint, then ``last_checkpoint``, and then deletes the superseded ones."""
        superseded = self._keep(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if self.max_keep_ckpts > 0:
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        if is_main_process():
            write_text(Path(runner.work_dir, 'last_checkpoint'), str(self.last_ckpt))
            for old in superseded:
                self._remove(self.file_backend.join_path(self.out_dir, old))

    def _keep(self, runner: Runner, step: int) -> list[str]:
        """Adds a step to those whose checkpoints are kept.

        The list that the message hub takes into the file still has the superseded
        steps: if the process is killed before it deletes them, the one that resumes
        does, since ``CheckpointHook`` shortens a list that is too long.

        Returns:
            The names of the checkpoints that may be deleted when the new one is complete.
        """
        if self.max_keep_ckpts <= 0:
            return []
        kept = list(self.keep_ckpt_ids)
        # With save_best, one step may be written twice.
        if step not in kept[-1:]:
            kept.append(step)
            self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', kept)
        return [self.filename_tmpl.format(old) for old in kept[: -self.max_keep_ckpts]]

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):
            # What DeepSpeed writes.
            self.file_backend.rmtree(path)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Deletes the previous best checkpoint when the new one is complete."""
        if not self.save_best:
            return
        with self._removals_at_the_end():
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _removals_at_the_end(self) -> Iterator[None]:
        """Puts off what ``file_backend`` is to remove, and forgets it if something is raised.

        The new best may have the name of the old one: then it has replaced it already.
        """
        backend = self.file_backend
        postponed = self.file_backend = _PostponedRemovals(backend)
        try:
            yield
        finally:
            self.file_backend = backend
        # mmengine gives the hook one of the two, by the number of metrics.
        several = getattr(self, 'best_ckpt_path_dict', None) or {}
        current = {getattr(self, 'best_ckpt_path', None), *several.values()}
        for remove, path in postponed.removals:
            if path not in current:
                remove(path)


class _PostponedRemovals:
    """A file backend that only notes what to remove."""

    def __init__(self, backend: Any):
        self.removals: list[tuple[Callable, str]] = []
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.removals.append((self._backend.remove, path))

    def rmtree(self, path: str) -> None:
        self.removals.append((self._backend.rmtree, path))
