"""Golden vectors of a bundle's language models: what the transformers library answers with the weights read back from the
bundle, those of few bits as the numbers that they stand for; every title by a run of its own.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.numpy import save
from tqdm import tqdm

from . import Problem
from .bundle import Bundle
from .bundle.catalog import string_table
from .bundle.table import values
from .inference import BundleScorer, Encoder, Oracle
from .language_model import LanguageModel, piece, titled

PROMPTS = """\

The Lantern Keeper (1994)
This user has watched Nightjar, Two Rivers (1998) in the previous.
Échos d'hiver — 雪の駅 (1974), </s> and <s>: 
The movie title candidates are Kites (2007), Salt Marsh (2005), 1 (2004). The next is:
"""
"""One a line; a token that begins each stands before it."""

PIECES = ["", " ", "  two  spaces ", "</title>", "a<s>b</s>", "one\nline", "\t", "e\u0301é", "🎬 film", "ﬁ", "The", " The", "the"]

COUNT = 32
BEAMS = 4
BEAM_TOKENS = 24
LISTED = 4
"""The most titles of a list."""
GAP = 1e-3
"""By so much the logit of each token of a continuation is greater than any other."""


def golden_lm(folder: Path, out: Path) -> None:
    """Writes for every prompt i the tokens `text<i>.ids`, the `.logits` after each [S, V] and a continuation of the 32
    likeliest tokens, `.greedy`; what a beam search finds that ends with the tokens `.beam_stop`, `.beam_tokens` one after the
    other, `.beam_lengths` and `.beam_scores`, the power of the length `.beam_penalty`; the logits after the last with each
    adapter, `.<adapter>`; `titles<i>.prompt` and log p(title and its end | prompt) of all titles, `.scores`. `prompts` (a
    string table): what the prompts are of, as one piece each.

    Of every prompt `<name>` of the bundle about candidates a question i, `choice.<name>.<i>`: the `.history`, the `.candidates` and the scores of
    their titles, `.scores`.

    `titles.tokens` are those of the titles, one after the other, without the ends, `titles.lengths` how many each has. Of the
    texts `pieces` (a string table) likewise.
    """
    bundle = Bundle(folder)
    own = LanguageModel(bundle)
    reference, words, tensors = transformer(bundle, own.name), own.tokenizer, {}
    adapted = {adapter: transformer(bundle, own.name, adapter) for adapter in own.contract.get("adapters", {})}
    titles = [titled(words, title, None) for title in bundle.strings("titles")]
    end = [] if own.end is None else [own.end]
    prompts = PROMPTS.split("\n")[:-1]
    for number, prompt in enumerate(prompts):
        ids = own.begin + piece(words, prompt)
        tensors[f"text{number}.ids"] = tensors[f"titles{number}.prompt"] = np.array(ids)
        tensors[f"text{number}.logits"] = logits(reference, ids)
        tensors[f"text{number}.greedy"] = np.array(continued(reference, ids, own.contract["stop"]))
        tensors |= {f"text{number}.{adapter}": logits(model, ids)[-1] for adapter, model in adapted.items()}
        tensors |= beams(reference, ids, own.contract["stop"], number)
        tensors[f"titles{number}.scores"] = np.array([score(reference, ids, title + end) for title in titles], np.float32)
    tensors |= choices(bundle, own) | generated(bundle) | interpreted(bundle) | explained(bundle)
    tensors |= string_table("prompts", prompts) | string_table("pieces", PIECES)
    for name, rows in {"titles": titles, "pieces": [piece(words, text) for text in PIECES]}.items():
        tensors[f"{name}.tokens"] = np.concatenate(rows).astype(np.int64)
        tensors[f"{name}.lengths"] = np.array([len(row) for row in rows])
    keep(tensors, folder, out)


def choices(bundle: Bundle, own: LanguageModel) -> dict[str, np.ndarray]:
    """What the bundle's language model says of a few candidates after a few histories, one longer than is read; others that
    prompts are for are the same network in another form.
    """
    found, generator, titles = {}, np.random.default_rng(0), bundle.strings("titles")
    for name, asked in bundle.manifest.get("prompts", {}).items():
        if "candidates" not in asked:
            continue
        model = transformer(bundle, own.name, asked.get("adapter"))
        for number, length in enumerate([0, 1, asked["history"], asked["history"] + 3]):
            items = generator.permutation(len(titles))[: length + asked["candidates"]]
            history, candidates = items[:length], items[length:]
            kept = {"history": history, "candidates": candidates, "scores": judged(bundle, own, model, asked, history, candidates)}
            found |= {f"choice.{name}.{number}.{kind}": value for kind, value in kept.items()}
    return found


def golden_taste(folder: Path, out: Path, count: int) -> None:
    """Writes so many `histories`, one after the other, the `lengths` of each, its best `candidates` [count, C] by the bundle's
    first encoder, that one best first, and what the language model says of their titles by the bundle's first prompt, `scores`.

    Histories are made up: of 1 to 1.5 times as many items as are read, each drawn by how often it was chosen, none twice.
    """
    bundle = Bundle(folder)
    asked = next(iter(bundle.manifest["prompts"].values()))
    own = LanguageModel(bundle, asked["language_model"])
    model, encoder = transformer(bundle, own.name, asked.get("adapter")), BundleScorer(bundle)
    counts = bundle.tensors("catalog")["counts"].astype(np.float64)
    generator, histories, candidates, scores = np.random.default_rng(0), [], [], []
    for _ in tqdm(range(count), desc="histories"):
        length = int(generator.integers(1, asked["history"] * 3 // 2 + 1))
        history = generator.choice(len(counts), length, replace=False, p=counts / counts.sum())
        by_encoder = encoder([history])[0]
        by_encoder[history] = -np.inf
        histories.append(history)
        candidates.append(np.argsort(-by_encoder, kind="stable")[: asked["candidates"]])
        scores.append(judged(bundle, own, model, asked, history, candidates[-1]))
    kept = {"histories": np.concatenate(histories), "lengths": list(map(len, histories)), "candidates": np.stack(candidates)}
    kept = {name: np.array(numbers, np.uint32) for name, numbers in kept.items()} | {"scores": np.stack(scores)}
    keep(kept, folder, out, f" --histories {count}")


def judged(
    bundle: Bundle, own: LanguageModel, model: torch.nn.Module, asked: dict, history: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """log p(title and its end | prompt) of every candidate, f32, each by a run of its own."""
    rows, titles = question(bundle, own, asked, history, candidates), bundle.strings("titles")
    answers = [titled(own.tokenizer, titles[item], own.end) for item in candidates]
    return np.array(scored(model, own, rows, answers), np.float32)


def question(bundle: Bundle, own: LanguageModel, asked: dict, history: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The rows [S, D] of a prompt of the bundle, as a language model reads it."""
    titles = bundle.strings("titles")
    behind = None if "rows" not in asked else values(bundle.space(asked["rows"]))
    before, rest = asked["text"].split("{history}")
    between, after = rest.split("{candidates}") if "candidates" in asked else ("", rest)
    rows = [own.rows[own.begin]]

    def add(text: str) -> None:
        rows.append(own.rows[piece(own.tokenizer, text)])

    for text, items in ((before, history[-asked["history"] :]), (between, candidates)):
        add(text)
        for place, item in enumerate(items.tolist()):
            add(asked["separator"] if place else "")
            rows.append(own.rows[titled(own.tokenizer, titles[item], None)])
            if behind is not None:
                rows.append(behind[item][None])
            elif "placeholder" in asked:
                rows.append(own.rows[asked["placeholder"]][None])
    add(after)
    if asked.get("answer") is not None:
        rows.append(own.rows[asked["answer"]][None])
    return np.concatenate(rows)


