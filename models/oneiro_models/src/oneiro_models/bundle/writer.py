"""Writes a bundle. An older one stays as it was until the new one is whole and has passed its check."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors.numpy import save

from .. import Problem
from .catalog import Catalog
from .place import bundle_files, put_in_place
from .reader import Bundle
from .table import aligned

DTYPES = {"float32": "f32", "float16": "f16", "int8": "i8"}


class BundleWriter:
    """A bundle being written into `folder`, which must be new, empty, or a bundle to replace."""

    def __init__(self, folder: str | Path, name: str, description: str):
        self.folder = Path(folder)
        bundle_files(self.folder)
        self.items = 0
        self.files: dict[str, bytes] = {}
        self.manifest = {"format": 1, "requires": [], "name": name, "description": description, "parts": {}}

    @classmethod
    def again(cls, bundle: Bundle, folder: Path) -> "BundleWriter":
        """All of another bundle, to be changed."""
        new = cls(folder, bundle.manifest["name"], "")
        new.items, new.manifest = bundle.manifest["catalog"]["items"], bundle.manifest
        new.files = {part["file"]: (bundle.folder / part["file"]).read_bytes() for part in bundle.manifest["parts"].values()}
        return new

    def part(self, name: str, file: str, content: bytes) -> None:
        """Adds one part and names it in the manifest."""
        self.files[file] = content
        digest = hashlib.sha256(content).hexdigest()
        self.manifest["parts"][name] = {"file": file, "bytes": len(content), "sha256": digest}

    def catalog(self, catalog: Catalog) -> None:
        self.items = len(catalog)
        self.part("catalog", "catalog.safetensors", save(contiguous(catalog.tensors())))
        self.manifest["catalog"] = {"part": "catalog", "items": self.items, "attributes": catalog.kinds()}

    def table(self, part: str, tensors: dict[str, np.ndarray], *, exact: str | None = None, **metrics: str) -> None:
        """Adds an item table; each keyword is a space over it: `items="dot", neighbours="cosine"`.

        `exact` names the part, added before, whose rows those of an i8 table were made from.
        """
        rows = tensors["rows"]
        if len(rows) != self.items:
            raise Problem(f"table `{part}` has {len(rows)} rows for a catalog of {self.items} items")
        self.part(part, f"{part}.safetensors", save(contiguous(tensors)))
        for space, metric in metrics.items():
            entry = {
                "part": part,
                "rows": len(rows),
                "width": rows.shape[1],
                "dtype": DTYPES[rows.dtype.name],
                "metric": metric,
            }
            if exact is not None:
                entry["exact"] = exact
            if "bias" in tensors and metric == "dot":
                entry["bias"] = True
            self.manifest.setdefault("spaces", {})[space] = entry

    def graph(self, name: str, model: bytes, weights: bytes | list[str], prepack: str = "auto") -> None:
        """Adds an ONNX graph, `<name>.onnx`, and its external data, `<name>.weights`, or the parts that hold it already."""
        self.part(name, f"{name}.onnx", model)
        parts = weights if isinstance(weights, list) else [f"{name}.weights"]
        if parts is not weights:
            self.part(parts[0], parts[0], weights)
        self.manifest.setdefault("graphs", {})[name] = {"model": name, "weights": parts, "prepack": prepack}

    def table_part(self, name: str, tensors: dict[str, np.ndarray]) -> None:
        """Adds tensors as a part of their own."""
        self.part(name, f"{name}.safetensors", save(contiguous(tensors)))

    def token_table(self, name: str, tensors: dict[str, np.ndarray]) -> None:
        """Adds a table of token rows as a part of its name."""
        self.part(name, f"{name}.safetensors", aligned(tensors))
        rows, width = tensors["rows"].shape
        entry = {"part": name, "rows": rows, "width": width, "dtype": DTYPES[tensors["rows"].dtype.name]}
        self.manifest.setdefault("token_tables", {})[name] = entry

    def language_model(self, name: str, **contract) -> None:
        self.manifest.setdefault("language_models", {})[name] = contract

    def prompt(self, name: str, **contract) -> None:
        """Adds what a language model is asked; what is None is left out."""
        self.manifest.setdefault("prompts", {})[name] = {key: value for key, value in contract.items() if value is not None}

    def generator(self, name: str, **contract) -> None:
        """Adds how titles that a language model writes become items."""
        self.manifest.setdefault("generators", {})[name] = contract

    def interpreter(self, name: str, tensors: dict[str, np.ndarray], **contract) -> None:
        """Adds what a language model is asked about an encoder's states, and the `<name>.projector` that makes rows of them."""
        part = f"{name}.projector"
        self.table_part(part, tensors)
        self.manifest.setdefault("interpreters", {})[name] = contract | {"projector": part}

    def explainer(self, name: str, **contract) -> None:
        """Adds the sentences that say why an item is recommended; what is None is left out."""
        self.manifest.setdefault("explainers", {})[name] = {key: value for key, value in contract.items() if value is not None}

    def encoder(self, name: str, **contract) -> None:
        self.manifest.setdefault("encoders", {})[name] = contract

    def q_network(self, name: str, **contract) -> None:
        self.manifest.setdefault("q_networks", {})[name] = contract

    def oracle(self, name: str, part: str, tensors: dict[str, np.ndarray], **contract) -> None:
        """Adds an oracle and its part."""
        self.part(part, f"{part}.safetensors", save(contiguous(tensors)))
        self.manifest.setdefault("oracles", {})[name] = {**contract, "part": part}

    def finish(self, check: Callable[[Bundle], object] = lambda written: None, **rest) -> Path:
        """Adds the remaining fields (`similar`, `seen`, `recipe`, `provenance`) and writes everything, the manifest last.

        What is written lies in a folder beside until `check` has passed it.
        """
        self.manifest |= rest
        text = json.dumps(self.manifest, indent=2, ensure_ascii=False) + "\n"
        files = {**self.files, "manifest.json": text.encode()}
        target = self.folder.resolve()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as beside:
                new, old = Path(beside, "new"), Path(beside, "old")
                new.mkdir()
                old.mkdir()
                for file, content in files.items():
                    (new / file).write_bytes(content)
                check(Bundle(new))
                put_in_place(new, list(files), target, old)
        except OSError as error:
            raise Problem(f"{self.folder} cannot be written: {error}") from None
        return self.folder


def contiguous(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
