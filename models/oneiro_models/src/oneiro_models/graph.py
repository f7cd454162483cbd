"""Builds a small ONNX graph node by node, its weights beside it as aligned external data."""

import numpy as np
from onnx import TensorProto, external_data_helper, helper, numpy_helper

ALIGNMENT = 64
INLINE = 256
"""Tensors of up to this many bytes stand in the model itself; a bundle allows 1024."""
OPSET = 18


class Graph:
    """One output of every node is read, and names it."""

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

    def node(self, operator: str, inputs: list[str], output: str, skipped: int = 0, **attributes) -> str:
        """`skipped`: how many of the operator's outputs come before the one that is read."""
        self.nodes.append(helper.make_node(operator, inputs, [""] * skipped + [output], output, **attributes))
        return output

    def save(self) -> tuple[bytes, bytes]:
        """The model and its external data; the same graph gives the same bytes."""
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.initializers)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8, producer_name="oneiro_models")
        return model.SerializeToString(deterministic=True), bytes(self.weights)


def external(name: str, value: np.ndarray, weights_file: str, weights: bytearray) -> TensorProto:
    """A tensor whose numbers go to the end of `weights`, aligned, unless they are few."""
    if value.nbytes <= INLINE:
        return numpy_helper.from_array(value, name)
    weights += bytes(-len(weights) % ALIGNMENT)
    tensor = TensorProto(name=name, dims=value.shape, data_type=_onnx_type(value.dtype.type))
    tensor.raw_data = value.tobytes()
    external_data_helper.set_external_data(tensor, weights_file, len(weights), value.nbytes)
    weights += tensor.raw_data
    tensor.ClearField("raw_data")
    return tensor


def _onnx_type(dtype: type) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
