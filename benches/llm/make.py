"""Makes what the race of language models runs on: `make.py SHAPE FOLDER`, with the packages of both lock files.

An untrained checkpoint in the shape `qwen` or `small`, and the same weights as each player takes them: bundles
(`oneiro-…`), what onnxruntime-genai's builder exports (`genai-…`), files of llama.cpp (`llama-….gguf`). `titles.csv`: sets of
20 titles of 8 tokens, none of which begins as another of its set. `expected.txt`: the logits and scores of transformers.

What is there already stays: delete FOLDER to start anew.
"""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import torch
from oneiro_models.checkpoint import PROJECTIONS, Checkpoint
from oneiro_models.language_model import piece, tokenizer_of
from oneiro_models.tiny_lm import CONFIG, trained_tokenizer, untrained_weights
from peer import TITLES, prompt, shown
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM

SEED, SETS, TOKENS = 7, 20, 8
LOGITS, SCORES = 32, 400
"""Rows of the prompts after which logits and scores are compared."""
SHAPES = {
    "qwen": {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": 151936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "rope_theta": 1000000.0,
    },
    "small": {
        "vocab_size": 16384,
        "hidden_size": 512,
        "intermediate_size": 1408,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 64,
    },
}
BUNDLES = ("f32", "int8", "int4")
BUILDER = {
    "genai-f32": ["fp32"],
    "genai-int4": ["int4"],
    "genai-int4-last": ["int4", "--extra_options", "prune_lm_head=true"],
}
"""What the builder is asked for; `last`: a head for the last row alone."""
GGUF = {
    "f32": gguf.GGMLQuantizationType.F32,
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
    "Q4_0": gguf.GGMLQuantizationType.Q4_0,
}
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def make(shape: str, folder: Path) -> None:
    source, titles = folder / "checkpoint", folder / "titles.csv"
    once(source, untrained, SHAPES[shape])
    checkpoint = Checkpoint(source)
    once(titles, invented, checkpoint)
    once(folder / "expected.txt", expected, source, titles)
    for precision in BUNDLES:
        once(folder / f"oneiro-{precision}", exported, source, titles, precision)
    for name, words in BUILDER.items():
        once(folder / name, built, source, words)
    for name, kind in GGUF.items():
        once(folder / f"llama-{name}.gguf", converted, checkpoint, kind)


def once(out: Path, make: Callable, *of) -> None:
    """Under its name only when it is whole."""
    if not out.exists():
        print(f"making {out}", file=sys.stderr, flush=True)
        half = out.with_name(f"half-{out.name}")
        subprocess.run(["rm", "-rf", half], check=True)
        half.parent.mkdir(parents=True, exist_ok=True)
        make(half, *of)
        half.rename(out)


def exported(out: Path, source: Path, titles: Path, precision: str) -> None:
    run("oneiro_models", "export-llm", source, out, "--titles", titles, "--precision", precision)


def built(out: Path, source: Path, words: list[str]) -> None:
    run("onnxruntime_genai.models.builder", "-i", source, "-o", out, "-c", out / "cache", "-e", "cpu", "-p", *words)


def run(*words) -> None:
    """A Python module, whose talk is shown only if it fails."""
    words = [sys.executable, "-m", *map(str, words)]
    told = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if told.returncode:
        sys.exit(told.stdout[-4000:])


def untrained(out: Path, shape: dict) -> None:
    """What a layer adds is small beside what it is added to, as in trained models: otherwise whatever rounding loses in one
    layer grows in the next, and all that are not in f32 answer with noise.
    """
    out.mkdir()
    (out / "config.json").write_text(json.dumps(CONFIG | {"max_position_embeddings": 2048, "rms_norm_eps": 1e-6} | shape))
    # Every player reads what it is given, and no more.
    (out / "tokenizer.json").write_text(json.dumps(json.loads(trained_tokenizer()) | {"post_processor": None}))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (out / "tokenizer_config.json").write_text(json.dumps(told))
    checkpoint = Checkpoint(out)
    weights = untrained_weights(checkpoint, np.random.default_rng(SEED))
    for name, tensor in weights.items():
        if ".layers." in name and tensor.ndim == 2:
            tensor *= 0.5
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            tensor /= np.float32(2 * checkpoint.shape.layers) ** 0.5
    save_file(weights, out / "model.safetensors")


