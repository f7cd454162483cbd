"""The products of a language model in fewer bits; norms, attention and sums stay in f32.

`f16`: the weights are kept as f16, and become f32 when the graph is opened: ONNX Runtime has no such product on the CPU.

`int8`: every row of W [out, in] as `scale·q`, q in −127 … 127, `scale = max|row|/127`. What is multiplied with it is rounded
likewise, row by row, when the graph runs: with r the greatest |x| of a row of x,

    x·Wᵀ ≈ r·scale/127 · Σ (u − 128)·q          u = round(127·x/r) + 128

whose sum is in whole numbers. So a row's product does not depend on the rows beside it, and a token means the same alone, in
a prompt and in a tree. (`DynamicQuantizeMatMul` takes one scale for all rows of a run: 15 % to 25 % faster, but of
tinystories-260k the logits are 2.3 % off instead of 1.1 %, and move by 2.7 % where a prompt is cut in two.) x86 processors
without VNNI add pairs of products in 16 bits, which overflow only where two neighbouring weights and what they are multiplied
with are all close to their greatest.

With `accuracy` 2 what was lost in rounding is rounded likewise, by a size of its own, and multiplied too: 16 bits in two products,
which take twice as long and lie as close to the weights' own as f32 does.

`int4`: W in blocks of `block` numbers, each as `scale·(q − 8)`, q in 0 … 15. Of several scales the one with the least squared
error is taken; with the largest the number that is greatest in size becomes −8. `accuracy` 4 rounds what is multiplied to 8
bits, by blocks and rows as well; 1 leaves it in f32.
"""

from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto

from . import Problem
from .bundle.table import quantised
from .graph import CONTRIBUTED, Graph

SHRUNK = (1.0, 0.95, 0.9, 0.85, 0.8)
"""Scales of an int4 block that are tried, as parts of the largest."""
ACCURACIES = {"int8": (2, 4), "int4": (1, 4)}
"""What may be multiplied: numbers as they are (1), of 16 bits (2) or of 8 (4); the numbers are ONNX Runtime's."""


@dataclass
class Product:
    """Adds products `x·Wᵀ` to one graph, W [out, in] in f32; keeps how far each W is off, ‖W − Ŵ‖/‖W‖ by name."""

    errors: dict[str, float] = field(default_factory=dict)

    def __call__(self, graph: Graph, name: str, x: str, weight: np.ndarray, output: str | None = None) -> str:
        return graph.node("MatMul", [x, graph.constant(name, weight.T)], output or f"{name}.out")


@dataclass
class Half(Product):
    def __call__(self, graph: Graph, name: str, x: str, weight: np.ndarray, output: str | None = None) -> str:
        kept = weight.astype(np.float16)
        self.errors[name] = lost(weight, kept)
        whole = graph.node("Cast", [graph.constant(name, kept.T)], f"{name}.f32", to=TensorProto.FLOAT)
        return graph.node("MatMul", [x, whole], output or f"{name}.out")


