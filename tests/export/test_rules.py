"""Every rule of TensorRT finds the graph that breaks it, and says what to do."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from repnext_mm.export.onnx_graph import without_choices_of_rank
from repnext_mm.export.targets import by_reason, check_for
from repnext_mm.export.targets.tensorrt import check_for_tensorrt

FLOAT, UINT8, INT64, BOOL = (
    TensorProto.FLOAT,
    TensorProto.UINT8,
    TensorProto.INT64,
    TensorProto.BOOL,
)
NUMBERS = dict(
    few=np.array([100]),
    many=np.array([4000]),
    one=np.array([1]),
    step=np.array(0.1, np.float32),
    middle=np.array(128, np.uint8),
    zero=np.array(0, np.int8),
    unsigned=np.array(0, np.uint8),
    bias=np.array([5], np.int32),
    sizes=np.array([1, 3, 16, 16]),
)


def write(path, nodes, inputs=None, opset=17, domains=()):
    """An ONNX file of some nodes that read ``x``, a float map, and the constants above."""
    values = {'x': (FLOAT, [1, 3, 8, 8])} | (inputs or {})
    output = nodes[-1].output[0]
    graph = helper.make_graph(
        nodes,
        'graph',
        [helper.make_tensor_value_info(name, *row) for name, row in values.items()],
        [helper.make_empty_tensor_value_info(output)],
        [numpy_helper.from_array(array, name) for name, array in NUMBERS.items()],
    )
    imports = [helper.make_opsetid('', opset), *(helper.make_opsetid(name, 1) for name in domains)]
    onnx.save(helper.make_model(graph, opset_imports=imports), path)
    return path


def node(kind, *inputs, outputs=('y',), **options):
    return helper.make_node(kind, list(inputs), list(outputs), name=f'the {kind}', **options)


def choice(squeezes=True):
    """An ``If`` as torch writes it for a ``squeeze`` of an axis of unknown size."""
    axis = node('Constant', outputs=('axis',), value=numpy_helper.from_array(np.array([0])))
    first = [axis, node('Squeeze', 'x', 'axis', outputs=('a',))]
    first = first if squeezes else [node('ReduceSum', 'x', 'one', outputs=('a',), keepdims=0)]
    second = [node('Identity', 'x', outputs=('b',))]
    branches = [
        helper.make_graph(nodes, name, [], [helper.make_empty_tensor_value_info(name)])
        for nodes, name in ((first, 'a'), (second, 'b'))
    ]
    return node('If', 'c', then_branch=branches[0], else_branch=branches[1])


BROKEN = {
    'its K is 4000': [node('TopK', 'x', 'many', outputs=('y', 'i'))],
    'its K is no constant': [
        node('Shape', 'x', outputs=('k',), start=3),
        node('TopK', 'x', 'n', outputs=('y', 'i')),
    ],
    'is not sorted': [node('TopK', 'x', 'few', outputs=('y', 'i'), sorted=0)],
    'Transpose does not take UINT8': [node('Transpose', 'u')],
    'its zero point is not 0': [node('QuantizeLinear', 'x', 'step', 'middle')],
    'it rounds to uint8': [node('QuantizeLinear', 'x', 'step', 'unsigned')],
    'DequantizeLinear does not take INT32': [node('DequantizeLinear', 'bias', 'step')],
    "its mode is 'cubic'": [node('Resize', 'x', '', '', 'sizes', mode='cubic')],
    'it puts out indices': [
        node('MaxPool', 'x', outputs=('y', 'i'), kernel_shape=[2, 2]),
    ],
    'its windows are dilated': [node('MaxPool', 'x', kernel_shape=[2, 2], dilations=[2, 2])],
    'TensorRT has no Det': [node('Det', 'x')],
    'its axes are computed': [node('ReduceSum', 'x', 'n')],
    'its branches give tensors of': [choice()],
    'an operator of com.microsoft': [node('Gelu', 'x', domain='com.microsoft')],
    'it has more than one output': [
        node('LayerNormalization', 'x', 'step', outputs=('y', 'mean')),
    ],
    "its reduction is 'add'": [node('ScatterND', 'x', 'places', 'updates', reduction='add')],
}
INPUTS = dict(
    u=(UINT8, [1, 8, 8, 3]),
    n=(INT64, [1]),
    c=(BOOL, []),
    places=(INT64, [1, 4]),
    updates=(FLOAT, [1]),
)


@pytest.mark.parametrize('reason', BROKEN)
def test_a_broken_rule_is_found(reason, tmp_path):
    path = write(tmp_path / 'model.onnx', BROKEN[reason], INPUTS, domains=('com.microsoft',))
    found = [row for row in check_for_tensorrt(path) if reason in row.reason]
    assert len(found) == 1 and found[0].remedy, check_for_tensorrt(path)
    assert 'the ' in found[0].place


@pytest.mark.parametrize(
    'nodes',
    [
        [node('TopK', 'x', 'few', outputs=('y', 'i'))],
        [node('Cast', 'u', outputs=('f',), to=FLOAT), node('Transpose', 'f')],
        [node('QuantizeLinear', 'x', 'step', 'zero')],
        [node('Resize', 'x', '', '', 'sizes', mode='linear')],
        [node('ReduceSum', 'x', 'one')],
    ],
)
def test_what_is_documented_passes(nodes, tmp_path):
    assert check_for('tensorrt', write(tmp_path / 'model.onnx', nodes, INPUTS)) == []


def test_old_opsets_are_told(tmp_path):
    found = check_for_tensorrt(write(tmp_path / 'model.onnx', [node('Relu', 'x')], opset=8))
    assert [row.place for row in found] == ['model.onnx'] and 'opset 8' in found[0].reason


def test_equal_reasons_share_a_line(tmp_path):
    nodes = [node('Det', 'x', outputs=(name,)) for name in ('a', 'b', 'y')]
    (line,) = by_reason(check_for_tensorrt(write(tmp_path / 'model.onnx', nodes)))
    assert line.startswith('Det the Det and 2 more: TensorRT has no Det; ')


@pytest.mark.parametrize('squeezes', [True, False])
def test_a_choice_of_rank_becomes_a_squeeze(squeezes, tmp_path):
    path = write(
        tmp_path / 'model.onnx', [choice(squeezes), node('Relu', 'y', outputs=('z',))], INPUTS
    )
    model = onnx.load(path)
    assert without_choices_of_rank(model) == int(squeezes)
    kinds = [row.op_type for row in model.graph.node]
    assert kinds == (['Constant', 'Squeeze', 'Relu'] if squeezes else ['If', 'Relu'])
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info('z', FLOAT, [3, 8, 8]))
    onnx.checker.check_model(model)


def test_errors_say_what_to_do(tmp_path):
    path = write(tmp_path / 'model.onnx', [node('Relu', 'x')])
    with pytest.raises(ValueError, match="unknown target 'npu': choose from"):
        check_for('npu', path)
    with pytest.raises(ValueError, match=r'export to model.onnx'):
        check_for('tensorrt', tmp_path / 'model.xml')
    with pytest.raises(FileNotFoundError, match=r'tools/export.py'):
        check_for('tensorrt', tmp_path / 'other.onnx')
    path.write_bytes(b'no graph')
    with pytest.raises(ValueError, match='cannot be opened'):
        check_for('tensorrt', path)
