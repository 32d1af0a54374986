"""Gradients of a model's own loss, for criteria that need them."""

from itertools import chain, islice, repeat

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner

SEED = 0


def accumulate_gradients(model: BaseModel, cfg: Config, batches: int) -> None:
    """Adds up the gradients of the loss over batches of the config's training data, in place.

    The model stays in evaluation mode: so it is the network as it is tested whose loss counts,
    and its statistics do not change.

    Args:
        model: In evaluation mode, of the config or a smaller one.
        cfg: Config with a ``train_dataloader``.
        batches: Number of batches; a small dataset is read again from its beginning.

    Raises:
        ValueError: If the config has no training data, or the number is not positive.
    """
    if batches < 1:
        raise ValueError(f'gradients need at least 1 batch, got {batches}')
    if not cfg.get('train_dataloader'):
        raise ValueError(
            "the criterion 'taylor' needs the gradients of training data, and the config has no "
            "train_dataloader: add one, or choose the criterion 'magnitude'"
        )
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=SEED)
    model.zero_grad()
    for batch in islice(chain.from_iterable(repeat(loader)), batches):
        data = model.data_preprocessor(batch, True)
        losses = model(**data, mode='loss') if isinstance(data, dict) else model(*data, mode='loss')
        loss, _ = model.parse_losses(losses)
        loss.backward()
