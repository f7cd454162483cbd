"""The bundles of the repository: their manifests, their parts, and that the tiny one is what its command writes."""

import hashlib
import json

import jsonschema
import numpy as np
import pytest

from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.bundle import Bundle, BundleWriter, Catalog, title_key
from oneiro_models.bundle.catalog import NO_VALUE
from oneiro_models.bundle.table import table

each = pytest.mark.parametrize("name", ["tiny", "tiny-values", "tiny-lm", "tiny-lm-int", "demo"])


@pytest.fixture(scope="session")
def schema(models):
    schema = json.loads((models / "bundle.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@each
def test_a_manifest_obeys_the_schema(models, schema, name):
    schema.validate(Bundle(models / name).manifest)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["q_networks", "mcrl"], {"encoder": "mcrl", "weight": 0.5}),
        (["q_networks", "mcrl", "encoder"], None),
        (["q_networks", "mcrl", "weight"], 1.5),
        (["recipe", "steps", 1, "q_network"], None),
        (["recipe", "steps", 1, "rank"], "encoder"),
        (["recipe", "steps", 0], {"rank": "q_network", "q_network": "mcrl", "count": 5}),
        (["recipe", "steps", 1], {"retrieve": "popularity", "count": 5}),
    ],
)
def test_the_schema_refuses_of_values(models, schema, place, value):
    test_the_schema_refuses(models, schema, place, value, "tiny-values")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["token_tables", "tokens", "dtype"], "int8"),
        (["language_models", "lm", "head"], {}),
        (["language_models", "lm", "stop"], 2),
        (["language_models", "lm", "begin"], -1),
        (["language_models", "lm", "context"], 0),
        (["language_models", "lm", "colour"], "red"),
    ],
)
def test_the_schema_refuses_of_language_models(models, schema, place, value):
    test_the_schema_refuses(models, schema, place, value, "tiny-lm")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["format"], 2),
        (["name"], ""),
        (["colour"], "red"),
        (["seen"], "sometimes"),
        (["parts", "items", "file"], "../items"),
        (["parts", "items", "file"], ".."),
        (["parts", "items", "sha256"], "00"),
        (["catalog", "items"], 0),
        (["spaces", "items", "dtype"], "f64"),
        (["encoders", "sasrec", "window"], 0),
        (["recipe", "steps"], []),
        (["recipe", "steps", 0, "encoder"], None),
    ],
)
def test_the_schema_refuses(models, schema, place, value, name="tiny"):
    manifest = Bundle(models / name).manifest
    *parents, last = place
    inner = manifest
    for step in parents:
        inner = inner[step]
    inner[last] = value
    assert not schema.is_valid(manifest)


def test_the_schema_allows_private_fields(models, schema):
    manifest = Bundle(models / "tiny").manifest
    manifest["x-colour"] = manifest["parts"]["items"]["x-note"] = "red"
    schema.validate(manifest)


@each
def test_parts_are_what_the_manifest_says(models, name):
    bundle = Bundle(models / name)
    files = {path.name for path in bundle.folder.iterdir()} - {"manifest.json"}
    assert files == {part["file"] for part in bundle.manifest["parts"].values()}
    for part, entry in bundle.manifest["parts"].items():
        content = bundle.path(part).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"]), part


@each
def test_catalog_orders_and_keys(models, name):
    bundle = Bundle(models / name)
    ids, keys = bundle.strings("ids"), bundle.strings("title_keys")
    assert len(set(ids)) == len(ids) == bundle.manifest["catalog"]["items"]
    assert [ids[item] for item in bundle.catalog["ids.order"]] == sorted(ids, key=str.encode)
    assert keys == [title_key(title) for title in bundle.strings("titles")]
    order = bundle.catalog["title_keys.order"].tolist()
    assert order == sorted(range(len(keys)), key=lambda item: (keys[item].encode(), item))