def generated(bundle: Bundle) -> dict[str, np.ndarray]:
    """What the bundle's generators make of a few histories (BIGRec): by the model with the prompt's adapter a text, by the model
    without it a point, of the point distances to the rows of all titles, and those weighed by popularity; in f64.
    """
    found, draw = {}, np.random.default_rng(1)
    for name, contract in bundle.manifest.get("generators", {}).items():
        asked = bundle.manifest["prompts"][contract["prompt"]]
        own = LanguageModel(bundle, asked["language_model"])
        writes, reads = transformer(bundle, own.name, asked.get("adapter")), transformer(bundle, own.name)
        table = values(bundle.space(contract["space"])).astype(np.float64)
        counts = bundle.tensors("catalog")["counts"].astype(np.float64)
        share = (counts - counts.min()) / (counts.max() - counts.min())
        texts = []
        for number, length in enumerate([0, 1, asked["history"], asked["history"] + 3]):
            history = draw.permutation(len(table))[:length]
            rows = torch.tensor(question(bundle, own, asked, history, np.array([], np.int64))[None])
            ends = own.contract["stop"]
            with torch.inference_mode():
                beams = writes.generate(
                    inputs_embeds=rows, attention_mask=torch.ones(rows.shape[:2], dtype=torch.int64), num_beams=contract["beams"],
                    num_return_sequences=contract["beams"], max_new_tokens=contract["tokens"], eos_token_id=ends, pad_token_id=ends[0],
                    do_sample=False, length_penalty=contract.get("length_penalty", 1.0), early_stopping=False,
                )  # fmt: skip
            said = [spoken(own, row.tolist()) for row in beams]
            texts += said
            points = [state(reads, own.begin + piece(own.tokenizer, text.strip('"'))) for text in said]
            distances = np.array([np.sqrt(((point - table) ** 2).sum(1)) for point in points])
            near = distances[0]
            weighed = (near - near.min()) / (near.max() - near.min()) * (1 + share) ** -contract.get("gamma", 0.0)
            kept = {"history": history, "distances": near, "nearest": distances.min(0), "weighed": weighed}
            kept = {kind: np.array(value, np.float32 if kind != "history" else np.int64) for kind, value in kept.items()}
            found |= {f"generate.{name}.{number}.{kind}": value for kind, value in kept.items()}
        found |= string_table(f"generate.{name}.texts", texts)
    return found


