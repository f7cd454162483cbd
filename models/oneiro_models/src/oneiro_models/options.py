"""How SASRec is trained."""

from dataclasses import dataclass, fields

HELD_OUT = 0.1
"""The share of the latest events kept for validation, unless another is named."""


@dataclass(frozen=True)
class Options:
    """How a run is made; the defaults are those of models/demo."""

    window: int = 50
    width: int = 64
    blocks: int = 2
    dropout: float = 0.4
    half_life: float = 60.0
    seen: str = "exclude"
    learning_rate: float = 2e-3
    scale: float = 0.02
    batch: int = 64
    epochs: int = 50
    patience: int = 5
    seed: int = 1

    def command(self) -> str:
        """The options that differ from the defaults, as on the command line."""
        changed = [field for field in fields(self) if getattr(self, field.name) != field.default]
        return "".join(f" --{field.name.replace('_', '-')} {getattr(self, field.name)}" for field in changed)
