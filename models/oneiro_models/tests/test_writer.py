"""Writing a bundle where something lies already: only an older bundle's own files ever go."""

import json

import numpy as np
import pytest

from oneiro_models import Problem, export
from oneiro_models.bundle import Bundle, BundleWriter, Catalog
from oneiro_models.bundle.table import table, values
from oneiro_models.tiny import write_tiny


def write(folder, *ids, check=lambda written: None):
    writer = BundleWriter(folder, "new", "")
    writer.catalog(Catalog(list(ids)))
    return writer.finish(check)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_is_written_into_a_new_or_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "new" / "deep"):
        assert Bundle(write(folder, "a")).strings("ids") == ["a"]
        assert {path.name for path in folder.iterdir()} == {"manifest.json", "catalog.safetensors"}
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "new"}


def test_i8_rows_name_their_exact_ones(tmp_path):
    rows = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    writer = BundleWriter(tmp_path, "new", "")
    writer.catalog(Catalog(["a", "b", "c"]))
    writer.table("items", table(rows))
    writer.table("small", table(rows, "i8"), exact="items", small="dot")
    bundle = Bundle(writer.finish())
    assert bundle.manifest["spaces"]["small"]["exact"] == "items"
    small = bundle.space("small")
    distance = np.linalg.norm(rows.astype(np.float64) - values(small), axis=1)
    assert (distance <= small["error"] * (1 + 1e-5)).all() and (np.abs(small["rows"]).max(axis=1) == 127).all()


def test_a_bundle_is_replaced_part_by_part(tmp_path):
    write_tiny(tmp_path / "bundle")
    write(tmp_path / "bundle", "a", "b")
    assert {path.name for path in (tmp_path / "bundle").iterdir()} == {"manifest.json", "catalog.safetensors"}
    assert Bundle(tmp_path / "bundle").strings("ids") == ["a", "b"]


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("keep me")
    with pytest.raises(Problem, match="holds no bundle"):
        BundleWriter(tmp_path, "x", "")
    assert (tmp_path / "letter.txt").exists()


@pytest.mark.parametrize(
    "manifest",
    [
        '{"name": "an app", "icons": []}',
        '{"format": 1}',
        '{"format": 2, "parts": {}}',
        '{"format": 1, "parts": ["letter.txt"]}',
        '{"format": 1, "parts": {"items": {"file": "../letter.txt"}}}',
        "[1]",
        "no JSON",
    ],
)
def test_a_folder_with_another_kind_of_manifest_is_left_alone(tmp_path, manifest):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "manifest.json").write_text(manifest)
    (tmp_path / "letter.txt").write_text("keep me")
    before = contents(tmp_path)
    with pytest.raises(Problem, match="holds no bundle"):
        write(folder, "a")
    assert contents(tmp_path) == before


def test_notes_and_folders_beside_a_bundle_survive(tmp_path):
    write(tmp_path, "a")
    (tmp_path / "note.txt").write_text("keep me")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "deep.txt").write_text("me too")
    write(tmp_path, "b")
    assert Bundle(tmp_path).strings("ids") == ["b"]
    assert (tmp_path / "note.txt").read_text() == "keep me" and (tmp_path / "more" / "deep.txt").read_text() == "me too"


@pytest.mark.parametrize("make", [lambda path: path.write_text("keep me"), lambda path: path.mkdir()])
def test_a_file_of_ones_own_under_the_name_of_a_part_is_not_overwritten(tmp_path, make):
    write(tmp_path, "a")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "catalog.safetensors").rename(tmp_path / "ids.safetensors")
    manifest["parts"]["catalog"]["file"] = "ids.safetensors"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    make(tmp_path / "catalog.safetensors")
    before = contents(tmp_path)
    with pytest.raises(Problem, match="catalog.safetensors is not of the bundle"):
        write(tmp_path, "b")
    assert contents(tmp_path) == before


def test_an_older_bundle_stays_whole_if_the_check_fails(tmp_path):
    write(tmp_path / "bundle", "a")
    before = contents(tmp_path)

    def check(written):
        assert written.strings("ids") == ["b"]
        raise Problem("the exported encoder differs")

    with pytest.raises(Problem, match="differs"):
        write(tmp_path / "bundle", "b", check=check)
    with pytest.raises(Problem, match="differs"):
        write(tmp_path / "new", "b", check=check)
    assert contents(tmp_path) == before and {path.name for path in tmp_path.iterdir()} == {"bundle"}


def test_an_encoder_that_answers_otherwise_never_takes_the_place_of_an_older_bundle(tmp_path, monkeypatch):
    write(tmp_path / "bundle", "a")
    before = contents(tmp_path)
    monkeypatch.setattr(export, "torch_states", lambda network, histories: np.ones((len(histories), 16)))
    with pytest.raises(Problem, match="differs from PyTorch"):
        write_tiny(tmp_path / "bundle")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("failing", range(4))
def test_an_older_bundle_comes_back_if_moving_fails(tmp_path, monkeypatch, failing):
    write(tmp_path / "bundle", "a")
    before, moves, replace = contents(tmp_path), [], type(tmp_path).replace

    def breaks(path, target):
        moves.append(target)
        if len(moves) == failing + 1:
            raise OSError("no space left")
        return replace(path, target)

    monkeypatch.setattr(type(tmp_path), "replace", breaks)
    with pytest.raises(Problem, match="cannot be written: no space left"):
        write(tmp_path / "bundle", "b")
    assert contents(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").write_text("keep me")
    with pytest.raises(Problem, match="cannot be written"):
        write(tmp_path / "file" / "bundle", "a")
    with pytest.raises(Problem, match="is not a folder"):
        write(tmp_path / "file", "a")
