"""Records: what was measured, kept as small JSON files of which the page of results is made."""

import json
import re
from dataclasses import asdict
from pathlib import Path

DECIMALS = 8
"""How many of a figure are kept: so many more than the page shows that rounding twice does not show."""


def file_name(*parts: str) -> str:
    """What a record is called, without its suffix."""
    return "--".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts if part)


def seedless(command: str) -> str:
    """A command without the seed of its RUN; that of a BASE stays, for another base is another model."""
    return re.sub(r"( RUN\b[^&]*?) --seed \d+", r"\1", command)


def keep(record, folder: Path, name: str) -> Path:
    """Writes a dataclass as `name` in a folder, in place of an older record of that name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(json.dumps(_rounded(asdict(record)), ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _rounded(content):
    if isinstance(content, dict):
        return {name: _rounded(value) for name, value in content.items()}
    return round(content, DECIMALS) if isinstance(content, float) else content