def interpreted(bundle: Bundle) -> dict[str, np.ndarray]:
    """What the bundle's interpreters say of a few histories (RecInterpreter): the `.list` of items whose titles are likeliest one
    after the other, until it ends, with the `.list_scores`; and of all titles how likely each is after the states
    before and after an `.item`, `.residual`, after those before and after the mean of what the oracle over the encoder dreams,
    `.dream`, and after that mean by itself, `.dream_as_item`; [N].
    """
    found, draw, titles = {}, np.random.default_rng(2), bundle.strings("titles")
    for name, asked in bundle.manifest.get("interpreters", {}).items():
        own = LanguageModel(bundle, asked["language_model"])
        model, encode = transformer(bundle, own.name, asked.get("adapter")), Encoder(bundle, asked["encoder"])
        over = (key for key, one in bundle.manifest.get("oracles", {}).items() if one["encoder"] == asked["encoder"])
        oracle = next((Oracle(bundle, key) for key in over), None)
        if oracle is None or "collapsed.noise" not in oracle.part or not {"recover", "residual", "item"} <= asked.keys():
            continue
        layer, answers = bundle.tensors(asked["projector"]), [titled(own.tokenizer, title, own.end) for title in titles]
        known = np.flatnonzero(encode.cold == 0)
        for number, length in enumerate([0, 1, encode.window, encode.window + 3]):
            *history, item = draw.permutation(known)[: length + 1].tolist()
            history = np.array(history, np.int64)
            before, after = encode(history), encode(np.append(history, item))
            dream = oracle.condition(before[None]) @ oracle.part["collapsed.condition"].T + oracle.part["collapsed.constant"]
            vectors = {
                "recover": [before],
                "residual": [before, after],
                "dream": [before, encode.after(history, dream[0])],
                "dream_as_item": [dream[0]],
            }
            text = {"dream": "residual", "dream_as_item": "item"}
            rows = {kind: soft(own, asked[text.get(kind, kind)], layer, given) for kind, given in vectors.items()}
            kept = {kind: scored(model, own, rows[kind], answers) for kind in vectors if kind != "recover"}
            kept["list"], kept["list_scores"] = listed(model, own, rows["recover"], answers, LISTED)
            kept |= {"history": history, "item": np.array([item])}
            types = {"list": np.int64, "history": np.int64, "item": np.int64}
            kept = {kind: np.array(value, types.get(kind, np.float32)) for kind, value in kept.items()}
            found |= {f"interpret.{name}.{number}.{kind}": value for kind, value in kept.items()}
    return found


