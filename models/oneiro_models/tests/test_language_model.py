"""Language models in bundles: by ONNX Runtime as by the transformers library, in one run, in many, and as a tree."""

import json

import numpy as np
import pytest
import torch
from conftest import DATA, told_by_oneiro
from safetensors.numpy import load_file

from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.bundle import Bundle, BundleWriter, Catalog
from oneiro_models.bundle.title_trie import title_trie
from oneiro_models.checkpoint import Checkpoint
from oneiro_models.export_llm import Written, add_language_model
from oneiro_models.golden_lm import golden_lm, golden_logits
from oneiro_models.inference import session
from oneiro_models.language_model import LanguageModel, Tree, log_softmax, piece, titled
from oneiro_models.tiny_lm import CONFIG, write_checkpoint

QWEN = CONFIG | {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}
LLAMA_3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 4.0, "low_freq_factor": 1.0}
LLAMA_3 |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 32}
CONFIGS = {
    "llama": CONFIG,
    "untied": CONFIG | {"tie_word_embeddings": False, "num_key_value_heads": 4},
    "short heads": CONFIG | {"head_dim": 8},
    "linear": CONFIG | {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 2.0}},
    "llama 3": CONFIG | {"rope_parameters": LLAMA_3},
    "qwen2": QWEN,
    "qwen2 untied": QWEN | {"tie_word_embeddings": False, "head_dim": 8},
}


def made(folder, config=CONFIG, **written):
    """A checkpoint of that configuration with random weights, and the language model of its bundle."""
    folder.mkdir()
    write_checkpoint(folder, config, np.random.default_rng(3))
    bundle = BundleWriter(folder / "bundle", "made", "")
    bundle.catalog(Catalog(["one", "two"], ["One", "Two"], np.zeros(2, np.uint32)))
    add_language_model(bundle, Checkpoint(folder), Written(**written), ["One", "Two"])
    recipe = {"steps": [{"retrieve": "popularity", "count": 2}], "cold": "popularity"}
    return LanguageModel(Bundle(bundle.finish(seen="exclude", recipe=recipe)))


@pytest.fixture(scope="module")
def tiny(models):
    return LanguageModel(Bundle(models / "tiny-lm"), "lm")


@pytest.fixture(scope="module")
def kept(golden):
    return load_file(golden / "tiny-lm.safetensors")


def prompts_of(kept):
    return [kept[f"text{number}.ids"].tolist() for number in range(5)]


def split(kept, name):
    return [part.tolist() for part in np.split(kept[f"{name}.tokens"], kept[f"{name}.lengths"].cumsum()[:-1])]


@pytest.mark.package("transformers")
@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_those_of_transformers(tmp_path, name):
    from transformers import AutoModelForCausalLM

    own = made(tmp_path / "new", CONFIGS[name])
    reference = AutoModelForCausalLM.from_pretrained(tmp_path / "new", dtype=torch.float32).eval()
    tokens = np.random.default_rng(0).integers(0, own.rows.shape[0], 100).tolist()
    with torch.inference_mode():
        expected = reference(torch.tensor([tokens])).logits[0].numpy()
    assert np.abs(own.logits(own.read(tokens)[0]) - expected).max() <= 1e-4


@pytest.mark.package("transformers")
@pytest.mark.parametrize("name", ["tiny-lm", "tiny-lm-int"])
def test_golden_vectors_are_reproduced(models, golden, tmp_path, name):
    if name == "tiny-lm":
        golden_lm(models / name, tmp_path / name)
    else:
        golden_logits(models / name, tmp_path / name, ["lm", "int8", "qwen2"])
    found, kept = load_file(tmp_path / name), load_file(golden / f"{name}.safetensors")
    assert found.keys() == kept.keys()
    for name, tensor in found.items():
        assert np.abs(tensor.astype(float) - kept[name]).max(initial=0) <= (1e-4 if tensor.dtype == np.float32 else 0), name


