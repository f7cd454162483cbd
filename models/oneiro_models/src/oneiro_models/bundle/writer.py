"""Writes a bundle. Nothing touches the disk before `finish`, so a failure leaves an older bundle as it was."""

import hashlib
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from .. import Problem
from .catalog import Catalog

DTYPES = {"float32": "f32", "float16": "f16", "int8": "i8"}


class BundleWriter:
    """A bundle being written into `folder`, which must be new, empty, or a bundle to replace."""

    def __init__(self, folder: str | Path, name: str, description: str):
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise Problem(f"{self.folder} is not a folder")
        if self.folder.exists() and any(self.folder.iterdir()) and not (self.folder / "manifest.json").exists():
            raise Problem(f"{self.folder} is not empty and holds no bundle: name a new folder")
        self.items = 0
        self.files: dict[str, bytes] = {}
        self.manifest = {"format": 1, "requires": [], "name": name, "description": description, "parts": {}}

    def part(self, name: str, file: str, content: bytes) -> None:
        """Adds one part and names it in the manifest."""
        self.files[file] = content
        digest = hashlib.sha256(content).hexdigest()
        self.manifest["parts"][name] = {"file": file, "bytes": len(content), "sha256": digest}

    def catalog(self, catalog: Catalog) -> None:
        self.items = len(catalog)
        self.part("catalog", "catalog.safetensors", save(contiguous(catalog.tensors())))
        self.manifest["catalog"] = {"part": "catalog", "items": self.items, "attributes": catalog.kinds()}

    def table(self, part: str, tensors: dict[str, np.ndarray], **metrics: str) -> None:
        """Adds an item table; each keyword is a space over it: `items="dot", neighbours="cosine"`."""
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
            if "bias" in tensors and metric == "dot":
                entry["bias"] = True
            self.manifest.setdefault("spaces", {})[space] = entry

    def graph(self, name: str, model: bytes, weights: bytes, prepack: str = "auto") -> None:
        """Adds an ONNX graph and its external data, `<name>.onnx` and `<name>.weights`."""
        self.part(name, f"{name}.onnx", model)
        self.part(f"{name}.weights", f"{name}.weights", weights)
        graphs = self.manifest.setdefault("graphs", {})
        graphs[name] = {"model": name, "weights": [f"{name}.weights"], "prepack": prepack}

    def encoder(self, name: str, **contract) -> None:
        self.manifest.setdefault("encoders", {})[name] = contract

    def finish(self, **rest) -> Path:
        """Adds the remaining fields (`similar`, `seen`, `recipe`, `provenance`) and writes everything, the manifest last."""
        self.manifest |= rest
        text = json.dumps(self.manifest, indent=2, ensure_ascii=False) + "\n"
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.iterdir():
            old.unlink()
        for file, content in {**self.files, "manifest.json": text.encode()}.items():
            (self.folder / file).write_bytes(content)
        return self.folder


def contiguous(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
