"""Puts a new bundle where an older one may be. Only the files of bundles are touched, and a failure undoes it all."""

import json
import re
from pathlib import Path

from .. import Problem

PLAIN_NAME = re.compile(r"(?!\.{1,2}\Z)[^/\\\0]+")


def bundle_files(folder: Path) -> list[str]:
    """The files of the bundle in `folder`, the manifest first; none if the folder is new or empty. Other folders are refused."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise Problem(f"{folder} is not a folder")
    if not any(folder.iterdir()):
        return []
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        named = [part["file"] for part in manifest["parts"].values()]
        known = manifest["format"] == 1 and all(PLAIN_NAME.fullmatch(name) for name in named)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        known = False
    if not known:
        raise Problem(f"{folder} is not empty and holds no bundle: name a new folder")
    return [name for name in dict.fromkeys(["manifest.json", *named]) if (folder / name).is_file()]


def put_in_place(new: Path, files: list[str], folder: Path, old: Path) -> None:
    """Moves `files` from `new` to `folder`. Those of an older bundle go to `old`; after a failure they come back."""
    replaced = bundle_files(folder)
    for file in files:
        if file not in replaced and (folder / file).exists():
            raise Problem(f"{folder / file} is not of the bundle that is there: move it away, or name a new folder")
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for file in replaced:
            (folder / file).replace(old / file)
        for file in files:
            (new / file).replace(folder / file)
    except BaseException:
        for file in files:
            if not (new / file).exists():
                (folder / file).unlink()
        for file in reversed(replaced):
            if (old / file).exists():
                (old / file).replace(folder / file)
        if is_new:
            folder.rmdir()
        raise
