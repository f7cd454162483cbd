"""How a language model is tuned to write titles; the defaults are those of RESULTS.md."""

from dataclasses import dataclass

from ..llara.options import Command


@dataclass(frozen=True)
class Writing(Command):
    """LoRA on instructions. The reference: 1024 rows, queries and values, α 16, dropout 0.05, rate 1e-4, batches of 128."""

    rows: int = 1024
    matrices: str = "qv"
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05
    learning_rate: float = 1e-3
    steps: int = 400
    batch: int = 32
    validate_every: int = 40
    patience: int = 5
    seed: int = 0

    def described(self) -> str:
        """What a table calls a model that was tuned so."""
        return f"BIGRec, {self.rows or 'all'} training rows"