@pytest.mark.parametrize(
    ("name", "network", "allowed"), [("lm", "lm", 3e-2), ("exact", "lm", 1e-5), ("int8", "int8", 3e-2), ("qwen2", "qwen2", 3e-2)]
)
def test_few_bits_give_the_golden_logits_of_what_they_stand_for(models, golden, name, network, allowed):
    own, kept = LanguageModel(Bundle(models / "tiny-lm-int"), name), load_file(golden / "tiny-lm-int.safetensors")
    found = np.concatenate([own.logits(own.read(prompt)[0]) for prompt in prompts_of(kept)])
    expected = np.concatenate([kept[f"{network}.text{number}"] for number in range(5)])
    assert np.linalg.norm(found - expected) <= allowed * np.linalg.norm(expected)
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.98


def test_onnx_runtime_gives_the_golden_answers(tiny, kept):
    titles = [[*title, tiny.end] for title in split(kept, "titles")]
    for number, prompt in enumerate(prompts_of(kept)):
        assert np.abs(tiny.logits(tiny.read(prompt)[0]) - kept[f"text{number}.logits"]).max() <= 1e-4
        assert tiny.greedy(prompt, 32) == kept[f"text{number}.greedy"].tolist()
        assert np.abs(tiny.scores(prompt, titles) - kept[f"titles{number}.scores"]).max() <= 1e-4


