"""Decoder-only language models as graphs (models/README.md, "Language models"): Llama (Touvron et al., arXiv 2302.13971) and
Qwen2 (arXiv 2407.10671), which adds biases to the queries, keys and values.

Of the rows x of a text, each layer makes

    n = RMSNorm(x)          q, k, v = n·W_q + b_q, n·W_k + b_k, n·W_v + b_v         RMSNorm(x) = g·x / √(mean(x²) + ε)
    x ← x + attention(R_p q, R_p k, v)·W_o
    m = RMSNorm(x)          x ← x + (SiLU(m·W_gate) ⊙ (m·W_up))·W_down              SiLU(z) = z·σ(z)

with the softmax of q·k/√h in every head of size h; several heads share keys and values (GQA: arXiv 2305.13245). R_p turns
each pair (i, i + h/2) of a head by the angle p·θ^(−2i/h), p the position (RoPE: arXiv 2104.09864). A last RMSNorm gives the
hidden states, whose products with the head's rows are the logits.

A head in the graph is a multiple of 16 long, as ONNX Runtime's operator wants it: a shorter one has zeros behind each of its
two halves, which change no product.

One operator of ONNX Runtime does the attention with rotation, cache and bias. q, k and v are one product, and so that a
norm need not read again what was just added, sums and norms are one operator too.
"""

from math import pi

import numpy as np
from onnx import TensorProto

from .checkpoint import Checkpoint, Shape
from .graph import CONTRIBUTED, Graph
from .quantise import Product

MASKED = np.float32(-1e30)
"""What an attention bias has where a token may not look. Finite, so that a row that sees nothing makes no NaN."""

HEAD = 16
QUERIES = [f"self_attn.{kind}_proj" for kind in "qkv"]
"""What is one product."""


def decoder_graph(checkpoint: Checkpoint, weights_file: str, packed: int, multiply: Product) -> tuple[bytes, bytes]:
    """The ONNX model of `inputs_embeds` → `hidden_states`, with keys and values of up to `packed` tokens, and its weights."""
    graph = Graph("decoder", weights_file)
    x = graph.input("inputs_embeds", np.float32, [1, "S", checkpoint.shape.width])
    order = [graph.input("position_ids", np.int64, [1, "S"]), graph.input("attention_bias", np.float32, [1, 1, "S", "T"])]
    ends = [graph.input("seqlens_k", np.int32, [1]), graph.input("total_sequence_length", np.int32, [])]
    layered(graph, checkpoint, x, ends, order, packed, multiply)
    return graph.save()


def plain_graph(checkpoint: Checkpoint, weights_file: str, packed: int, rows_file: str, rows: int) -> tuple[bytes, bytes]:
    """The model in the form of onnxruntime-genai's builder: without positions and bias, of a batch, and with the head in it,
    whose f32 rows [V, D] lie in `rows_file` from `rows`. Its weights are those of `decoder_graph`.
    """
    shape = checkpoint.shape
    graph = Graph("plain", weights_file)
    x = graph.input("inputs_embeds", np.float32, ["B", "S", shape.width])
    mask = graph.input("attention_mask", np.int64, ["B", "T"])
    one = graph.constant("one", np.array([1], np.int64))
    counts = graph.node("ReduceSum", [mask, one], "counts", keepdims=0)
    last = graph.node("Cast", [graph.node("Sub", [counts, one], "lasts")], "seqlens_k", to=TensorProto.INT32)
    total = graph.node("Squeeze", [graph.node("Shape", [mask], "total_shape", start=1, end=2)], "total_count")
    total = graph.node("Cast", [total], "total_sequence_length", to=TensorProto.INT32)
    hidden = layered(graph, checkpoint, x, [last, total], [], packed, Product())
    table = graph.lying("rows", np.float32, [shape.vocabulary, shape.width], rows, rows_file)
    graph.node("FusedMatMul", [hidden, table], "logits", domain=CONTRIBUTED, transB=1)
    graph.output("logits", np.float32, ["B", "S", shape.vocabulary])
    return graph.save()