def explained(bundle: Bundle) -> dict[str, np.ndarray]:
    """What the bundle's explainers say of an `.item` after a few histories: the items `.seen` by the encoder, the most first by how
    far the item's score falls without each, `.drops`; and the sentences that can be filled in with the strongest two, the
    likeliest first.
    """
    found, draw, titles, texts = {}, np.random.default_rng(3), bundle.strings("titles"), []
    for name, asked in bundle.manifest.get("explainers", {}).items():
        prompt = bundle.manifest["prompts"][asked["prompt"]]
        own = LanguageModel(bundle, prompt["language_model"])
        model, scorer = transformer(bundle, own.name, prompt.get("adapter")), BundleScorer(bundle, asked["encoder"])
        tags = tags_of(bundle, asked.get("tags"))
        warm = np.flatnonzero(~scorer.cold)
        common = max(Counter(tag for item in warm for tag in tags[item]).items(), key=lambda pair: pair[1], default=("", 0))[0]
        alike = np.array([item for item in warm if common in tags[item]])
        window = scorer.encode.window
        cases = [(warm, 1), (warm, 2), (warm, window), (warm, window + 3), (alike, 1), (alike, 4)]
        for number, (known, length) in enumerate(case for case in cases if len(case[0]) > case[1]):
            *history, item = draw.permutation(known)[: length + 1].tolist()
            seen = sorted(set(history[-window :]))
            rest = [np.array([other for other in history if other != one], np.int64) for one in seen]
            whole, *others = scorer([np.array(history)])[0, item], *(float(scorer([one])[0, item]) for one in rest)
            drops = {one: whole - other for one, other in zip(seen, others)}
            order = sorted(seen, key=lambda one: (-drops[one], one))
            named = [one for one in order[:2] if drops[one] > 1e-4]
            shared = [tag for tag in tags[item] if all(tag in tags[one] for one in named)]
            slots = dict(zip(("first", "second"), (titles[one] for one in named))) | ({"tags": " and ".join(shared)} if shared else {})
            said = []
            for sentence in asked["sentences"]:
                wanted = set(re.findall(r"\{(\w+)\}", sentence))
                if named and wanted <= slots.keys() and ("second" in wanted) == ("second" in slots):
                    said.append(re.sub(r"\{(\w+)\}", lambda slot: slots[slot[1]], sentence))
            rows = question(bundle, own, prompt, np.array(history), np.array([item]))
            scores = scored(model, own, rows, [titled(own.tokenizer, text, own.end) for text in said])
            texts.append("\n".join(text for _, text in sorted(zip(scores, said), reverse=True)))
            kept = {"history": np.array(history), "item": np.array([item]), "seen": np.array(order)}
            kept["drops"] = np.array([drops[one] for one in order], np.float32)
            found |= {f"explain.{name}.{number}.{kind}": value for kind, value in kept.items()}
        found |= string_table(f"explain.{name}.texts", texts)
    return found


def tags_of(bundle: Bundle, attribute: str | None) -> list[list[str]]:
    """The tags of every item; none where there is no such attribute."""
    if attribute is None:
        return [[]] * bundle.manifest["catalog"]["items"]
    return bundle.tags(attribute)


def soft(own: LanguageModel, text: str, layer: dict[str, np.ndarray], vectors: list[np.ndarray]) -> np.ndarray:
    """The rows [S, D] of a text with what a linear layer makes of vectors in its slots."""
    rows = [own.rows[own.begin]]
    for place, part in enumerate(re.split(r"\{\w+\}", text)):
        if place:
            rows.append((layer["weight"] @ vectors[place - 1] + layer["bias"])[None])
        rows.append(own.rows[piece(own.tokenizer, part)])
    return np.concatenate(rows)


def scored(model: torch.nn.Module, own: LanguageModel, rows: np.ndarray, titles: list[list[int]]) -> list[float]:
    """log p(title and its end | rows), each by a run of its own."""
    found = []
    for title in titles:
        with torch.inference_mode():
            after = model(inputs_embeds=torch.tensor(np.concatenate([rows, own.rows[title]])[None]), use_cache=False)
        chances = after.logits[0].double().log_softmax(1)[len(rows) - 1 : -1]
        found.append(float(chances.gather(1, torch.tensor(title)[:, None]).sum()))
    return found


def listed(model: torch.nn.Module, own: LanguageModel, rows: np.ndarray, titles: list[list[int]], most: int) -> tuple[list, list]:
    """Items and their scores, each the likeliest that is not there yet, until an end is likelier than that any title begins."""
    items, scores, first = [], [], sorted({title[0] for title in titles})
    while len(items) < most:
        with torch.inference_mode():
            last = model(inputs_embeds=torch.tensor(rows[None]), use_cache=False).logits[0, -1].double().softmax(0)
        if last[own.end] >= last[first].sum():
            break
        found = scored(model, own, rows, titles)
        best = max((item for item in range(len(titles)) if item not in items), key=lambda item: found[item])
        items.append(best)
        scores.append(found[best])
        rows = np.concatenate([rows, own.rows[titles[best]]])
    return items, scores


