"""A bundle again, with its item tables in another type."""

from pathlib import Path

from safetensors.numpy import save

from .reader import Bundle
from .table import table, values
from .writer import BundleWriter, contiguous


def retyped(bundle: Bundle, dtype: str, folder: Path) -> Bundle:
    """Writes the bundle into `folder` with every item table as `f32`, `f16` or `i8`."""
    manifest = bundle.manifest
    writer = BundleWriter(folder, manifest["name"], manifest.get("description", ""))
    tables = {space["part"] for space in manifest["spaces"].values()}
    for part, entry in manifest["parts"].items():
        content = bundle.path(part).read_bytes()
        if part in tables:
            tensors = bundle.tensors(part)
            rest = {name: tensors[name] for name in ("bias", "cold", "empty") if name in tensors}
            content = save(contiguous(table(values(tensors), dtype, **rest)))
        writer.part(part, entry["file"], content)
    spaces = {name: space | {"dtype": dtype} for name, space in manifest["spaces"].items()}
    return Bundle(writer.finish(**{name: manifest[name] for name in manifest.keys() - {"parts"}} | {"spaces": spaces}))