def layered(
    graph: Graph, checkpoint: Checkpoint, x: str, ends: list[str], order: list[str], packed: int, multiply: Product
) -> str:
    """All layers and the last norm: the hidden states. `order`: positions and attention bias, or nothing for one token after
    the other; the hidden states are an output then only if it is given."""
    shape, batch = checkpoint.shape, 1 if order else "B"
    cache = [batch, shape.kv_heads, "C", cached_head(shape)]
    angles = rotations(shape, packed)
    rotation = [graph.constant(f"{way.__name__}_cache", way(angles).astype(np.float32)) for way in (np.cos, np.sin)]
    kinds = [[f"{layer}.{kind}" for kind in ("key", "value")] for layer in range(shape.layers)]
    past = [[graph.input(f"past_key_values.{kind}", np.float32, cache) for kind in both] for both in kinds]
    if order:
        graph.output("hidden_states", np.float32, [1, "S", shape.width])
    added = None
    for layer, both in enumerate(kinds):
        name = f"layers.{layer}"
        x, n = normed(graph, checkpoint, f"{name}.input_layernorm", x, added)
        attention, *_ = graph.several(
            "GroupQueryAttention",
            [queries(graph, checkpoint, layer, n, multiply), "", "", *past[layer], *ends, *rotation, *order],
            [f"{name}.attention", *(f"present.{kind}" for kind in both)],
            f"{name}.attention",
            domain=CONTRIBUTED,
            num_heads=shape.heads,
            kv_num_heads=shape.kv_heads,
            do_rotary=1,
            scale=shape.head_size**-0.5,
        )
        for kind in both:
            graph.output(f"present.{kind}", np.float32, cache)
        added = biased(graph, checkpoint, layer, "self_attn.o_proj", attention, multiply)
        x, m = normed(graph, checkpoint, f"{name}.post_attention_layernorm", x, added)
        gate, up = (biased(graph, checkpoint, layer, f"mlp.{kind}_proj", m, multiply) for kind in ("gate", "up"))
        silu = graph.node("QuickGelu", [gate], f"{name}.silu", domain=CONTRIBUTED, alpha=1.0)
        inner = graph.node("Mul", [silu, up], f"{name}.inner")
        added = biased(graph, checkpoint, layer, "mlp.down_proj", inner, multiply)
    return normed(graph, checkpoint, "norm", x, added, "hidden_states")[1]


def queries(graph: Graph, checkpoint: Checkpoint, layer: int, n: str, multiply: Product) -> str:
    """Queries, keys and values in one product."""
    shape, name = checkpoint.shape, f"layers.{layer}.qkv"
    weight = np.concatenate([lengthened(shape, checkpoint.matrix(layer, kind)) for kind in QUERIES])
    found = multiply(graph, name, n, weight)
    biases = [checkpoint.bias(layer, kind) for kind in QUERIES]
    if all(bias is None for bias in biases):
        return found
    rows = [np.zeros(shape.of(kind)[0], np.float32) if bias is None else bias for kind, bias in zip(QUERIES, biases)]
    row = np.concatenate([lengthened(shape, row) for row in rows])
    return graph.node("Add", [found, graph.constant(f"{name}.bias", row)], f"{name}.biased")


def head_graph(rows: np.ndarray, weights_file: str, multiply: Product) -> tuple[bytes, bytes]:
    """The ONNX model of `hidden_states` [R, D] → `logits` [R, V], and its weights."""
    graph = Graph("head", weights_file)
    hidden = graph.input("hidden_states", np.float32, ["R", rows.shape[1]])
    multiply(graph, "head", hidden, rows, "logits")
    graph.output("logits", np.float32, ["R", rows.shape[0]])
    return graph.save()


