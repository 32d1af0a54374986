"""What a whole result of a tool is, and when two of them are the same."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from interrupted import differences
from PIL import Image

from faults.jobs import LAST
from repnext_mm.checkpoints.files import load_from_local
from repnext_mm.runtime import open_session


def check_whole(path: Path) -> None:
    """Makes sure that a file under its final name is whole.

    Raises:
        Exception: Of any kind, if it is not.
    """
    if path.suffix in ('.pth', '.safetensors'):
        content = load_from_local(str(path), map_location='cpu')
        assert len(content['state_dict']) > 10, path
    elif path.suffix == '.onnx':
        assert open_session(path).spec.form == 'fused', path
    elif path.suffix == '.json' and 'vis_data' not in path.parts:  # mmengine's log has lines
        json.loads(path.read_text())
    elif path.suffix == '.pkl':
        pickle.loads(path.read_bytes())
    elif path.suffix == '.png':
        with Image.open(path) as image:
            image.load()
    elif path.name == 'pruned.py':
        compile(path.read_text(), str(path), 'exec')
    elif path.name == 'last_checkpoint':
        named = Path(path.read_text().strip())
        assert named.is_file(), f'{path} names {named}'


def content_of(path: Path) -> Any:
    """What two whole results have in common: values, not times and places."""
    if path.name == LAST:
        return load_from_local(str(path), map_location='cpu')
    if path.suffix in ('.pth', '.safetensors'):
        state = load_from_local(str(path), map_location='cpu')['state_dict']
        return {name: value.clone() for name, value in state.items()}
    if path.suffix == '.onnx':
        session = open_session(path)
        images = torch.arange(64 * 64 * 3).remainder(255).view(1, 64, 64, 3).byte().numpy()
        return {name: torch.from_numpy(value) for name, value in session(images).items()}
    if path.name == 'metrics.json':
        return json.loads(path.read_text())['metrics']
    if path.suffix in ('.py', '.csv', '.html', '.json'):
        return path.read_text().replace(str(path.parent), '')
    return path.is_file()


def same(first: Any, second: Any) -> bool:
    """Whether two results are equal, bit by bit."""
    if isinstance(first, dict) and 'optimizer' in first:
        return differences(first, second) == []
    if isinstance(first, dict) and any(isinstance(v, torch.Tensor) for v in first.values()):
        pairs = ((value, second.get(name)) for name, value in first.items())
        return first.keys() == second.keys() and all(torch.equal(*pair) for pair in pairs)
    return first == second


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
