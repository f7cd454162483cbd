"""Low-rank adapters (LoRA: Hu et al., arXiv 2106.09685) as the PEFT library keeps them, merged into a checkpoint.

A folder with `adapter_config.json` and `adapter_model.safetensors`. Each matrix W [out, in] that has an adapter becomes

    W + s·B·A        A [r, in], B [out, r]; s = α/r, or α/√r where `use_rslora` says so (arXiv 2312.03732)

and each tensor of `modules_to_save` is taken as it is.
"""

import json
import re
from math import sqrt
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file

from . import Problem

PREFIX = "base_model.model."
PAIR = re.compile(r"(.+)\.lora_(?:embedding_)?([AB])(?:\.weight)?")
TOKENS = ("model.embed_tokens.weight", "lm_head.weight")


class Adapter:
    """What a folder of PEFT adds to the tensors of a checkpoint."""

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            self.config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
            tensors = load_file(folder / "adapter_model.safetensors")
        except (OSError, ValueError, SafetensorError) as error:
            raise Problem(f"{folder} is no adapter of PEFT: {error}") from None
        wrong = {"use_dora": "DoRA", "fan_in_fan_out": "transposed weights", "lora_bias": "biases of its own"}
        found = [said for key, said in wrong.items() if self.config.get(key)]
        if self.config.get("peft_type") != "LORA" or found or self.config.get("bias", "none") != "none":
            kind = ", ".join([str(self.config.get("peft_type")), *found, f"bias {self.config.get('bias', 'none')}"])
            raise Problem(f"{folder}: an adapter of the kind {kind} is not merged, only plain LoRA")
        self.pairs: dict[str, dict[str, np.ndarray]] = {}
        self.whole: dict[str, np.ndarray] = {}
        for key, tensor in tensors.items():
            name, value = key.removeprefix(PREFIX), tensor.float().numpy()
            pair = PAIR.fullmatch(name)
            if pair:
                # An embedding has its rows where a matrix has its columns.
                turned = {"A": "B", "B": "A"}[pair[2]] if "lora_embedding" in name else pair[2]
                self.pairs.setdefault(f"{pair[1]}.weight", {})[turned] = value if turned == pair[2] else value.T
            else:
                self.whole[name.replace(".modules_to_save.default", "").replace(".base_layer", "")] = value

    def check(self, known: set[str], tied: bool) -> None:
        """Refuses what would be merged nowhere, or into rows that are two things at once."""
        for name in [*self.pairs, *self.whole]:
            if name not in known:
                raise Problem(f"{self.folder}: the checkpoint has no `{name}`, which the adapter changes")
            if tied and name in TOKENS:
                raise Problem(f"{self.folder}: the adapter changes `{name}`, which the checkpoint shares with its other end")

    def merged(self, name: str, weight: np.ndarray) -> np.ndarray:
        """The tensor with what is added to it."""
        weight = self.whole.get(name, weight)
        if name not in self.pairs:
            return weight
        a, b = self.factors(name, *weight.shape)
        return weight + b @ a

    def factors(self, name: str, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """A [r, in] and s·B [out, r] of a matrix."""
        a, b = (self.pairs[name].get(one) for one in "AB")
        if a is None or b is None or (b.shape[0], a.shape[1]) != (rows, columns) or a.shape[0] != b.shape[1]:
            raise Problem(f"{self.folder}: A and B of `{name}` do not make a matrix of {[rows, columns]}")
        rank = a.shape[0]
        scale = self.alpha(name.removesuffix(".weight")) / (sqrt(rank) if self.config.get("use_rslora") else rank)
        return a, np.float32(scale) * b

    def alpha(self, module: str) -> float:
        """α of a module, by the first pattern that fits its name."""
        patterns = self.config.get("alpha_pattern") or {}
        own = (alpha for pattern, alpha in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", module))
        return next(own, self.config["lora_alpha"])
