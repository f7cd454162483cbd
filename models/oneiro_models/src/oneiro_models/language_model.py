"""A bundle's language model in ONNX Runtime, as the oneiro library runs it (models/README.md, "Language models")."""

import json
from dataclasses import dataclass

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from . import Problem
from .bundle import Bundle
from .bundle.table import values
from .decoder import MASKED
from .inference import session

Cache = list[np.ndarray]
"""Key and value of every layer in turn, each [1, kv_heads, T, head_size]."""


def tokenizer_of(content: bytes) -> Tokenizer:
    """The tokenizer of pieces: nothing in a text is more than text (`<s>` in a title is three characters), and nothing, not
    even a space, is put in front of it.
    """
    told = json.loads(content)
    told |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
    told["normalizer"] = _bare(told.get("normalizer"), "normalizers")
    told["pre_tokenizer"] = _bare(told.get("pre_tokenizer"), "pretokenizers")
    try:
        return Tokenizer.from_str(json.dumps(told))
    except Exception as error:  # tokenizers raises bare exceptions
        raise Problem(f"tokenizer.json is not read by the tokenizers library: {error}") from None


def _bare(step: dict | None, inner: str) -> dict | None:
    """A normalizer or pre-tokenizer without what puts a space in front."""
    if step is None or step["type"] == "Prepend":
        return None
    if step["type"] == "Sequence":
        return step | {inner: [bare for one in step[inner] if (bare := _bare(one, inner)) is not None]}
    return step | {"Metaspace": {"prepend_scheme": "never"}, "ByteLevel": {"add_prefix_space": False}}.get(step["type"], {})