@dataclass
class Int8(Product):
    accuracy: int = 4
    rounded: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Of every x its rows as u8, and their sizes, once or twice: some are multiplied more than once."""

    def __call__(self, graph: Graph, name: str, x: str, weight: np.ndarray, output: str | None = None) -> str:
        tensors = quantised(weight)
        q, scale = tensors["rows"], tensors["scale"]
        self.errors[name] = lost(weight, scale[:, None] * q)
        if x not in self.rounded:
            self.rounded[x] = [self.rows(graph, x)]
            if self.accuracy == 2:
                self.rounded[x].append(self.rows(graph, self.rest(graph, x, *self.rounded[x][0])))
        output, weights = output or f"{name}.out", [graph.constant(name, q.T), "step", graph.constant(f"{name}.scale", scale), "middle"]
        (first, size), *more = self.rounded[x]
        if not more:
            return self.part(graph, f"{name}.even", first, weights, size, output)
        ((rest, smaller),) = more
        parts = [
            self.part(graph, f"{name}.even", first, weights, size, f"{name}.first"),
            self.part(graph, f"{name}.rest", rest, weights, smaller, f"{name}.second"),
        ]
        return graph.node("Add", parts, output)

    @staticmethod
    def part(graph: Graph, name: str, u: str, weights: list[str], size: str, output: str) -> str:
        even = graph.node("MatMulIntegerToFloat", [u, *weights], name, domain=CONTRIBUTED)
        return graph.node("Mul", [even, size], output)

    @staticmethod
    def rest(graph: Graph, x: str, u: str, size: str) -> str:
        """x less what its rounded rows stand for."""
        shares = graph.node("DequantizeLinear", [u, "step", "middle"], f"{x}.shares")
        return graph.node("Sub", [x, graph.node("Mul", [shares, size], f"{x}.rounded")], f"{x}.rest")

    @staticmethod
    def rows(graph: Graph, x: str) -> tuple[str, str]:
        """u and r, which is never 0."""
        last, least = graph.constant("last_axis", np.array([-1], np.int64)), graph.constant("tiny", np.array([1e-30], np.float32))
        step, middle = graph.constant("step", np.array([1 / 127], np.float32)), graph.constant("middle", np.array([128], np.uint8))
        most, fewest = (graph.node(f"Reduce{end}", [x, last], f"{x}.{end.lower()}", keepdims=1) for end in ("Max", "Min"))
        size = graph.node("Max", [most, graph.node("Neg", [fewest], f"{x}.least"), least], f"{x}.size")
        return graph.node("QuantizeLinear", [graph.node("Div", [x, size], f"{x}.even"), step, middle], f"{x}.u8"), size


@dataclass
class Int4(Product):
    block: int = 32
    accuracy: int = 4

    def __call__(self, graph: Graph, name: str, x: str, weight: np.ndarray, output: str | None = None) -> str:
        q, scale = blocks_of_4_bits(weight, self.block)
        out, width = weight.shape
        self.errors[name] = lost(weight, unblocked(q, scale, width))
        operands = [x, graph.constant(name, q[..., 0::2] | (q[..., 1::2] << 4)), graph.constant(f"{name}.scale", scale)]
        sizes = {"K": width, "N": out, "bits": 4, "block_size": self.block, "accuracy_level": self.accuracy}
        return graph.node("MatMulNBits", operands, output or f"{name}.out", domain=CONTRIBUTED, **sizes)


def lost(weight: np.ndarray, kept: np.ndarray) -> float:
    """‖W − Ŵ‖/‖W‖."""
    return float(np.linalg.norm(weight - kept) / max(np.linalg.norm(weight), 1e-30))


def blocks_of_4_bits(weight: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """q u8 [out, blocks, block] and the scale of every block, f32 [out, blocks]; the last block of a row is filled with zeros."""
    out, width = weight.shape
    blocks = np.pad(weight, [(0, 0), (0, -width % block)]).reshape(out, -1, block)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(2)[..., None], 2)
    best_q, best_scale, least = None, None, None
    for part in SHRUNK:
        scale = extreme * np.float32(-part / 8)
        q = np.rint(blocks / np.where(scale == 0, 1, scale)).clip(-8, 7)
        error = np.square(blocks - scale * q).sum(2, keepdims=True)
        if least is None:
            best_q, best_scale, least = q, scale, error
            continue
        better = error < least
        best_q, best_scale, least = (np.where(better, *pair) for pair in ((q, best_q), (scale, best_scale), (error, least)))
    return (best_q + 8).astype(np.uint8), best_scale[..., 0]


def unblocked(q: np.ndarray, scale: np.ndarray, width: int) -> np.ndarray:
    """The matrix [out, width] that blocks stand for."""
    return ((q.astype(np.float32) - 8) * scale[..., None]).reshape(len(q), -1)[:, :width]


def product_of(precision: str, block: int = 32, accuracy: int = 4) -> Product:
    """Of a new graph."""
    if accuracy not in ACCURACIES.get(precision, (accuracy,)):
        known = " or ".join(map(str, ACCURACIES[precision]))
        raise Problem(f"{precision} has an accuracy of {known}, not {accuracy}")
    if precision == "int4":
        return Int4(block=block, accuracy=accuracy)
    return Int8(accuracy=accuracy) if precision == "int8" else {"f32": Product, "f16": Half}[precision]()
