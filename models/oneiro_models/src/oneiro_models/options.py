"""How a network is trained."""

from dataclasses import dataclass, fields

HELD_OUT = 0.1
"""The share of the latest events kept for validation, unless another is named."""

DEFAULTS = {
    "sasrec": {},
    "gru4rec": {"blocks": 1},
    "caser": {"blocks": 1, "window": 10, "head": "separate"},
    "nextitnet": {"blocks": 6},
}
"""Where a network's defaults are others than those of `Options`."""


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
    seed: int = 1

    @classmethod
    def chosen(cls, network: str = "sasrec", **given) -> "Options":
        """The network's defaults, and what was `given` instead."""
        return cls(**{"network": network, **DEFAULTS[network], **given})

    def command(self) -> str:
        """The options that differ from the network's defaults, as on the command line."""
        usual = Options(**DEFAULTS[self.network])
        changed = [field for field in fields(self) if getattr(self, field.name) != getattr(usual, field.name)]
        return "".join(f" --{field.name.replace('_', '-')} {getattr(self, field.name)}" for field in changed)