def tied_head_graph(rows: np.ndarray, file: str, offset: int) -> bytes:
    """The same over rows [V, D], f32 or f16, where they lie in another part."""
    graph = Graph("head", file)
    hidden = graph.input("hidden_states", np.float32, ["R", rows.shape[1]])
    table = graph.lying("rows", rows.dtype.type, list(rows.shape), offset, file)
    if rows.dtype != np.float32:
        table = graph.node("Cast", [table], "rows.f32", to=TensorProto.FLOAT)
    graph.node("Gemm", [hidden, table], "logits", transB=1)
    graph.output("logits", np.float32, ["R", rows.shape[0]])
    return graph.save()[0]


def biased(graph: Graph, checkpoint: Checkpoint, layer: int, projection: str, x: str, multiply: Product) -> str:
    """`x·Wᵀ`, plus the bias if the projection has one."""
    name = f"layers.{layer}.{projection.split('.')[1]}"
    weight = checkpoint.matrix(layer, projection)
    if projection == "self_attn.o_proj":
        weight = lengthened(checkpoint.shape, weight.T).T
    found = multiply(graph, name, x, weight)
    bias = checkpoint.bias(layer, projection)
    return found if bias is None else graph.node("Add", [found, graph.constant(f"{name}.bias", bias)], f"{name}.biased")


def normed(
    graph: Graph, checkpoint: Checkpoint, name: str, x: str, added: str | None, output: str | None = None
) -> tuple[str, str]:
    """x plus what is `added` to it, and the RMSNorm of that."""
    gain, output = graph.constant(name, checkpoint.norm(name)), output or f"{name}.out"
    if added is None:
        own = {"axis": -1, "epsilon": checkpoint.shape.epsilon}
        return x, graph.node("SimplifiedLayerNormalization", [x, gain], output, **own)
    outputs = [output] if name == "norm" else [output, "", "", f"{name}.sum"]
    own = {"domain": CONTRIBUTED, "epsilon": checkpoint.shape.epsilon}
    graph.several("SkipSimplifiedLayerNormalization", [x, added, gain], outputs, f"{name}.out", **own)
    return f"{name}.sum", output


def cached_head(shape: Shape) -> int:
    """The length of a head in the graph and in the cache."""
    return -(-shape.head_size // HEAD) * HEAD


def lengthened(shape: Shape, rows: np.ndarray) -> np.ndarray:
    """The same heads, each `head_size` rows, at their length in the graph."""
    half, whole = shape.head_size // 2, cached_head(shape)
    if whole == shape.head_size:
        return rows
    heads = rows.reshape(-1, shape.head_size, *rows.shape[1:])
    found = np.zeros((len(heads), whole, *rows.shape[1:]), np.float32)
    found[:, :half], found[:, whole // 2 : whole // 2 + half] = heads[:, :half], heads[:, half:]
    return found.reshape(-1, *rows.shape[1:])


def rotations(shape: Shape, count: int) -> np.ndarray:
    """The angle of every pair of a head in the graph at every position, f64 [count, h/2]: frequencies θ^(−2i/h) and angles
    are rounded to f32 where PyTorch rounds them, but computed in f64, so that every processor gives the same.

    Scaled as `linear`: all frequencies by 1/factor. As `llama3`: frequencies whose wave is longer than the context the model
    first had, over `low_freq_factor`, by 1/factor; those whose wave is shorter than it over `high_freq_factor` not at all;
    those between by a mix of the two.
    """
    powers = (np.arange(0, shape.head_size, 2) / shape.head_size).astype(np.float32)
    frequencies = np.float32(1) / (shape.theta ** powers.astype(np.float64)).astype(np.float32)
    scaling = shape.scaling
    if scaling:
        slowed = frequencies / np.float32(scaling["factor"])
        if scaling["rope_type"] == "linear":
            frequencies = slowed
        else:
            low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
            turns = scaling["original_max_position_embeddings"] * frequencies.astype(np.float64) / (2 * pi)
            mix = np.clip((turns - low) / (high - low), 0, 1)
            frequencies = ((1 - mix) * slowed + mix * frequencies).astype(np.float32)
    angles = np.arange(count, dtype=np.float32)[:, None] * frequencies
    return np.pad(angles.astype(np.float64), [(0, 0), (0, (cached_head(shape) - shape.head_size) // 2)])
