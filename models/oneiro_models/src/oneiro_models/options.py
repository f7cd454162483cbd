"""How a network is trained."""

from dataclasses import dataclass, fields
from pathlib import Path

from . import Problem

HELD_OUT = 0.1
"""The share of the latest events kept for validation, unless another is named."""

DEFAULTS = {
    "sasrec": {},
    "gru4rec": {"blocks": 1},
    "caser": {"blocks": 1, "window": 10, "head": "separate"},
    "nextitnet": {"blocks": 6},
    "dreamrec": {
        "blocks": 1, "window": 10, "dropout": 0.1, "half_life": 0.0, "learning_rate": 1e-3, "scale": 1.0,
        "batch": 256, "epochs": 1000, "patience": 200, "validate_every": 10,
    },
    "mcrl": {"blocks": 1, "window": 10, "head": "separate", "dropout": 0.1, "learning_rate": 5e-3, "batch": 256},
}  # fmt: skip
"""Where a network's defaults are others than those of `Options`."""

ONLY = {
    **dict.fromkeys(("schedule", "diffusion_steps", "denoiser", "unconditional", "contrast", "guidance", "draws"), "dreamrec"),
    **dict.fromkeys(("backbone", "by", "blend", "value", "discount", "negatives", "conservative"), "mcrl"),
    **dict.fromkeys(("temperature", "reward", "transition", "sharpness"), "mcrl"),
}
"""The options that one network alone has."""


@dataclass(frozen=True)
class Options:
    """How a run is made; the defaults are those of models/demo."""

    network: str = "sasrec"
    window: int = 50
    width: int = 64
    blocks: int = 2
    head: str = "shared"
    attributes: str = "unused"
    dropout: float = 0.4
    half_life: float = 60.0
    seen: str = "exclude"
    learning_rate: float = 2e-3
    average: float = 0.0
    scale: float = 0.02
    batch: int = 64
    epochs: int = 50
    patience: int = 5
    validate_every: int = 1
    schedule: str = "linear"
    diffusion_steps: int = 500
    denoiser: str = "mlp1"
    unconditional: float = 0.1
    contrast: float = 0.0
    guidance: float = 2.0
    draws: int = 3
    backbone: str = "sasrec"
    by: str = "logits"
    blend: float = 0.5
    value: float = 1.0
    discount: float = 0.5
    negatives: int = 0
    conservative: float = 0.01
    temperature: float = 0.5
    reward: float = 0.1
    transition: float = 0.1
    sharpness: float = 0.1
    seed: int = 1
    start: str = ""
    fixed: str = "nothing"

    @classmethod
    def chosen(cls, network: str = "sasrec", **given) -> "Options":
        """The network's defaults, and what was `given` instead."""
        for name in given:
            if ONLY.get(name, network) != network:
                raise Problem(f"--{name.replace('_', '-')} is an option of {ONLY[name]}, not of {network}")
        return cls(**{"network": network, **DEFAULTS[network], **given})

    def command(self) -> str:
        """The options that differ from the network's defaults, as on the command line."""
        usual = Options(**DEFAULTS[self.network])
        shown = {field.name: getattr(self, field.name) for field in fields(self)} | {"start": Path(self.start).name}
        changed = {name: value for name, value in shown.items() if value != getattr(usual, name)}
        return "".join(f" --{name.replace('_', '-')} {value}" for name, value in changed.items())
