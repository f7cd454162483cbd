"""Builds a small ONNX graph node by node, its weights beside it as aligned external data."""

import numpy as np
from onnx import TensorProto, external_data_helper, helper, numpy_helper

ALIGNMENT = 64
INLINE = 256
"""Tensors of up to this many bytes stand in the model itself; a bundle allows 1024."""
OPSET = 18


CONTRIBUTED = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""


class Graph:
    """One output of most nodes is read, and names it."""

    def __init__(self, name: str, weights_file: str):
        self.name, self.weights_file = name, weights_file
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []
        self.weights = bytearray()

    def input(self, name: str, dtype: type, shape: list) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, _onnx_type(dtype), shape))
        return name

    def output(self, name: str, dtype: type, shape: list) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, _onnx_type(dtype), shape))

    def constant(self, name: str, value) -> str:
        """A weight, or a small integer operand, under the name it can be read back by."""
        if name in (tensor.name for tensor in self.initializers):
            return name
        self.initializers.append(external(name, np.ascontiguousarray(value), self.weights_file, self.weights))
        return name

    def exchangeable(self, name: str, shape: list[int], dims: list) -> str:
        """An input that a run may be given, of these dims in f32; without, it has no numbers, in this shape."""
        self.initializers.append(TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT, raw_data=b""))
        return self.input(name, np.float32, dims)

    def lying(self, name: str, dtype: type, shape: list[int], offset: int, file: str) -> str:
        """A weight that lies in another file already."""
        tensor = TensorProto(name=name, dims=shape, data_type=_onnx_type(dtype))
        _place(tensor, file, offset, int(np.prod(shape)) * np.dtype(dtype).itemsize)
        self.initializers.append(tensor)
        return name

    def node(self, operator: str, inputs: list[str], output: str, skipped: int = 0, **attributes) -> str:
        """`skipped`: how many of the operator's outputs come before the one that is read."""
        return self.several(operator, inputs, [""] * skipped + [output], output, **attributes)[-1]

    def several(self, operator: str, inputs: list[str], outputs: list[str], name: str, **attributes) -> list[str]:
        """A node of which more than one output is read; those called `""` are not."""
        self.nodes.append(helper.make_node(operator, inputs, outputs, name, **attributes))
        return outputs

    def save(self) -> tuple[bytes, bytes]:
        """The model and its external data; the same graph gives the same bytes."""
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.initializers)
        opsets = [helper.make_opsetid("", OPSET)]
        if any(node.domain == CONTRIBUTED for node in self.nodes):
            opsets.append(helper.make_opsetid(CONTRIBUTED, 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="oneiro_models")
        return model.SerializeToString(deterministic=True), bytes(self.weights)


def external(name: str, value: np.ndarray, weights_file: str, weights: bytearray) -> TensorProto:
    """A tensor whose numbers go to the end of `weights`, aligned, unless they are few."""
    if value.nbytes <= INLINE:
        return numpy_helper.from_array(value, name)
    weights += bytes(-len(weights) % ALIGNMENT)
    tensor = TensorProto(name=name, dims=value.shape, data_type=_onnx_type(value.dtype.type))
    _place(tensor, weights_file, len(weights), value.nbytes)
    weights += value.tobytes()
    return tensor


def _place(tensor: TensorProto, weights_file: str, offset: int, length: int) -> None:
    tensor.raw_data = b"\0"  # asked for by the call, and then forgotten
    external_data_helper.set_external_data(tensor, weights_file, offset, length)
    tensor.ClearField("raw_data")


def _onnx_type(dtype: type) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