def spoken(own: LanguageModel, tokens: list[int]) -> str:
    """The text of what was written, up to a token that ends it, by a tokenizer with pieces for bytes: a library's decoder would
    take away a space in front.
    """
    end = next((at for at, token in enumerate(tokens) if token in own.contract["stop"]), len(tokens))
    pieces = [own.tokenizer.id_to_token(token) for token in tokens[:end]]
    named = [re.fullmatch("<0x(..)>", text) for text in pieces]
    found = [bytes.fromhex(byte[1]) if byte else text.replace("▁", " ").encode() for byte, text in zip(named, pieces)]
    return b"".join(found).decode(errors="replace")


def state(model: torch.nn.Module, tokens: list[int]) -> np.ndarray:
    """After the last token: the last layer's, behind the final norm, f64 [D]."""
    with torch.inference_mode():
        return model.model(torch.tensor([tokens]), use_cache=False).last_hidden_state[0, -1].double().numpy()


def golden_logits(folder: Path, out: Path, names: list[str]) -> None:
    """Writes for every prompt i the tokens `text<i>.ids`, and the logits after each by every of these models, `<name>.text<i>`
    [S, V].
    """
    bundle, tensors = Bundle(folder), {}
    for name in names:
        own, reference = LanguageModel(bundle, name), transformer(bundle, name)
        for number, prompt in enumerate(PROMPTS.split("\n")[:-1]):
            ids = own.begin + piece(own.tokenizer, prompt)
            tensors[f"text{number}.ids"] = np.array(ids)
            tensors[f"{name}.text{number}"] = logits(reference, ids)
    keep(tensors, folder, out, "".join(f" --logits {name}" for name in names))


def keep(tensors: dict[str, np.ndarray], folder: Path, out: Path, options: str = "") -> None:
    """Writes the tensors with the command that makes them."""
    bundle_shown, out_shown = (path.name if path.is_absolute() else path.as_posix() for path in (folder, out))
    out.write_bytes(save(tensors, {"command": f"python -m oneiro_models golden-lm {bundle_shown} {out_shown}{options}"}))


