"""Reading and writing checkpoint files.

The loaders here also read safetensors, and bring RepNeXt checkpoints of other layouts into
OpenMMLab's. :func:`replace_mmengine_loaders` puts them in the place of mmengine's, so that
``load_from``, ``init_cfg=dict(type='Pretrained', ...)`` and all tools take such files as they
are. Checkpoints of other networks pass through unchanged.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import safetensors.torch
import torch
from mmengine.fileio import get_local_path
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import Tensor

from repnext_mm.checkpoints.contents import check_content
from repnext_mm.checkpoints.timm_weights import SCHEME, load_from_timm
from repnext_mm.compat.checkpoints import reads_data_only, trust_mmengine_checkpoints
from repnext_mm.files import check_place, file_digest, replaced, to_plain
from repnext_mm.integrity import damage
from repnext_mm.networks.layouts import to_openmmlab

SAFETENSORS = '.safetensors'
SUFFIXES = ('.pth', SAFETENSORS)

MapLocation = str | torch.device | Callable | dict | None
"""``map_location`` of ``torch.load``."""


def replace_mmengine_loaders() -> None:
    """Makes mmengine load paths, http(s) URLs and ``timm://`` with the loaders of this room.

    Other schemes, such as ``s3://``, keep mmengine's. May be called again.
    """
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(('http://', 'https://'), load_from_http, force=True)
    CheckpointLoader.register_scheme(SCHEME, load_from_timm, force=True)


def load_from_local(filename: str, map_location: MapLocation = None) -> Any:
    """Reads a file: of ``torch.save`` in any known layout, or safetensors.

    Args:
        filename: A path; ``~`` is the home folder.
        map_location: As in ``torch.load``; safetensors take a device only.

    Returns:
        The content: for RepNeXt a dict with ``state_dict`` in OpenMMLab's layout.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a TorchScript archive, no checkpoint, damaged, or holds code, or
            something else than weights and metadata.
    """
    path = Path(filename).expanduser()
    if path.is_file() and (problem := damage(path)):
        raise ValueError(
            f'{filename} cannot be loaded: {problem}. Copy or download it again; a training has '
            'older checkpoints in its work dir'
        )
    if path.is_file() and _is_torchscript(path):
        raise ValueError(
            f'{filename} is a TorchScript archive, a network that was merged and compiled for '
            'deployment: its weights cannot be taken apart again. Use the training checkpoint '
            'of the same release (.pth), and merge it with tools/reparameterize.py'
        )
    with _named_errors(filename):
        if path.suffix == SAFETENSORS:
            content = _read_safetensors(path, map_location)
        else:
            content = _read_pth(path, map_location)
    return _adopted(content, filename)


def load_from_http(filename: str, map_location: MapLocation = None, **options: Any) -> Any:
    """Downloads a file and reads it as :func:`load_from_local` does.

    Args:
        filename: A URL.
        map_location: As for :func:`load_from_local`.
        **options: For mmengine's loader, such as ``model_dir``; safetensors ignore them.

    A file is kept in a folder of its URL below ``model_dir``, by default ``checkpoints`` in
    torch's folder, for files of other URLs may have the same name.

    Raises:
        ConnectionError: If it cannot be downloaded.
        ValueError: As :func:`load_from_local`; the message names the kept file, too.
    """
    if Path(urlsplit(filename).path).suffix == SAFETENSORS:
        with get_local_path(filename) as path, _named_errors(filename):
            content = _read_safetensors(Path(path), map_location)
        return _adopted(content, filename)
    folder = Path(options.pop('model_dir', None) or Path(torch.hub.get_dir(), 'checkpoints'))
    folder /= hashlib.sha256(filename.encode()).hexdigest()[:16]
    kept = folder / Path(urlsplit(filename).path).name
    again = f'. Remove {kept}, where it is kept, so that it is downloaded again'
    try:
        with _named_errors(filename):
            content = mmengine_checkpoint.load_from_http(
                filename, map_location, str(folder), **options
            )
    except ValueError as error:
        raise ValueError(f'{error}{again if kept.is_file() else ""}') from None
    if kept.is_file() and (problem := damage(kept)):
        raise ValueError(f'{filename} cannot be loaded: {problem}{again}')
    return _adopted(content, filename)


def write_checkpoint(path: str | Path, state: Mapping[str, Tensor], meta: dict[str, Any]) -> None:
    """Writes weights and metadata for mmengine, whole or not at all.

    Args:
        path: Its suffix decides: ``.pth``, or ``.safetensors`` with ``meta`` as JSON.
        state: The model's ``state_dict()``.
        meta: Values that JSON can hold; configs, tuples and arrays become dicts and lists.

    Raises:
        OSError, ValueError: As :func:`check_checkpoint_path` does.
    """
    path = Path(path)
    check_checkpoint_path(path)
    text = json.dumps(meta, default=to_plain)
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    with replaced(path) as draft:
        if path.suffix == SAFETENSORS:
            metadata = dict(format='pt', meta=text)
            safetensors.torch.save_file(tensors, draft, metadata=metadata)
        else:
            torch.save(dict(state_dict=tensors, meta=json.loads(text)), draft)


def check_checkpoint_path(path: str | Path) -> None:
    """Makes sure that :func:`write_checkpoint` can write such a file.

    Raises:
        OSError: If the place is taken (:func:`~repnext_mm.files.check_place`).
        ValueError: If the suffix is unknown.
    """
    check_place(path)
    if Path(path).suffix not in SUFFIXES:
        raise ValueError(f'a checkpoint must end in one of {SUFFIXES}, got {str(path)!r}')


def sha256(source: str | Path) -> str | None:
    """Computes the hash by which a file can be recognized.

    Returns:
        64 hexadecimal digits; None for a URL, whose file is not kept.
    """
    if str(source).startswith(('http://', 'https://')):
        return None
    return file_digest(Path(source).expanduser())


def _adopted(content: Any, filename: str) -> Any:
    """The content of a file, if it is a checkpoint, in OpenMMLab's layout.

    Raises:
        ValueError: If it is none.
    """
    check_content(content, filename)
    return to_openmmlab(content)


@contextmanager
def _named_errors(filename: str) -> Iterator[None]:
    """Puts the file's name into errors of loaders, without torch's advice to let code run."""
    try:
        yield
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except URLError as error:
        if isinstance(error, HTTPError):
            error.close()
        raise ConnectionError(
            f'{filename} cannot be downloaded ({error}): correct the address, or download it by other '
            'means and name the file'
        ) from error
    except Exception as error:  # damaged bytes make the loaders fail in every way
        while isinstance(error.__context__, UnpicklingError):  # what was refused first
            error = error.__context__
        reason = str(error).strip().split('\n')[0].split('. ')[0]
        raise ValueError(
            f'{filename} cannot be loaded ({reason or type(error).__name__}): it is no checkpoint, '
            'is damaged, or holds more than weights and numbers, which is refused since it could '
            'run code; if you trust it, load it with torch and save its state_dict alone'
        ) from None


def _read_pth(path: Path, map_location: MapLocation) -> Any:
    """Reads what ``torch.save`` wrote, with mmengine's loader unless no file may run code.

    onedl-mmengine's loader says of what it may not read that it falls back to running code, which
    torch then refuses.
    """
    if not reads_data_only():
        return mmengine_checkpoint.load_from_local(str(path), map_location)
    trust_mmengine_checkpoints()
    return torch.load(path, map_location, weights_only=True)


def _read_safetensors(path: Path, map_location: MapLocation) -> dict[str, Any]:
    device = map_location if isinstance(map_location, str | torch.device) else 'cpu'
    with safetensors.safe_open(path, 'pt', device=str(device)) as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = (file.metadata() or {}).get('meta', '')
    meta = json.loads(text) if text.startswith('{') else {}
    return dict(state_dict=state, meta=meta)


def _is_torchscript(path: Path) -> bool:
    """Whether ``torch.jit.save`` wrote a file; only its archives hold constants."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith('/constants.pkl') for name in archive.namelist())
    except Exception:  # no archive, or one with a damaged index: the loader says what is wrong
        return False
