"""Repairs of ONNX graphs that torch's exporter writes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def without_choices_of_rank(model: ModelProto) -> int:
    """Takes out, in place, every ``If`` around a ``Squeeze``, and leaves the ``Squeeze``.

    torch leaves an axis alone that is not of one, so its exporter writes a choice between two
    tensors of different rank where it does not know the size. No graph here has such axes, and
    TensorRT refuses the choice. A graph that needs it fails when it is run to be compared.

    Returns:
        How many there were.
    """
    count = 0
    for number, node in reversed(list(enumerate(model.graph.node))):
        branch = _squeezing_branch(node)
        if not branch:
            continue
        branch[-1].output[:] = node.output
        model.graph.node.remove(node)
        for part in reversed(branch):
            model.graph.node.insert(number, part)
        count += 1
    return count


def _squeezing_branch(node: NodeProto) -> list[NodeProto]:
    """Copies of the nodes of the branch that squeezes, where the other one gives its input as it is."""
    if node.op_type != 'If' or len(node.output) != 1:
        return []
    found: list[NodeProto] = []
    source = ''
    for part in node.attribute:
        *before, last = part.g.node
        if last.op_type == 'Squeeze' and all(row.op_type == 'Constant' for row in before):
            found = copy.deepcopy([*before, last])
        elif last.op_type == 'Identity' and not before:
            source = last.input[0]
    return found if found and found[-1].input[0] == source else []
