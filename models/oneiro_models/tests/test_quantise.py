"""Language models in fewer bits: as the weights they stand for answer, and what it costs is said."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import DATA, told_by_oneiro
from safetensors.numpy import load_file, save_file
from test_language_model import QWEN, made

from oneiro_models.__main__ import main
from oneiro_models.bundle import Bundle, BundleWriter, Catalog
from oneiro_models.bundle.table import quantised
from oneiro_models.checkpoint import Checkpoint, Shape
from oneiro_models.decoder import head_graph, lengthened
from oneiro_models.export_llm import Written, add_language_model, perplexity
from oneiro_models.language_model import LanguageModel
from oneiro_models.quantise import blocks_of_4_bits, product_of, unblocked
from oneiro_models.tiny_lm import CONFIG, write_checkpoint

WIDE = QWEN | {"tie_word_embeddings": False, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3}
KINDS = {
    "f16": (Written(precision="f16"), 1e-5),
    "int8": (Written(precision="int8"), 3e-2),
    "int8, accuracy 2": (Written(precision="int8", accuracy=2), 1e-3),
    "int4, accuracy 1": (Written(precision="int4", accuracy=1), 1e-3),
    "int4": (Written(precision="int4"), 3e-2),
    "int4 by 128": (Written(precision="int4", block=128, accuracy=1), 1e-3),
}


def by_rows(weight):
    tensors = quantised(weight)
    return tensors["scale"][:, None] * tensors["rows"]


def stood_for(written: Written, name: str, weight: np.ndarray, shape: Shape) -> np.ndarray:
    """The weight that a smaller one stands for."""
    if weight.ndim < 2:
        return weight
    if written.precision == "f16":
        return weight.astype(np.float16).astype(np.float32)
    if written.precision == "int8" or "embed_tokens" in name:
        return by_rows(weight)
    if "o_proj" in name:  # its blocks are those of heads at their length in the graph
        places = lengthened(shape, np.arange(1, weight.shape[1] + 1, dtype=np.float32))
        columns = places.argsort()[-weight.shape[1] :]
        weight = lengthened(shape, weight.T).T
        return unblocked(*blocks_of_4_bits(weight, written.block), weight.shape[1])[:, columns]
    return unblocked(*blocks_of_4_bits(weight, written.block), weight.shape[1])


def exported(checkpoint, out, written: Written) -> LanguageModel:
    bundle = BundleWriter(out, "made", "")
    bundle.catalog(Catalog(["one"], ["One"], np.zeros(1, np.uint32)))
    add_language_model(bundle, Checkpoint(checkpoint), written, ["One"])
    recipe = {"steps": [{"retrieve": "popularity", "count": 1}], "cold": "popularity"}
    return LanguageModel(Bundle(bundle.finish(seen="exclude", recipe=recipe)))


def pair(checkpoint, folder, written: Written) -> tuple[LanguageModel, LanguageModel]:
    """The model in fewer bits, and in f32 with the weights that those stand for."""
    (folder / "rounded").mkdir()
    for file in ("config.json", "tokenizer.json"):
        (folder / "rounded" / file).write_bytes((checkpoint / file).read_bytes())
    weights = load_file(checkpoint / "model.safetensors")
    head = "lm_head.weight" if "lm_head.weight" in weights else "model.embed_tokens.weight"
    weights["lm_head.weight"] = weights[head].copy()
    shape = Checkpoint(checkpoint).shape
    kept = {name: np.ascontiguousarray(stood_for(written, name, weight, shape)) for name, weight in weights.items()}
    save_file(kept, folder / "rounded" / "model.safetensors")
    config = json.loads((checkpoint / "config.json").read_text()) | {"tie_word_embeddings": False}
    (folder / "rounded" / "config.json").write_text(json.dumps(config))
    return exported(checkpoint, folder / "small", written), exported(folder / "rounded", folder / "exact", Written())


def compared(small: LanguageModel, exact: LanguageModel, tokens: list[int]) -> tuple[float, float]:
    """How far logits are apart, relative to their size, and how often the likeliest token is the same."""
    found, expected = (model.logits(model.read(tokens)[0]) for model in (small, exact))
    apart = np.sqrt(np.square(found - expected).mean() / np.square(expected).mean())
    return float(apart), float((found.argmax(1) == expected.argmax(1)).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_bits_answer_as_the_weights_they_stand_for(tmp_path, kind):
    (tmp_path / "new").mkdir()
    write_checkpoint(tmp_path / "new", WIDE, np.random.default_rng(3))
    weights = load_file(tmp_path / "new" / "model.safetensors")
    for name in weights:  # layers that add little, as trained ones do, so that roundings stay as small as they are
        if "proj.weight" in name:
            weights[name] *= 0.3
    save_file(weights, tmp_path / "new" / "model.safetensors")
    written, allowed = KINDS[kind]
    apart, _ = compared(*pair(tmp_path / "new", tmp_path, written), np.random.default_rng(0).integers(0, 388, 100).tolist())
    assert apart <= allowed


@pytest.mark.data_set("tinystories-260k")
@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_rounding_what_is_multiplied_leaves_a_trained_model_as_it_is(tmp_path, precision):
    checkpoint = DATA / "tinystories-260k"
    models = pair(checkpoint, tmp_path, Written(precision=precision))
    told = json.loads((checkpoint / "golden.json").read_text())
    apart, same = np.mean([compared(*models, one["prompt_ids"] + one["greedy_ids"]) for one in told], axis=0)
    assert apart <= 3e-2 and same >= 0.98


@pytest.mark.oneiro
@pytest.mark.package("transformers")
@pytest.mark.data_set("tinystories-260k")
@pytest.mark.parametrize(
    ("written", "allowed", "agreeing"),
    [
        (Written(precision="int8"), 3e-2, 0.98),
        (Written(precision="int8", accuracy=2), 1e-3, 1),
        (Written(precision="int4"), 3e-2, 0.98),
        (Written(precision="int4", accuracy=1), 1e-3, 1),
    ],
)
def test_the_library_tells_a_story_in_few_bits_as_transformers_does_with_what_they_stand_for(tmp_path, written, allowed, agreeing):
    """Along the story that the library tells: transformers is given the same tokens so far at every place."""
    from transformers import AutoModelForCausalLM

    small, _ = pair(DATA / "tinystories-260k", tmp_path, written)
    tokens, found = told_by_oneiro(Bundle(small.folder), 200)
    assert len(tokens) == 200
    reference = AutoModelForCausalLM.from_pretrained(tmp_path / "rounded", dtype=torch.float32).eval()
    with torch.inference_mode():
        expected = reference(torch.tensor([[1, *tokens]])).logits[0, :-1].double().numpy()
    # Logits but for a number that is the same for the whole vocabulary.
    found, expected = (numbers - numbers.mean(1, keepdims=True) for numbers in (found, expected))
    apart, same = np.linalg.norm(found - expected) / np.linalg.norm(expected), (expected.argmax(1) == tokens).mean()
    told = f"{written.precision}, accuracy {written.accuracy}: logits apart by {apart:.2%} of their size, the same token in {same:.1%}"
    print(told)
    assert apart <= allowed and same >= agreeing, told


@pytest.mark.data_set("tinystories-260k")
def test_a_prompt_in_pieces_is_the_prompt_in_int8(tmp_path):
    model = exported(DATA / "tinystories-260k", tmp_path / "small", Written(precision="int8"))
    told = json.loads((DATA / "tinystories-260k" / "golden.json").read_text())
    for one in told:
        prompt = one["prompt_ids"] + one["greedy_ids"]
        whole, _ = model.read(prompt)
        _, past = model.read(prompt[:60])
        rest, _ = model.read(prompt[60:], past)
        assert np.abs(rest - whole[60:]).max() <= 1e-4


def test_a_row_in_int8_does_not_depend_on_the_rows_beside_it():
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(48, 64)).astype(np.float32)
    x = (generator.normal(size=(9, 64)) * 10.0 ** np.arange(-4, 5)[:, None]).astype(np.float32)
    x[4] = 0
    model, weights = head_graph(weight, "head.weights", product_of("int8"))
    options = onnxruntime.SessionOptions()
    options.add_external_initializers_from_files_in_memory(["head.weights"], [weights], [len(weights)])
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    together = session.run(None, {"hidden_states": x})[0]
    alone = np.concatenate([session.run(None, {"hidden_states": row[None]})[0] for row in x])
    assert (together == alone).all() and (together[4] == 0).all()
    expected = x @ by_rows(weight).T
    assert (np.linalg.norm(together - expected, axis=1) <= 2e-2 * np.linalg.norm(expected, axis=1)).all()


@pytest.mark.parametrize("width", [32, 40, 64])
def test_blocks_of_4_bits_lose_least(width):
    weight = np.random.default_rng(0).normal(size=(64, width)).astype(np.float32)
    weight[3], weight[5, :32] = 0, 1e-3
    q, scale = blocks_of_4_bits(weight, 32)
    assert q.dtype == np.uint8 and q.max() <= 15 and q.shape == (64, -(-width // 32), 32)
    found = unblocked(q, scale, width)
    assert (found[3] == 0).all() and found[5, :32] == pytest.approx(1e-3, rel=1e-6)
    error = np.linalg.norm(found - weight) / np.linalg.norm(weight)
    extreme = np.abs(weight).max()
    assert error < 0.09 and np.abs(found - weight).max() < extreme / 7


def test_the_cost_is_shown_and_kept(tmp_path, capsys):
    write_checkpoint(tmp_path, CONFIG, np.random.default_rng(3))
    (tmp_path / "titles.csv").write_text("item,title\n1,One\n")
    (tmp_path / "text.txt").write_text("The Lantern Keeper (1994) | Drama\nTwo Rivers (1951) | Western\n" * 20)
    told = ["--titles", str(tmp_path / "titles.csv"), "--perplexity", str(tmp_path / "text.txt"), "--precision", "int4"]
    assert main(["export-llm", str(tmp_path), str(tmp_path / "out"), *told, "--head-precision", "int8"]) == 0
    manifest = Bundle(tmp_path / "out").manifest
    metrics, shown = manifest["provenance"]["metrics"], capsys.readouterr().out
    kinds = ("qkv", "o_proj", "gate_proj", "up_proj", "down_proj")
    errors = [f"{kind} {what}" for kind in kinds for what in ("mean", "worst")] + ["head", "tokens"]
    assert {name for name in metrics if " error " in name} == {f"lm error {name}" for name in errors}
    assert 0.05 < metrics["lm error qkv mean"] < metrics["lm error qkv worst"] < 0.1 and metrics["lm error head"] < 0.01
    assert all(f"layers.{layer}.{kind}: " in shown for layer in (0, 1) for kind in kinds) and "perplexity f32: " in shown and "perplexity int4: " in shown
    own = perplexity(LanguageModel(Bundle(tmp_path / "out")), (tmp_path / "text.txt").read_text())
    assert metrics["lm perplexity int4"] == pytest.approx(own, rel=1e-3)
    assert metrics["lm perplexity f32"] == pytest.approx(own, rel=0.2)
    assert manifest["provenance"]["command"].endswith("--precision int4 --head-precision int8 --perplexity TEXT")
    assert manifest["graphs"]["lm"]["prepack"] == "on" and manifest["token_tables"]["tokens"]["dtype"] == "i8"


@pytest.mark.parametrize(("precision", "shared"), [("f32", True), ("f16", True), ("int8", False), ("int4", False)])
def test_a_tied_head_lies_in_the_token_table_where_it_can(tmp_path, precision, shared):
    manifest = Bundle(made(tmp_path / "new", CONFIG, precision=precision).folder).manifest
    assert (manifest["graphs"]["head"]["weights"] == ["tokens"]) == shared
    assert manifest["language_models"]["lm"]["head"] == {"table": "tokens", "graph": "head"}
