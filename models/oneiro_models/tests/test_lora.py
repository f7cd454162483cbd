"""Adapters of PEFT: merged as PEFT itself merges them, or refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_language_model import CONFIGS
from test_quantise import exported

from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.bundle import Bundle
from oneiro_models.checkpoint import Checkpoint
from oneiro_models.export_llm import Written
from oneiro_models.language_model import LanguageModel
from oneiro_models.lora import Adapter
from oneiro_models.tiny_lm import CONFIG, write_checkpoint

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
KINDS = {
    "llama": ("llama", {"target_modules": ["q_proj", "v_proj"], "r": 4, "lora_alpha": 16}),
    "all of qwen2": ("qwen2", {"target_modules": ALL, "r": 2, "lora_alpha": 3}),
    "rank-stabilised": ("short heads", {"target_modules": ALL, "r": 4, "lora_alpha": 8, "use_rslora": True}),
    "patterns": (
        "llama",
        {
            "target_modules": ALL,
            "r": 4,
            "lora_alpha": 8,
            "rank_pattern": {"layers.1.mlp.up_proj": 2},
            "alpha_pattern": {"layers.1.mlp.up_proj": 5, "o_proj": 32},
        },
    ),
    "head and tokens": ("untied", {"target_modules": ["lm_head", "embed_tokens", "v_proj"], "r": 4, "lora_alpha": 8}),
    "saved whole": ("untied", {"target_modules": ["q_proj"], "r": 4, "lora_alpha": 8, "modules_to_save": ["lm_head"]}),
}


def adapted(folder, config, **settings):
    """A checkpoint, an adapter of it with random numbers, and the model that PEFT makes of the two."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder.mkdir()
    write_checkpoint(folder, config, np.random.default_rng(3))
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.1)
    model.save_pretrained(folder / "lora")
    return folder, folder / "lora", model.merge_and_unload().eval()


@pytest.mark.package("transformers")
@pytest.mark.package("peft")
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_merged_as_peft_does(tmp_path, kind):
    config, settings = KINDS[kind]
    checkpoint, lora, reference = adapted(tmp_path / "new", CONFIGS[config], **settings)
    command = ["export-llm", str(checkpoint), str(tmp_path / "out"), "--titles", str(tmp_path / "titles.csv"), "--lora", str(lora)]
    (tmp_path / "titles.csv").write_text("item,title\n1,One\n")
    assert main(command) == 0
    own = LanguageModel(Bundle(tmp_path / "out"))
    tokens = np.random.default_rng(0).integers(0, own.rows.shape[0], 60).tolist()
    with torch.inference_mode():
        expected = reference(torch.tensor([tokens])).logits[0].numpy()
    found = own.logits(own.read(tokens)[0])
    assert np.abs(found - expected).max() <= 1e-4
    base = exported(checkpoint, tmp_path / "base", Written())
    assert np.abs(base.logits(base.read(tokens)[0]) - expected).max() > 0.1


@pytest.mark.package("transformers")
@pytest.mark.package("peft")
@pytest.mark.parametrize("kind", ["llama", "all of qwen2", "rank-stabilised", "patterns"])
@pytest.mark.parametrize("precision", ["f32", "int4"])
def test_an_adapter_may_stay_beside_the_weights(tmp_path, kind, precision):
    config, settings = KINDS[kind]
    checkpoint, lora, reference = adapted(tmp_path / "new", CONFIGS[config], **settings)
    (tmp_path / "titles.csv").write_text("item,title\n1,One\n")
    command = ["export-llm", str(checkpoint), str(tmp_path / "out"), "--titles", str(tmp_path / "titles.csv")]
    assert main([*command, "--adapter", f"taste={lora}", "--precision", precision]) == 0
    bundle = Bundle(tmp_path / "out")
    own, base = LanguageModel(bundle, adapter="taste"), LanguageModel(bundle)
    tokens = np.random.default_rng(0).integers(0, own.rows.shape[0], 60).tolist()
    without, found = (model.logits(model.read(tokens)[0]) for model in (base, own))
    alone = exported(checkpoint, tmp_path / "base", Written(precision=precision))
    assert np.abs(without - alone.logits(alone.read(tokens)[0])).max() <= 1e-4
    with torch.inference_mode():
        expected = reference(torch.tensor([tokens])).logits[0].numpy()
    if precision == "f32":
        assert np.abs(found - expected).max() <= 1e-4
    # Most of what is left is what the bits cost.
    assert np.linalg.norm(found - expected) < 0.75 * np.linalg.norm(without - expected)


def written(folder, tensors, **config):
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": 8, "r": 4} | config))
    save_file({f"base_model.model.{name}": torch.zeros(shape) for name, shape in tensors.items()}, folder / "adapter_model.safetensors")
    return Adapter(folder)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"peft_type": "LOHA"}, "kind LOHA, bias none"),
        ({"use_dora": True}, "LORA, DoRA"),
        ({"bias": "all"}, "bias all"),
        ({"fan_in_fan_out": True}, "transposed weights"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(tmp_path, config, told):
    with pytest.raises(Problem, match=told):
        written(tmp_path, {}, **config)


QUERY = "model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        ({"model.layers.7.self_attn.q_proj.lora_A.weight": (4, 32)}, "has no `model.layers.7.self_attn.q_proj.weight`"),
        ({"lm_head.lora_A.weight": (4, 32)}, "has no `lm_head.weight`"),
        ({"model.embed_tokens.weight": (388, 32)}, "shares with its other end"),
        ({f"{QUERY}.lora_A.weight": (4, 32)}, "do not make a matrix"),
        ({f"{QUERY}.lora_A.weight": (4, 32), f"{QUERY}.lora_B.weight": (32, 4)}, r"do not make a matrix of \[64, 32\]"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(tmp_path, tensors, told):
    write_checkpoint(tmp_path, CONFIG, np.random.default_rng(3))
    with pytest.raises(Problem, match=told):
        Checkpoint(tmp_path, written(tmp_path / "lora", tensors)).matrix(0, "self_attn.q_proj")


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(Problem, match="is no adapter of PEFT"):
        Adapter(tmp_path)


def test_an_adapter_of_zeros_changes_nothing(tmp_path):
    write_checkpoint(tmp_path, CONFIG, np.random.default_rng(3))
    adapter = written(tmp_path / "lora", {f"{QUERY}.lora_A.weight": (4, 32), f"{QUERY}.lora_B.weight": (64, 4)})
    weight = load_file(tmp_path / "model.safetensors")[f"{QUERY}.weight"].numpy()
    assert (Checkpoint(tmp_path, adapter).matrix(0, "self_attn.q_proj") == weight).all()
