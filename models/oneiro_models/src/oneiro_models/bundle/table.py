"""Item tables: one row an item, as f32, f16 or i8 (models/README.md, "Item tables")."""

import json

import numpy as np

ALIGNMENT = 64
"""Of the rows of a token table in their file, which a graph may read there too."""


def table(rows, dtype: str = "f32", *, bias=None, cold=None, empty=None) -> dict[str, np.ndarray]:
    """The tensors of an item table with the values `rows` [N, d]."""
    rows = np.asarray(rows, np.float32)
    tensors = quantised(rows) if dtype == "i8" else {"rows": rows.astype({"f32": np.float32, "f16": np.float16}[dtype])}
    if bias is not None:
        tensors["bias"] = np.asarray(bias, np.float32)
    if cold is not None:
        tensors["cold"] = np.asarray(cold, np.uint8)
    if empty is not None:
        tensors["empty"] = np.asarray(empty, np.float32)
    return tensors


def values(tensors: dict[str, np.ndarray]) -> np.ndarray:
    """The rows of an item table in f32, whatever type they are kept in."""
    rows = tensors["rows"].astype(np.float32)
    return rows * tensors["scale"][:, None] if "scale" in tensors else rows


def quantised(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Symmetric i8: `row ≈ scale · q`, `scale = max|row| / 127`, `error = ‖row − scale·q‖₂`."""
    scale = np.abs(rows).max(axis=1) / np.float32(127)
    q = np.rint(rows / np.where(scale > 0, scale, 1)[:, None]).clip(-127, 127).astype(np.int8)
    error = np.linalg.norm(rows.astype(np.float64) - scale[:, None].astype(np.float64) * q, axis=1)
    return {"rows": q, "scale": scale.astype(np.float32), "error": error.astype(np.float32)}


def aligned(tensors: dict[str, np.ndarray]) -> bytes:
    """The safetensors file that holds `rows` first, at a multiple of 64."""
    names, end, header = ["rows", *sorted(tensors.keys() - {"rows"})], 0, {}
    for name in names:
        tensor = tensors[name]
        kind = {"f": "F", "i": "I"}[tensor.dtype.kind] + str(8 * tensor.itemsize)
        header[name] = {"dtype": kind, "shape": tensor.shape, "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    content = [len(text).to_bytes(8, "little"), text, *(np.ascontiguousarray(tensors[name]).tobytes() for name in names)]
    return b"".join(content)


def rows_at(file: bytes) -> int:
    """Where the rows begin in a file that is `aligned`."""
    return 8 + int.from_bytes(file[:8], "little")
