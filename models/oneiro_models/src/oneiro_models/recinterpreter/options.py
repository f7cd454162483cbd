"""How a language model learns to read states."""

from dataclasses import dataclass

from ..llara.options import Command


ROWS = 200
"""The most rows of an evaluation, if nothing else is asked for."""


@dataclass(frozen=True)
class Reading(Command):
    """The linear layer and, unless the model stays as it is, LoRA. The reference: the layer alone, AdamW at 1e-3, batches of 16."""

    weights: str = "lora"
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-6
    steps: int = 600
    batch: int = 64
    seed: int = 0

    def described(self) -> str:
        """What a table calls a model that was tuned so."""
        return "RecInterpreter" + (", the layer alone" if self.weights == "frozen" else "")
