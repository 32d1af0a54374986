"""The folder that runs a network in the browser: written whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repnext_mm.files import replaced_folder
from repnext_mm.runtime import open_reader
from repnext_mm.viewer import IN_BROWSER, describe_network, page_files

MODEL = 'model.onnx'
RUNTIME = 'onnxruntime'

RESIZED_ALIKE = {
    'cv2': ('bilinear',),
    'pillow': ('box', 'bilinear', 'hamming', 'bicubic', 'lanczos'),
}
"""Interpolations of each backend that the page has; see ``resizing.js`` for how alike they are."""


def pack(model: Path, runtime: Mapping[str, bytes], folder: Path, name: str | None = None) -> None:
    """Writes the page, the network and ONNX Runtime Web.

    Args:
        model: ONNX file of the exporter.
        runtime: Files of ONNX Runtime Web by name.
        folder: For the files; it must not be there yet.
        name: What the page calls the network; by default the file's name.

    Raises:
        FileExistsError: If there is something at ``folder``.
        FileNotFoundError: If there is no such model.
        ValueError: If it is no ONNX file, or the page cannot do with images what its metadata ask.
    """
    if model.suffix != '.onnx':
        raise ValueError(f'{model} is no ONNX file, and the browser runs no other: export to one')
    if not model.is_file():
        raise FileNotFoundError(f'there is no exported file {model}: the export tool writes them')
    content = model.read_bytes()
    reader = open_reader(content, 'onnxruntime')  # its bytes alone, as the browser gets them
    check_rules(reader.metadata, model)
    description = describe_network(reader, name or model.stem)
    description |= dict(file=MODEL, spec=reader.metadata)
    with replaced_folder(folder) as draft:
        contents = page_files(IN_BROWSER)
        contents['model.json'] = json.dumps(description).encode()
        contents[MODEL] = content
        contents |= {f'{RUNTIME}/{file}': data for file, data in runtime.items()}
        (draft / RUNTIME).mkdir()
        for file, data in contents.items():
            (draft / file).write_bytes(data)


def check_rules(metadata: Mapping[str, Any], model: Path) -> None:
    """Makes sure that the page can do with images and masks what the metadata of a file say.

    Raises:
        ValueError: If it cannot, or has no way to read its masks.
    """
    if metadata.get('mask_frame', 'box') != 'box':
        raise ValueError(
            f'{model} puts out masks of whole images, which the page cannot read: serve it with '
            'python -m repnext_mm.serve'
        )
    for rule in metadata['resize'] or ():
        backend, interpolation = rule.get('backend'), rule.get('interpolation')
        if backend is not None and interpolation not in RESIZED_ALIKE.get(backend, ()):
            raise ValueError(
                f'{model} takes images that are resized with {interpolation!r} of {backend}, and '
                f'the page can do {RESIZED_ALIKE}: export it with one of these in its test pipeline'
            )