@pytest.mark.parametrize("name", ["tiny", "tiny-values", "demo"])
def test_tables_have_a_cold_row_for_every_item_without_events(models, name):
    bundle = Bundle(models / name)
    space = bundle.space("items")
    assert (space["cold"] == (bundle.catalog["counts"] == 0)).all() and space["cold"].any()
    assert (space["rows"][space["cold"] == 1] == 0).all() and np.isfinite(space["rows"]).all()


@pytest.mark.parametrize("name", ["tiny", "tiny-values", "tiny-lm", "tiny-lm-int"])
def test_a_tiny_bundle_is_what_its_command_writes(models, tmp_path, name):
    assert main([name, str(tmp_path / name)]) == 0
    expected = {path.name: path.read_bytes() for path in (models / name).iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} == expected
    assert sum(map(len, expected.values())) < 350_000


def test_demo_is_small_and_holds_what_may_ship(models):
    bundle = Bundle(models / "demo")
    assert sum(path.stat().st_size for path in bundle.folder.iterdir()) <= 40_000_000
    assert {name.split(".")[0] for name in bundle.catalog} == {"ids", "titles", "title_keys", "counts", "attribute"}
    provenance = bundle.manifest["provenance"]
    assert "Simon Dooms" in provenance["licence"] and "CrowdRec" in provenance["credit"]


def test_attributes_are_written_in_item_order(tmp_path):
    catalog = Catalog(["a", "b", "c"], attributes={"tags": [["y", "x", "y"], [], ["x"]], "year": [1999, None, -4]})
    writer = BundleWriter(tmp_path / "new", "new", "")
    writer.catalog(catalog)
    writer.finish()
    bundle = Bundle(tmp_path / "new")
    assert bundle.manifest["catalog"]["attributes"] == {"tags": "tags", "year": "integer"}
    assert bundle.strings("attribute.tags.names") == ["x", "y"]
    assert bundle.catalog["attribute.tags.offsets"].tolist() == [0, 2, 2, 3]
    assert bundle.catalog["attribute.tags.values"].tolist() == [0, 1, 0]
    assert bundle.catalog["attribute.year"].tolist() == [1999, NO_VALUE, -4]


def test_i8_rows_stay_within_their_error():
    rows = np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32)
    rows[3] = 0
    found = table(rows, "i8")
    back = found["scale"][:, None] * found["rows"]
    assert (np.abs(found["rows"]).max(axis=1)[np.arange(50) != 3] == 127).all()
    assert np.linalg.norm(rows - back, axis=1) == pytest.approx(found["error"], rel=1e-4, abs=1e-7)
    assert (np.abs(rows - back) <= found["scale"][:, None] * 0.5001).all()


def test_doubled_and_empty_ids_are_refused():
    with pytest.raises(Problem, match="distinct"):
        Catalog(["a", "a"])
    with pytest.raises(Problem, match="empty"):
        Catalog(["a", ""])


def test_the_card_gives_the_figures_of_the_manifest(models):
    card = (models / "demo.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in card.splitlines() if line.startswith("|")]
    names = next(row for row in rows if row[0] == "method")[1:]
    metrics = Bundle(models / "demo").manifest["provenance"]["metrics"]
    for method in ("SASRec", "popularity", "Markov", "ItemKNN"):
        shown = dict(zip(names, next(row for row in rows if row[0] == method)[1:]))
        for figure in names if method == "SASRec" else ("HR@10", "NDCG@10"):
            key = figure if method == "SASRec" else f"{figure} {method}"
            assert shown[figure].split(" ± ")[0] == f"{metrics[key]:.4f}", key


def test_the_demo_beats_the_baselines_by_its_own_figures(models):
    metrics = Bundle(models / "demo").manifest["provenance"]["metrics"]
    assert metrics["HR@10"] > 0.02 + max(metrics[f"HR@10 {method}"] for method in ("popularity", "Markov", "ItemKNN"))
