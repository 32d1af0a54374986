"""Published weights of timm's networks, as checkpoints by the name ``timm://NAME.TAG``.

``init_cfg=dict(type='Pretrained', checkpoint='timm://resnet50.a1_in1k')`` takes the file from the
folder that the environment variable ``REPNEXT_PRETRAINED`` names, if it is there, and else has
timm download it from the place that its publisher gives.
"""

import os
from pathlib import Path
from typing import Any

from repnext_mm.compat import require
from repnext_mm.config_dicts import WEIGHTS_FOLDER

SCHEME = 'timm://'

WEIGHT_SUFFIXES = ('.safetensors', '.pth', '.bin')
WEIGHTS_PURPOSE = f'a checkpoint {SCHEME}NAME'


def load_from_timm(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Reads the published weights of a network of timm.

    Args:
        filename: ``timm://NAME.TAG``, a name of ``timm.list_pretrained()``.
        map_location: Not used: the weights are on the CPU.

    Returns:
        A dict with ``state_dict``, in the names and shapes of ``timm.create_model``.

    Raises:
        FileNotFoundError: If the file is not in the folder and cannot be downloaded; the message
            says what to fetch from where.
        ValueError: If timm knows no weights of this name.
    """
    timm = require('timm', WEIGHTS_PURPOSE)
    name = filename.removeprefix(SCHEME)
    origin = published_at(name)
    local = local_file(name)
    overlay = dict(file=str(local)) if local else None
    try:
        network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    except Exception as error:  # whatever the hub's client raises without a network
        if local:
            raise
        folder = os.environ.get(WEIGHTS_FOLDER) or 'FOLDER'
        raise FileNotFoundError(
            f'the weights {name!r} cannot be downloaded ({type(error).__name__}): fetch them from '
            f'{origin}, save them as {folder}/{name}{WEIGHT_SUFFIXES[0]} and name the folder with '
            f'{WEIGHTS_FOLDER}={folder}; with init_cfg=None training starts from scratch'
        ) from error
    return dict(state_dict=network.state_dict())


def published_at(name: str) -> str:
    """The address of a file of weights, by timm's own record.

    Args:
        name: Such as ``'resnet50.a1_in1k'``.

    Raises:
        ValueError: If timm knows no weights of this name.
    """
    timm = require('timm', WEIGHTS_PURPOSE)
    base = name.partition('.')[0]
    known = timm.list_pretrained(f'{base}.*') or timm.list_pretrained(f'{base.split("_")[0]}*')
    if name not in known:
        raise ValueError(
            f'timm {timm.__version__} knows no weights {name!r}: choose one of {known[:8]}'
        )
    record = timm.models.get_pretrained_cfg(name)
    if record.hf_hub_id:
        return f'https://huggingface.co/{record.hf_hub_id}/resolve/main/model.safetensors'
    return record.url


def local_file(name: str) -> Path | None:
    """The file of some weights in the folder that the environment names; None if it is not there."""
    folder = os.environ.get(WEIGHTS_FOLDER)
    if not folder:
        return None
    paths = (Path(folder).expanduser() / f'{name}{suffix}' for suffix in WEIGHT_SUFFIXES)
    return next((path for path in paths if path.is_file()), None)
