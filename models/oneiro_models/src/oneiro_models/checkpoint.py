"""Checkpoints of decoder-only language models as Hugging Face keeps them, read from their files alone.

A folder with `config.json`, `tokenizer.json` and `model.safetensors` (or its shards with `model.safetensors.index.json`);
architectures Llama and Qwen2, whose networks differ only in which layers have a bias.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from . import Problem

ARCHITECTURES = ("LlamaForCausalLM", "Qwen2ForCausalLM")
PROJECTIONS = {
    "self_attn.q_proj": ("query_width", "width"),
    "self_attn.k_proj": ("key_width", "width"),
    "self_attn.v_proj": ("key_width", "width"),
    "self_attn.o_proj": ("width", "query_width"),
    "mlp.gate_proj": ("inner", "width"),
    "mlp.up_proj": ("inner", "width"),
    "mlp.down_proj": ("width", "inner"),
}
"""Every matrix of a layer, [out, in]."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder, and the numbers that its equations need."""

    vocabulary: int
    width: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    context: int
    epsilon: float
    theta: float
    scaling: dict
    """`rope_type` and its numbers; empty where positions are rotated as they are."""
    tied: bool

    @property
    def query_width(self) -> int:
        return self.heads * self.head_size

    @property
    def key_width(self) -> int:
        return self.kv_heads * self.head_size

    def of(self, projection: str) -> tuple[int, int]:
        """[out, in] of a matrix of a layer."""
        rows, columns = PROJECTIONS[projection]
        return getattr(self, rows), getattr(self, columns)


class Checkpoint:
    """A folder that Hugging Face's `save_pretrained` wrote; tensors are read when they are asked for, as f32."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.config = self._json("config.json")
        architecture = (self.config.get("architectures") or ["none"])[0]
        if architecture not in ARCHITECTURES:
            raise Problem(f"{folder}: the architecture is {architecture}, expected {' or '.join(ARCHITECTURES)}")
        if self.config.get("use_sliding_window"):
            raise Problem(f"{folder}: attention over a sliding window is not exported")
        if self.config.get("hidden_act", "silu") != "silu":
            raise Problem(f"{folder}: the activation is {self.config['hidden_act']}, expected silu")
        self.name = folder.resolve().name
        self.shape = self._shape()

    def _json(self, file: str) -> dict:
        try:
            return json.loads((self.folder / file).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Problem(f"{self.folder} is no checkpoint: it has no {file}") from None
        except ValueError as error:
            raise Problem(f"{self.folder / file}: {error}") from None

    def _shape(self) -> Shape:
        config = self.config
        rotation = config.get("rope_parameters") or config.get("rope_scaling") or {}
        kind = rotation.get("rope_type", rotation.get("type", "default"))
        if kind not in ("default", "linear", "llama3"):
            raise Problem(f"{self.folder}: positions scaled by `{kind}` are not exported, only `linear` and `llama3`")
        try:
            width, heads = config["hidden_size"], config["num_attention_heads"]
            return Shape(
                vocabulary=config["vocab_size"],
                width=width,
                inner=config["intermediate_size"],
                layers=config["num_hidden_layers"],
                heads=heads,
                kv_heads=config.get("num_key_value_heads") or heads,
                head_size=config.get("head_dim") or width // heads,
                context=config["max_position_embeddings"],
                epsilon=config["rms_norm_eps"],
                theta=float(rotation.get("rope_theta") or config.get("rope_theta") or 10000.0),
                scaling={} if kind == "default" else rotation | {"rope_type": kind},
                tied=bool(config.get("tie_word_embeddings", False)),
            )
        except KeyError as error:
            raise Problem(f"{self.folder}: config.json says nothing of {error}") from None

    @cached_property
    def files(self) -> dict[str, Path]:
        """The file of every tensor."""
        index, single = self.folder / "model.safetensors.index.json", self.folder / "model.safetensors"
        if not index.is_file() and not single.is_file():
            raise Problem(f"{self.folder}: no model.safetensors, and no model.safetensors.index.json of shards")
        if single.is_file():
            with _opened(single) as file:
                return dict.fromkeys(file.keys(), single)
        return {name: self.folder / file for name, file in self._json(index.name)["weight_map"].items()}

    def tensor(self, name: str, *shape: int) -> np.ndarray:
        """A tensor of this shape."""
        if name not in self.files:
            raise Problem(f"{self.folder}: there is no tensor `{name}`")
        with _opened(self.files[name]) as file:
            found = file.get_tensor(name).float().numpy()
        if found.shape != shape:
            raise Problem(f"{self.folder}: `{name}` is {list(found.shape)}, expected {list(shape)}")
        return found

    def matrix(self, layer: int, projection: str) -> np.ndarray:
        """A matrix of a layer, [out, in]."""
        return self.tensor(f"model.layers.{layer}.{projection}.weight", *self.shape.of(projection))

    def bias(self, layer: int, projection: str) -> np.ndarray | None:
        """Its bias, if it has one."""
        name = f"model.layers.{layer}.{projection}.bias"
        return self.tensor(name, self.shape.of(projection)[0]) if name in self.files else None

    def norm(self, name: str) -> np.ndarray:
        return self.tensor(f"model.{name}.weight", self.shape.width)

    @cached_property
    def tokens(self) -> np.ndarray:
        """The token table, [V, D]."""
        return self.tensor("model.embed_tokens.weight", self.shape.vocabulary, self.shape.width)

    @cached_property
    def head(self) -> np.ndarray:
        """The rows that logits are products with, [V, D]: the token table itself where they are tied."""
        if self.shape.tied or "lm_head.weight" not in self.files:
            return self.tokens
        return self.tensor("lm_head.weight", self.shape.vocabulary, self.shape.width)

    @property
    def tied(self) -> bool:
        return self.head is self.tokens

    @cached_property
    def tokenizer(self) -> bytes:
        """tokenizer.json as it is."""
        self._json("tokenizer.json")
        return (self.folder / "tokenizer.json").read_bytes()

    @cached_property
    def stop(self) -> list[int]:
        """The tokens that end a text, by the generation's settings where there are any."""
        generation = self.folder / "generation_config.json"
        own = self._json(generation.name).get("eos_token_id") if generation.is_file() else None
        found = self.config.get("eos_token_id") if own is None else own
        return found if isinstance(found, list) else [] if found is None else [found]


def _opened(path: Path):
    try:
        return safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise Problem(f"{path}: {error}") from None
