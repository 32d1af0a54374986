"""Random numbers that a resumed run draws as the uninterrupted one did."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from mmengine.dataset import worker_init_fn
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner, set_random_seed
from torch.utils.data import DataLoader

from repnext_mm.registry import HOOKS, register


@register(HOOKS)
class ReseedHook(Hook):
    """Makes the random numbers of training a function of seed and progress.

    A checkpoint does not hold the states of the generators of Python, NumPy and
    torch, nor those of the data loader's workers. So that a resumed run needs none:

    - In loops that count epochs, the main process and the workers are seeded anew
      for each epoch. A checkpoint at the end of an epoch is followed by an epoch that
      draws what it would have drawn without the interruption. Workers must not outlive
      their epoch (``persistent_workers=False``). In a checkpoint from within an epoch,
      mmengine does not note which batches are left: it starts the epoch anew, and
      the hook warns that the weights will differ.
    - In loops that count iterations, the workers run from the first batch to the last,
      so that their states depend on all batches before. On resuming these are really
      loaded again (OneDL's mmengine only lets the sampler skip them). The main
      process is seeded anew before each request of a batch, so what it draws for the
      n-th batch (if it has no workers) and the n-th step depends on n alone, and any
      checkpoint will do.

    The seed is the runner's, ``randomness=dict(seed=...)``, which differs between the
    ranks with ``diff_rank_seed=True``, as everywhere in mmengine. Validation may draw
    what it likes. The same weights, bit by bit, also need operators that are
    deterministic: ``randomness=dict(seed=0, deterministic=True)``, with which
    ``tools/train.py`` adds this hook.

    Raises:
        ValueError: In the run, if the workers outlive their epoch.
    """

    def before_train(self, runner: Runner) -> None:
        """Takes over the requests of batches; checks what reseeding cannot repair."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            if not isinstance(loop.dataloader_iterator, _ReseedingIterator):
                loop.dataloader_iterator = _ReseedingIterator(loop.dataloader_iterator, runner.seed)
            return
        if loop.dataloader.persistent_workers:
            raise ValueError(
                'ReseedHook cannot restore the random states of workers that outlive their epoch: '
                'set train_dataloader.persistent_workers=False'
            )
        if runner.iter % len(loop.dataloader):
            runner.logger.warning(
                f'The checkpoint was written within an epoch, at iteration {runner.iter}, and '
                'mmengine starts that epoch anew: the weights will differ from those of an '
                'uninterrupted run. Checkpoints at the end of an epoch resume exactly.'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds this process and the workers that it is about to start."""
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            return
        seed = seed_at(runner.seed, runner.epoch)
        set_random_seed(seed)
        _seed_workers(runner.train_dataloader, seed)


def seed_at(seed: int, progress: int) -> int:
    """A seed for an epoch or iteration, unrelated to those of its neighbours.

    Below 2**31, so that NumPy accepts it with the numbers of ranks and workers added.
    """
    return int(np.random.SeedSequence([seed, progress]).generate_state(1)[0] >> 1)


def _seed_workers(loader: DataLoader, seed: int) -> None:
    """Replaces the seed in mmengine's function that prepares a worker; leaves others alone.

    mmengine's is the same for each epoch: new workers draw what those before them drew.
    """
    prepare = loader.worker_init_fn
    if isinstance(prepare, partial) and prepare.func is worker_init_fn:
        options = prepare.keywords | dict(seed=seed)
        loader.worker_init_fn = partial(worker_init_fn, *prepare.args, **options)


class _ReseedingIterator:
    """Seeds the main process before each batch; stands in for mmengine's endless iterator."""

    def __init__(self, batches: Iterator, seed: int):
        self._batches = batches
        self._seed = seed
        self._requests = 0

    def __iter__(self) -> '_ReseedingIterator':
        return self

    def __next__(self) -> Any:
        set_random_seed(seed_at(self._seed, self._requests))
        self._requests += 1
        return next(self._batches)

    def skip_iter(self, num_iters: int) -> None:
        """Loads that many batches and drops them; OneDL's loop calls it on resuming."""
        for _ in range(num_iters):
            next(self)
