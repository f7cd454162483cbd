"""How a language model learns to explain."""

from dataclasses import dataclass

from ..llara.options import Command


ROWS = 1000
"""The most rows of an evaluation, if nothing else is asked for."""


@dataclass(frozen=True)
class Explaining(Command):
    """LoRA on sentences made of training rows."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05
    learning_rate: float = 1e-3
    rows: int = 4000
    steps: int = 200
    batch: int = 32
    seed: int = 0