def matrix(weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    """A matrix of a graph as f32 [out, in]: f32 itself lies as [in, out]; whole numbers of 8 bits likewise, with a scale for
    every column; those of 4 bits as MatMulNBits reads them, two a byte, the first in the low bits, 8 above what they stand
    for, in blocks with a scale for each.
    """
    kept, scale = weights[name], weights.get(f"{name}.scale")
    if scale is None:
        return kept.T
    if kept.dtype == np.int8:
        return (kept * scale).T
    numbers = np.stack([kept & 15, kept >> 4], axis=-1).reshape(*scale.shape, -1).astype(np.float32) - 8
    return (numbers * scale[..., None]).reshape(len(scale), -1)


def transformer(bundle: Bundle, name: str, adapter: str | None = None) -> torch.nn.Module:
    """The Llama or, where queries have biases, Qwen2 of the transformers library with the weights of a bundle in f32 or few bits,
    in blocks that fill the widths, and with what an adapter adds to them."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    contract = bundle.manifest["language_models"][name]
    nodes = onnx.load(bundle.path(bundle.manifest["graphs"][contract["graph"]]["model"])).graph
    _, weights = bundle.graph(contract["graph"])
    added = {} if adapter is None else parameters(bundle.path(contract["adapters"][adapter]))

    def whole(name: str) -> np.ndarray:
        found = matrix(weights, name)
        return found + (added[f"{name}.lora_a"] @ added[f"{name}.lora_b"]).T if f"{name}.lora_a" in added else found

    told = {}
    for kind in ("SimplifiedLayerNormalization", "GroupQueryAttention"):
        node = next(node for node in nodes.node if node.op_type == kind)
        told |= {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    rows = values(bundle.tensors(bundle.manifest["token_tables"][contract["tokens"]]["part"]))
    _, own = bundle.graph(contract["head"]["graph"])
    head = matrix(own, "head") if "head" in own else rows
    # θ of the angles that the second pair has at position 1: θ^(−2/h).
    angle = np.arctan2(weights["sin_cache"][1, 1], weights["cos_cache"][1, 1]).astype(np.float64)
    biased = "layers.0.qkv.bias" in weights
    kind, network = (Qwen2Config, Qwen2ForCausalLM) if biased else (LlamaConfig, LlamaForCausalLM)
    config = kind(
        vocab_size=len(rows),
        hidden_size=rows.shape[1],
        intermediate_size=len(matrix(weights, "layers.0.up_proj")),
        num_hidden_layers=contract["layers"],
        num_attention_heads=told["num_heads"],
        num_key_value_heads=told["kv_num_heads"],
        head_dim=contract["head_size"],
        max_position_embeddings=contract["context"],
        rms_norm_eps=told["epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": float(round(angle ** (-contract["head_size"] / 2)))},
        tie_word_embeddings="head" not in own,
    )
    state = {"model.embed_tokens.weight": rows, "lm_head.weight": head, "model.norm.weight": weights["norm"]}
    sizes = [told["num_heads"] * contract["head_size"], contract["kv_heads"] * contract["head_size"]]
    for layer in range(contract["layers"]):
        into, of = f"model.layers.{layer}", f"layers.{layer}"
        parts = {"weight": whole(f"{of}.qkv")} | ({"bias": weights[f"{of}.qkv.bias"]} if biased else {})
        for part, together in parts.items():
            for kind, own in zip("qkv", np.split(together, np.cumsum(sizes))):
                state[f"{into}.self_attn.{kind}_proj.{part}"] = own
        state[f"{into}.self_attn.o_proj.weight"] = whole(f"{of}.o_proj")
        state |= {f"{into}.mlp.{kind}_proj.weight": whole(f"{of}.{kind}_proj") for kind in ("gate", "up", "down")}
        state |= {f"{into}.{kind}.weight": weights[f"{of}.{kind}"] for kind in ("input_layernorm", "post_attention_layernorm")}
    model = network(config).eval()
    model.load_state_dict({key: torch.tensor(np.ascontiguousarray(value)) for key, value in state.items()})
    return model


def parameters(adapter: Path) -> dict[str, np.ndarray]:
    """What an `.onnx_adapter` has."""
    # What it gives is lost with it.
    read = onnxruntime.AdapterFormat.read_adapter(str(adapter))
    return {name: value.numpy().copy() for name, value in read.get_parameters().items()}


def logits(model: torch.nn.Module, tokens: list[int]) -> np.ndarray:
    """[S, V] after each of the tokens."""
    with torch.inference_mode():
        return model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()


def continued(model: torch.nn.Module, prompt: list[int], stop: list[int]) -> list[int]:
    """The likeliest tokens one by one, each without a doubt."""
    tokens = list(prompt)
    for _ in range(COUNT):
        second, first = np.sort(last := logits(model, tokens)[-1])[-2:]
        tokens.append(int(last.argmax()))
        if first - second < GAP or tokens[-1] in stop:
            raise Problem(f"the {len(tokens) - len(prompt)}th token after {prompt} is not clear, or ends the text")
    return tokens[len(prompt) :]


def beams(model: torch.nn.Module, prompt: list[int], stop: list[int], number: int) -> dict[str, np.ndarray]:
    """What a beam search finds, which some likely tokens end."""
    last = logits(model, prompt)[-1]
    stop = sorted({*stop, *np.argsort(-last)[[1, 3, 9]].tolist()})
    penalty = [1.0, 0.0, 0.5][number % 3]
    with torch.inference_mode():
        found = model.generate(
            torch.tensor([prompt]), num_beams=BEAMS, num_return_sequences=BEAMS, max_new_tokens=BEAM_TOKENS, eos_token_id=stop,
            pad_token_id=stop[0], do_sample=False, length_penalty=penalty, early_stopping=False, output_scores=True,
            return_dict_in_generate=True,
        )  # fmt: skip
    rows = [row[len(prompt) :].tolist() for row in found.sequences]
    rows = [row[: next((at for at, token in enumerate(row) if token in stop), None)] for row in rows]
    return {
        f"text{number}.beam_stop": np.array(stop),
        f"text{number}.beam_tokens": np.concatenate(rows).astype(np.int64),
        f"text{number}.beam_lengths": np.array([len(row) for row in rows]),
        f"text{number}.beam_scores": found.sequences_scores.numpy(),
        f"text{number}.beam_penalty": np.array([penalty], np.float32),
    }


def score(model: torch.nn.Module, prompt: list[int], title: list[int]) -> float:
    """log p(title | prompt) = Σ log p(token | those before it)."""
    found = torch.tensor(logits(model, [*prompt, *title]).astype(np.float64)).log_softmax(1)[len(prompt) - 1 : -1]
    return float(found.gather(1, torch.tensor(title)[:, None]).sum())
