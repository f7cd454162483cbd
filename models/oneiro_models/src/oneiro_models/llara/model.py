"""oneiro-lm: a Llama of about ten million parameters, its token rows shared with its head."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from .. import Problem
from .documents import IGNORED
from .tokenizer import BEGIN, END, PAD


def untrained(vocabulary: int, width: int, inner: int, layers: int, heads: int, kv_heads: int, context: int) -> LlamaForCausalLM:
    """With weights drawn by PyTorch's generator."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=width // heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=BEGIN,
        eos_token_id=END,
    )
    return LlamaForCausalLM(config)


def with_dropout(model: LlamaForCausalLM, share: float) -> None:
    """Drops numbers, while it trains, of what every half of a layer adds to a row: Llama itself drops none of them."""

    def dropped(module: nn.Module, _, output: Tensor) -> Tensor:
        return nn.functional.dropout(output, share, module.training)

    for layer in model.model.layers:
        layer.self_attn.o_proj.register_forward_hook(dropped)
        layer.mlp.down_proj.register_forward_hook(dropped)


def labelled_loss(
    model: LlamaForCausalLM, rows: Tensor, labels: Tensor, attends: Tensor, positions: Tensor
) -> tuple[Tensor, int]:
    """Σ −log p of the labelled tokens of rows [B, L, D], each given those before it, and how many they are."""
    hidden = model.model(inputs_embeds=rows, attention_mask=attends, position_ids=positions, use_cache=False).last_hidden_state
    asked = labels[:, 1:] != IGNORED
    logits = model.lm_head(hidden[:, :-1][asked])
    return nn.functional.cross_entropy(logits, labels[:, 1:][asked], reduction="sum"), int(asked.sum())


def save_checkpoint(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """As Hugging Face keeps it; a title's end ends a text."""
    model.generation_config = GenerationConfig(bos_token_id=BEGIN, eos_token_id=END, pad_token_id=PAD)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


def load_checkpoint(folder: Path) -> tuple[LlamaForCausalLM, Tokenizer]:
    """The model in f32 and its tokenizer."""
    if not (folder / "config.json").is_file() or not (folder / "tokenizer.json").is_file():
        raise Problem(f"{folder} is no checkpoint: it has no config.json and tokenizer.json")
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model.eval(), Tokenizer.from_file(str(folder / "tokenizer.json"))
