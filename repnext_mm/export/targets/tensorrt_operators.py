"""What TensorRT's parser takes of ONNX, as data.

Source: the operator matrix of ONNX-TensorRT for TensorRT 10.15
(https://github.com/onnx/onnx-tensorrt, docs/operators.md), and for NonZero and TopK the operator
pages of TensorRT's documentation. Only facts that a file can break are kept: which operators there
are, and which types they take.
"""

SOURCE = 'the operator matrix of ONNX-TensorRT for TensorRT 10.15'

OPSETS = range(9, 25)
"""Versions of ONNX's standard operators."""

LARGEST_K = 3840
"""Of a TopK."""

FLOATS = frozenset({'FLOAT', 'FLOAT16', 'BFLOAT16', 'DOUBLE'})
"""DOUBLE becomes FLOAT where it is parsed."""

NUMERIC = FLOATS | {'INT32', 'INT64'}
VALUES = NUMERIC | {'BOOL'}
CASTS = VALUES | {'UINT8'}
BOOLEANS = frozenset({'BOOL'})
INTEGERS_OF_8_BITS = frozenset({'INT8', 'INT4', 'FLOAT8E4M3FN', 'FLOAT4E2M1'})

OF_FLOATS = (
    'Acos Acosh Asin Asinh Atan Atanh AveragePool BatchNormalization Ceil Celu Clip Conv '
    'ConvTranspose Cos Cosh CumSum DeformConv Dropout Einsum Elu Erf Exp Floor Gemm '
    'GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample GroupNormalization GRU HardSigmoid '
    'HardSwish Hardmax InstanceNormalization IsInf LayerNormalization LeakyRelu Log LogSoftmax LRN '
    'LSTM LpNormalization LpPool MatMul MaxPool MeanVarianceNormalization Mish NonMaxSuppression '
    'ParametricSoftplus PRelu QuantizeLinear RandomNormal RandomNormalLike RandomUniform '
    'RandomUniformLike Reciprocal RMSNormalization RNN RoiAlign RotaryEmbedding Round STFT ScaledTanh '
    'Scan Selu Sigmoid Sin Sinh Softmax Softplus Softsign Sqrt Tan Tanh ThresholdedRelu Upsample '
    'Resize'
)
OF_NUMBERS = (
    'Abs Add ArgMax ArgMin DepthToSpace Div Equal Greater GreaterOrEqual IsNaN Less LessOrEqual '
    'Max Mean Min Mod Mul Neg Pad Pow Range ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax '
    'ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Scatter ScatterElements '
    'ScatterND Shrink Sign SpaceToDepth Sub Sum TopK Gelu'
)
OF_VALUES = (
    'Concat Expand EyeLike Flatten Gather GatherElements GatherND Identity If Loop OneHot Reshape '
    'ReverseSequence Shape Size Slice Split Squeeze Tile Transpose Trilu Unsqueeze Where'
)

TENSORRT_OPERATORS: dict[str, frozenset[str]] = {
    **dict.fromkeys(OF_FLOATS.split(), FLOATS),
    **dict.fromkeys(OF_NUMBERS.split(), NUMERIC),
    **dict.fromkeys(OF_VALUES.split(), VALUES),
    **dict.fromkeys(('And', 'Not', 'Or', 'Xor'), BOOLEANS),
    **dict.fromkeys(('Cast', 'CastLike'), CASTS),
    **dict.fromkeys(('Constant', 'ConstantOfShape'), VALUES | INTEGERS_OF_8_BITS),
    'DequantizeLinear': INTEGERS_OF_8_BITS,
    'NonZero': VALUES - {'INT64'} | {'INT8'},
}
"""For each operator the types of its first input, the data."""

REDUCTIONS = frozenset(name for name in OF_NUMBERS.split() if name.startswith('Reduce'))

RESIZE_COORDINATES = frozenset(
    {'half_pixel', 'pytorch_half_pixel', 'tf_half_pixel_for_nn', 'asymmetric', 'align_corners'}
)
RESIZE_MODES = frozenset({'nearest', 'linear'})
RESIZE_ROUNDINGS = frozenset({'floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil'})
