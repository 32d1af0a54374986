"""What is inside the wrappers that distributed training puts around a model."""

from mmengine.model import is_model_wrapper
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.parallel import DataParallel, DistributedDataParallel


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DDP; a model that is not wrapped as it is.

    Raises:
        TypeError: If the wrapper shards the parameters, so that no process could merge.
    """
    if isinstance(model, DistributedDataParallel | DataParallel):
        return model.module
    if is_model_wrapper(model) or isinstance(model, FullyShardedDataParallel):
        raise TypeError(
            f'a model inside {type(model).__name__} cannot be merged, since no process holds all '
            'of its parameters: load its checkpoint into a model without a wrapper, or use '
            'DistributedDataParallel'
        )
    return model