def test_a_plain_graph_gives_the_golden_logits(models, tiny, kept):
    plain = session(Bundle(models / "tiny-lm"), "plain")
    past = {f"past_key_values.{layer}.{kind}": np.zeros((1, 2, 0, 16), np.float32) for layer in range(2) for kind in ("key", "value")}
    for number, prompt in enumerate(prompts_of(kept)):
        inputs = past | {"inputs_embeds": tiny.rows[prompt][None], "attention_mask": np.ones((1, len(prompt)), np.int64)}
        assert np.abs(plain.run(["logits"], inputs)[0][0] - kept[f"text{number}.logits"]).max() <= 1e-4


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A trained model, written as a bundle outside the repository."""
    out = tmp_path_factory.mktemp("story")
    (out / "titles.csv").write_text("item,title\n1,The Big Red Ball\n")
    checkpoint = DATA / "tinystories-260k"
    assert main(["export-llm", str(checkpoint), str(out / "bundle"), "--titles", str(out / "titles.csv")]) == 0
    return LanguageModel(Bundle(out / "bundle"))


@pytest.mark.data_set("tinystories-260k")
def test_a_trained_model_tells_its_stories_word_for_word(story):
    assert story.contract["begin"] == 1 and story.contract["stop"] == [2] and story.contract["context"] == 512
    expected = load_file(DATA / "tinystories-260k" / "golden_logits.safetensors")
    told = json.loads((DATA / "tinystories-260k" / "golden.json").read_text())
    for number, one in enumerate(told):
        logits = story.logits(story.read(one["prompt_ids"])[0])
        assert np.abs(logits - expected[f"prompt{number}.logits"]).max() <= 1e-4
        assert story.greedy(one["prompt_ids"], len(one["greedy_ids"])) == one["greedy_ids"]
    assert sum(len(one["greedy_ids"]) for one in told) > 200


@pytest.mark.package("transformers")
@pytest.mark.data_set("tinystories-260k")
def test_a_trained_model_continues_as_in_transformers(story):
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(DATA / "tinystories-260k", dtype=torch.float32).eval()
    expected = reference.generate(torch.tensor([[1]]), do_sample=False, max_new_tokens=200)[0, 1:].tolist()
    assert story.greedy([1], 200) == expected and len(expected) == 200


@pytest.mark.oneiro
@pytest.mark.package("transformers")
@pytest.mark.data_set("tinystories-260k")
def test_the_library_tells_a_trained_models_story_as_transformers_does(story):
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(DATA / "tinystories-260k", dtype=torch.float32).eval()
    expected = reference.generate(torch.tensor([[1]]), do_sample=False, max_new_tokens=200)[0, 1:]
    bundle = Bundle(story.folder)
    tokens, found = told_by_oneiro(bundle, 200)
    assert tokens == expected.tolist() and len(tokens) == 200
    golden = json.loads((DATA / "tinystories-260k" / "golden.json").read_text())[0]
    assert golden["prompt_ids"] == [1] and tokens[: len(golden["greedy_ids"])] == golden["greedy_ids"]
    with torch.inference_mode():
        logits = reference(torch.cat([torch.tensor([1]), expected])[None]).logits[0, :-1]
    apart = np.abs(found - logits.double().log_softmax(1).numpy()).max()
    print(f"log p of every token at 200 places: apart by {apart:.1e} at most")
    assert apart <= 1e-4


@pytest.mark.oneiro
@pytest.mark.package("transformers")
@pytest.mark.parametrize("kind", CONFIGS)
def test_the_library_writes_as_transformers_does(kind, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "made"
    bundle = Bundle(made(folder, CONFIGS[kind]).folder)
    tokens, found = told_by_oneiro(bundle, 60)
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        logits = reference(torch.tensor([[1, *tokens]])).logits[0]
    expected = logits[: len(tokens)].double().log_softmax(1).numpy()
    apart = np.abs(found - expected).max()
    print(f"log p of every token at {len(tokens)} places: apart by {apart:.1e} at most")
    # One of them soon draws the token that ends a text.
    assert apart <= 1e-4 and len(tokens) > 2


def test_the_head_is_the_product_with_its_table(tiny, kept):
    hidden, _ = tiny.read(prompts_of(kept)[2])
    assert np.abs(tiny.logits(hidden) - hidden @ tiny.table.T).max() <= 1e-5


@pytest.mark.parametrize("cut", [1, 20, 38])
def test_a_prompt_in_pieces_is_the_prompt(tiny, kept, cut):
    prompt = prompts_of(kept)[2]
    whole, cache = tiny.read(prompt)
    _, past = tiny.read(prompt[:cut])
    rest, grown = tiny.read(prompt[cut:], past)
    assert np.abs(rest - whole[cut:]).max() <= 1e-5
    assert max(np.abs(one - other).max() for one, other in zip(cache, grown)) <= 1e-5


def test_a_cache_may_be_longer_than_what_is_past(tiny, kept):
    prompt = prompts_of(kept)[2]
    _, past = tiny.read(prompt[:-1])
    longer = [np.pad(one, [(0, 0), (0, 0), (0, 50), (0, 0)], constant_values=7) for one in past]
    row, place = tiny.rows[prompt[-1:]], np.array([len(prompt) - 1])
    bias = np.zeros((1, len(prompt)), np.float32)
    found, present = tiny.run(row, place, bias, longer)
    assert np.abs(found - tiny.read(prompt)[0][-1:]).max() <= 1e-5
    assert present[0].shape == longer[0].shape


def test_a_tree_scores_titles_as_separate_runs_do(tiny, kept):
    titles, prompt = [[*title, tiny.end] for title in split(kept, "titles")[:12]], prompts_of(kept)[4]
    assert len(Tree.of(titles).tokens) < sum(map(len, titles))
    for title, found in zip(titles, tiny.scores(prompt, titles)):
        logits = tiny.logits(tiny.read(prompt + title)[0][len(prompt) - 1 : -1])
        assert found == pytest.approx(log_softmax(logits)[np.arange(len(title)), title].sum(), abs=1e-4)


def test_what_two_titles_share_is_one_node():
    tree = Tree.of([[1, 2, 3], [1, 2, 4], [2], [1, 2, 3]])
    assert (tree.tokens, tree.parents) == ([1, 2, 3, 4, 2], [-1, 0, 1, 1, -1])
    assert tree.paths == [[0, 1, 2], [0, 1, 3], [4], [0, 1, 2]] and tree.depths().tolist() == [0, 1, 2, 2, 0]
    assert (tree.bias(2) == 0).tolist() == [
        [True, True, True, False, False, False, False],
        [True, True, True, True, False, False, False],
        [True, True, True, True, True, False, False],
        [True, True, True, True, False, True, False],
        [True, True, False, False, False, False, True],
    ]


def test_text_is_only_text(tiny, kept):
    spoken = tiny.tokenizer
    texts = [bytes(part).decode() for part in np.split(kept["pieces.bytes"], kept["pieces.offsets"][1:-1])]
    assert [piece(spoken, text) for text in texts] == split(kept, "pieces")
    assert tiny.contract["end_of_title"] not in piece(spoken, "</title>") and tiny.contract["begin"] not in piece(spoken, "<s>")
    assert piece(spoken, "The") != piece(spoken, " The") and piece(spoken, "") == []
    assert titled(spoken, "A\r\nTitle\n", None) == piece(spoken, "A  Title ")


def test_a_title_without_tokens_is_refused(tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    write_checkpoint(folder, CONFIG, np.random.default_rng(3))
    with pytest.raises(Problem, match="the title `` has no tokens"):
        add_language_model(BundleWriter(tmp_path / "out", "new", ""), Checkpoint(folder), Written(), ["One", ""])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"architectures": ["MistralForCausalLM"]}, "the architecture is MistralForCausalLM"),
        ({"use_sliding_window": True}, "sliding window"),
        ({"hidden_act": "gelu"}, "the activation is gelu"),
        ({"rope_scaling": {"type": "yarn"}}, "scaled by `yarn`"),
        ({"hidden_size": 48}, r"is \[388, 32\], expected \[388, 48\]"),
        ({"vocab_size": 300}, "the tokenizer has a token 387, the model only 300 rows"),
        ({"num_hidden_layers": 3}, "no tensor `model.layers.2.input_layernorm.weight`"),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path, change, told):
    write_checkpoint(tmp_path, CONFIG, np.random.default_rng(3))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | change))
    with pytest.raises(Problem, match=told):
        add_language_model(BundleWriter(tmp_path / "out", "new", ""), Checkpoint(tmp_path), Written(), [])


def test_the_command_adds_a_language_model_to_a_bundle(models, tmp_path):
    write_checkpoint(tmp_path, CONFIG, np.random.default_rng(3))
    out, base = tmp_path / "out", Bundle(models / "tiny").manifest
    arguments = ["--bundle", str(models / "tiny"), "--model", "teller", "--context", "64", "--end-of-title", "</title>"]
    assert main(["export-llm", str(tmp_path), str(out), *arguments]) == 0
    manifest = Bundle(out).manifest
    lm = manifest.pop("language_models")["teller"]
    assert (lm["context"], lm["packed"], lm["begin"], lm["stop"], lm["end_of_title"]) == (64, 64 + 1024, 1, [2], 3)
    assert manifest["provenance"].pop("command").endswith("--bundle BUNDLE --model teller --context 64 --end-of-title '</title>'")
    assert all(manifest[key] == base[key] for key in base.keys() - {"parts", "graphs", "provenance"})
    assert LanguageModel(Bundle(out)).greedy([1], 3)
    with pytest.raises(Problem, match="the model holds 64"):
        LanguageModel(Bundle(out)).read([1] * 65)


def test_the_command_makes_a_bundle_of_titles(tmp_path):
    write_checkpoint(tmp_path, CONFIG, np.random.default_rng(3))
    (tmp_path / "titles.csv").write_text("item,title\n007,The Spy\n008,Another\n")
    assert main(["export-llm", str(tmp_path), str(tmp_path / "out"), "--titles", str(tmp_path / "titles.csv")]) == 0
    assert Bundle(tmp_path / "out").strings("titles") == ["The Spy", "Another"]


def test_a_tree_of_titles_holds_each_title_once_and_level_by_level() -> None:
    titles = [[5, 2, 9], [5, 9], [3, 9], [5, 2, 9], [3, 1, 1, 9], [4, 9]]
    tree = title_trie(titles)
    assert tree["tokens"].tolist() == [0, 3, 4, 5, 1, 9, 9, 2, 9, 1, 9, 9]
    found: dict[int, list[int]] = {}

    def down(node: int, before: list[int]) -> None:
        for item in tree["items"][tree["item_starts"][node] : tree["item_starts"][node + 1]].tolist():
            found[item] = before
        for child in range(tree["children"][node], tree["children"][node + 1]):
            down(child, [*before, int(tree["tokens"][child])])

    down(0, [])
    assert [found[item] for item in range(len(titles))] == titles
    nodes = len(tree["tokens"])
    assert tree["children"][0] == 1 and tree["children"][-1] == nodes and tree["item_starts"][-1] == len(titles)