def piece(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a piece of a prompt by itself."""
    return tokenizer.encode(text, add_special_tokens=False).ids


def titled(tokenizer: Tokenizer, title: str, end: int | None) -> list[int]:
    """The tokens of a title, its lines joined, with the one that ends it."""
    found = piece(tokenizer, title.replace("\r", " ").replace("\n", " "))
    if not found:
        raise Problem(f"the title `{title}` has no tokens: a language model cannot score it")
    return found if end is None else [*found, end]


@dataclass(frozen=True)
class Tree:
    """Sequences of tokens as one tree: of each node its token and its parent, which comes before it (−1: none)."""

    tokens: list[int]
    parents: list[int]
    paths: list[list[int]]
    """The nodes of every sequence."""

    @classmethod
    def of(cls, sequences: list[list[int]]) -> "Tree":
        nodes: dict[tuple[int, int], int] = {}
        tree = cls([], [], [])
        for sequence in sequences:
            path, parent = [], -1
            for token in sequence:
                node = nodes.setdefault((parent, token), len(nodes))
                if node == len(tree.tokens):
                    tree.tokens.append(token)
                    tree.parents.append(parent)
                path.append(node)
                parent = node
            tree.paths.append(path)
        return tree

    def depths(self) -> np.ndarray:
        depths = np.zeros(len(self.tokens), np.int64)
        for node, parent in enumerate(self.parents):
            depths[node] = depths[parent] + 1 if parent >= 0 else 0
        return depths

    def bias(self, past: int) -> np.ndarray:
        """[S, past + S]: every node looks at what is past, at itself and at those above it."""
        bias = np.full((len(self.tokens), past + len(self.tokens)), MASKED)
        bias[:, :past] = 0
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                bias[node, past:] = bias[parent, past:]
            bias[node, past + node] = 0
        return bias


class LanguageModel:
    """Hidden states by the graph, logits by the head, titles by the tree of their tokens."""

    def __init__(self, bundle: Bundle, name: str | None = None, adapter: str | None = None):
        models = bundle.manifest.get("language_models", {})
        self.name = name or next(iter(models), "none")
        if self.name not in models:
            raise Problem(f"{bundle.folder}: there is no language model `{self.name}`")
        self.folder, self.contract = bundle.folder, models[self.name]
        self.rows = values(bundle.tensors(bundle.manifest["token_tables"][self.contract["tokens"]]["part"]))
        self.table = None
        for table in self._head("table"):
            own = bundle.manifest["token_tables"][table]["part"]
            self.table = self.rows if table == self.contract["tokens"] else values(bundle.tensors(own))
        self.graph = session(bundle, self.contract["graph"])
        self.head = next((session(bundle, graph) for graph in self._head("graph")), None)
        self.tokenizer = tokenizer_of(bundle.path(self.contract["tokenizer"]).read_bytes())
        self.options = None
        if adapter is not None:
            # Options do not keep it alive.
            self.adapter = onnxruntime.LoraAdapter()
            self.adapter.Load(str(bundle.path(self.contract["adapters"][adapter])))
            self.options = onnxruntime.RunOptions()
            self.options.add_active_adapter(self.adapter)
        self.begin = [self.contract["begin"]] if "begin" in self.contract else []
        self.end = self.contract.get("end_of_title")

    def _head(self, way: str) -> list[str]:
        return [self.contract["head"][way]] if way in self.contract["head"] else []

    def empty(self) -> Cache:
        shape = (1, self.contract["kv_heads"], 0, self.contract["head_size"])
        return [np.zeros(shape, np.float32)] * (2 * self.contract["layers"])

    def run(self, rows: np.ndarray, positions: np.ndarray, bias: np.ndarray, past: Cache) -> tuple[np.ndarray, Cache]:
        """The hidden states [S, D] of rows [S, D], and the cache with what they add to it."""
        total = bias.shape[1]
        if positions.max() >= self.contract["context"]:
            raise Problem(f"the prompt takes {positions.max() + 1} rows, the model holds {self.contract['context']}")
        inputs = {
            "inputs_embeds": rows[None],
            "position_ids": positions[None],
            "attention_bias": bias[None, None],
            "seqlens_k": np.array([total - 1], np.int32),
            "total_sequence_length": np.array(total, np.int32),
        }
        kinds = [f"{layer}.{kind}" for layer in range(self.contract["layers"]) for kind in ("key", "value")]
        inputs |= {f"past_key_values.{kind}": tensor for kind, tensor in zip(kinds, past)}
        hidden, *present = self.graph.run(["hidden_states", *(f"present.{kind}" for kind in kinds)], inputs, self.options)
        return hidden[0], present

    def read(self, tokens: list[int], past: Cache | None = None) -> tuple[np.ndarray, Cache]:
        """The same of tokens that follow what is past, one after the other."""
        past = past or self.empty()
        length = past[0].shape[2]
        bias = np.concatenate([np.zeros((len(tokens), length), np.float32), np.triu(np.full((len(tokens),) * 2, MASKED), 1)], 1)
        return self.run(self.rows[tokens], length + np.arange(len(tokens)), bias, past)

    def logits(self, hidden: np.ndarray) -> np.ndarray:
        """[R, V] of hidden states [R, D], by the head's graph if there is one."""
        return self.head.run(["logits"], {"hidden_states": hidden})[0] if self.head else hidden @ self.table.T

    def greedy(self, prompt: list[int], count: int) -> list[int]:
        """The likeliest tokens one by one, up to one that ends the text."""
        hidden, past = self.read(prompt)
        found: list[int] = []
        while len(found) < count:
            found.append(int(self.logits(hidden[-1:])[0].argmax()))
            if found[-1] in self.contract["stop"]:
                break
            hidden, past = self.read(found[-1:], past)
        return found

    def scores(self, prompt: list[int], titles: list[list[int]]) -> np.ndarray:
        """log p(title | prompt) of every title, by as few runs after the prompt's as hold their trees; [N]."""
        hidden, past = self.read(prompt)
        most, found, together = self.contract.get("packed", self.contract["context"]) - len(prompt), [], []
        for title in titles:
            if together and len(Tree.of([*together, title]).tokens) > most:
                found += self._scored(hidden, past, together)
                together = []
            together.append(title)
        return np.array(found + self._scored(hidden, past, together))

    def _scored(self, hidden: np.ndarray, past: Cache, titles: list[list[int]]) -> list[float]:
        tree, length = Tree.of(titles), past[0].shape[2]
        inner, _ = self.run(self.rows[tree.tokens], length + tree.depths(), tree.bias(length), past)
        after = log_softmax(self.logits(np.concatenate([hidden[-1:], inner])))
        own = after[np.array(tree.parents) + 1, tree.tokens].astype(np.float64)
        return [float(own[path].sum()) for path in tree.paths]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Of each row, in f32 but for the sum."""
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted.astype(np.float64)).sum(1, keepdims=True)).astype(np.float32)
