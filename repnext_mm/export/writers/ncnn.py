"""ncnn's ``.param`` and ``.bin``, by pnnx."""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from repnext_mm.compat import require_extra
from repnext_mm.export.job import INPUT, Job, traced
from repnext_mm.runtime.ncnn_session import contract_lines
from repnext_mm.runtime.pairs import bind_weights, weights_of


def require_pnnx() -> ModuleType:
    """Imports pnnx, and the runtime in which its files are compared.

    Raises:
        ImportError: If one is not installed.
    """
    require_extra('ncnn', 'ncnn', 'running ncnn files')
    return require_extra('pnnx', 'ncnn', 'exporting to ncnn')


def write_ncnn(job: Job, path: Path) -> None:
    """Writes layers in ``path`` and weights in the ``.bin`` beside it.

    The names of inputs and outputs become those of the contract, which stands behind the last
    layer, where ncnn does not read.

    Args:
        job: With float images; ``half`` makes the weights float16.
        path: Of the layers.

    Raises:
        ImportError: If pnnx is not installed.
        ValueError: If it cannot convert the graph, or leaves an operator that ncnn lacks.
    """
    pnnx = require_pnnx()
    shape = ','.join(map(str, job.images.shape))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, 'graph.pt')
        traced(job).save(str(source))
        command = [pnnx.EXEC_PATH, source.name, f'inputshape=[{shape}]f32', f'fp16={int(job.half)}']
        command += [f'ncnnparam={path.resolve()}', f'ncnnbin={weights_of(path.resolve())}']
        result = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors='replace', check=False
        )
    if result.returncode or not path.is_file():
        raise ValueError(
            f'pnnx ends with status {result.returncode}: {(result.stdout + result.stderr)[-500:]}'
        )
    text = path.read_text(encoding='utf-8')
    check_ncnn_layers(text)
    path.write_text(
        renamed(text, job.graph.output_names) + contract_lines(job.spec), encoding='utf-8'
    )
    bind_weights(path)


def check_ncnn_layers(text: str) -> None:
    """Makes sure that every layer of a ``.param`` is one of ncnn's: others keep torch's name.

    Raises:
        ValueError: If not; the message names them.
    """
    kinds = {line.split()[0] for line in text.splitlines()[2:] if line.strip()}
    if foreign := sorted(kind for kind in kinds if not kind.isalnum()):
        raise ValueError(f'ncnn has no layers for {foreign}, so the model cannot be exported to it')


def renamed(text: str, outputs: Sequence[str]) -> str:
    """A ``.param`` with the exporter's names in the place of pnnx's ``in0`` and ``out0``, ``out1`` ...

    Args:
        text: Of the file.
        outputs: Names in order.
    """
    names = {'in0': INPUT} | {f'out{number}': name for number, name in enumerate(outputs)}
    return re.sub(r'(?<=\s)(in0|out\d+)(?=\s)', lambda found: names[found[1]], text)