def invented(out: Path, checkpoint: Checkpoint) -> None:
    tokenizer = tokenizer_of(checkpoint.tokenizer)
    letters = [token for token in tokenizer.get_vocab() if len(token) == 1 and token.isalpha()]
    generator = np.random.default_rng(SEED)
    with out.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["item", "title"])
        for chosen in range(SETS):
            begun: set[int] = set()
            while len(begun) < TITLES:
                text = "".join(generator.choice(sorted(letters), 24))
                lengths = [len(piece(tokenizer, text[:end])) for end in range(len(text))]
                if TOKENS not in lengths:
                    continue
                text = text[: lengths.index(TOKENS)]
                first = piece(tokenizer, text)[0]
                if first not in begun:
                    begun.add(first)
                    rows.writerow([f"{chosen}-{len(begun)}", text])


def expected(out: Path, source: Path, titles: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    tokenizer = tokenizer_of((source / "tokenizer.json").read_bytes())
    vocabulary = model.config.vocab_size

    def answer(tokens: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            return model(torch.tensor([tokens]), use_cache=False).logits[0]

    with titles.open(newline="") as file:
        first = [piece(tokenizer, row["title"]) for row in csv.DictReader(file)][:TITLES]
    before, scores = prompt(0, SCORES, vocabulary).tolist(), []
    for title in first:
        likely = answer([*before, *title])[len(before) - 1 : -1].double().log_softmax(1)
        scores.append(likely.gather(1, torch.tensor(title)[:, None]).sum().item())
    out.write_text(f"{shown(answer(prompt(0, LOGITS, vocabulary).tolist())[-1].numpy())}\n{shown(scores)}\n")


def converted(out: Path, checkpoint: Checkpoint, kind: gguf.GGMLQuantizationType) -> None:
    """As llama.cpp's own converter does it; matrices, the token table too, in `kind`."""
    shape, config = checkpoint.shape, checkpoint.config
    qwen = config["architectures"] == ["Qwen2ForCausalLM"]
    writer = gguf.GGUFWriter(out, "qwen2" if qwen else "llama")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_freq_base(shape.theta)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_tokenizer_model("none")

    def add(name: str, tensor: np.ndarray) -> None:
        if tensor.ndim == 1:
            writer.add_tensor(name, tensor)
        else:
            writer.add_tensor(name, gguf.quantize(tensor, kind), raw_dtype=kind)

    add("token_embd.weight", checkpoint.tokens)
    add("output_norm.weight", checkpoint.tensor("model.norm.weight", shape.width))
    for layer in range(shape.layers):
        of, into = f"model.layers.{layer}", f"blk.{layer}"
        for norm, name in (("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm")):
            add(f"{into}.{name}.weight", checkpoint.tensor(f"{of}.{norm}.weight", shape.width))
        for projection in PROJECTIONS:
            matrix = checkpoint.matrix(layer, projection)
            if not qwen and projection[-6] in "qk":
                matrix = paired(matrix, shape.head_size)
            add(f"{into}.{NAMES[projection]}.weight", matrix)
            if qwen and projection[-6] in "qkv":
                add(f"{into}.{NAMES[projection]}.bias", checkpoint.tensor(f"{of}.{projection}.bias", len(matrix)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def paired(matrix: np.ndarray, head_size: int) -> np.ndarray:
    """llama.cpp turns neighbours in a Llama's heads, Hugging Face turns halves."""
    heads = matrix.reshape(-1, 2, head_size // 2, matrix.shape[1])
    return np.ascontiguousarray(heads.swapaxes(1, 2)).reshape(matrix.shape)


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
