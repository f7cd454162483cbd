"""Reads a bundle back, to check what was written and to make golden vectors from it."""

import json
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import load_file

from .. import Problem


class Bundle:
    """A bundle's manifest and the contents of its parts."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        try:
            self.manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Problem(f"{self.folder} is not a bundle: it has no manifest.json") from None

    def path(self, part: str) -> Path:
        return self.folder / self.manifest["parts"][part]["file"]

    def tensors(self, part: str) -> dict[str, np.ndarray]:
        return load_file(self.path(part))

    @cached_property
    def catalog(self) -> dict[str, np.ndarray]:
        return self.tensors(self.manifest["catalog"]["part"])

    def strings(self, name: str) -> list[str]:
        """A string table of the catalog: `ids`, `titles`, `title_keys`, `attribute.<name>.names`."""
        ends, content = self.catalog[f"{name}.offsets"], self.catalog[f"{name}.bytes"].tobytes()
        return [content[start:end].decode() for start, end in zip(ends, ends[1:])]

    def tags(self, attribute: str) -> list[list[str]]:
        """The tags of every item, in their order."""
        names, of = self.strings(f"attribute.{attribute}.names"), f"attribute.{attribute}"
        ends, tags = self.catalog[f"{of}.offsets"].tolist(), self.catalog[f"{of}.values"].tolist()
        return [[names[tag] for tag in tags[start:end]] for start, end in zip(ends, ends[1:])]

    def space(self, name: str) -> dict[str, np.ndarray]:
        """The tensors of the table that a space reads."""
        return self.tensors(self.manifest["spaces"][name]["part"])

    def graph(self, name: str) -> tuple[str, dict[str, np.ndarray]]:
        """What a graph calls itself, and its initialisers by name."""
        graph = onnx.load(self.path(self.manifest["graphs"][name]["model"])).graph
        return graph.name, {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
