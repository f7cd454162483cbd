"""How the two stages are trained; the defaults are those of RESULTS.md."""

from dataclasses import dataclass, fields


class Command:
    """Options that can say what a command line says."""

    def command(self) -> str:
        """The options that are not as they are by themselves."""
        changed = {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name) != field.default}
        return "".join(f" --{name.replace('_', '-')} {value}" for name, value in changed.items())


@dataclass(frozen=True)
class Pretraining(Command):
    """Stage 1: next token on histories written as titles."""

    vocabulary: int = 8192
    width: int = 384
    inner: int = 1024
    layers: int = 5
    heads: int = 6
    kv_heads: int = 2
    context: int = 1024
    prompts: float = 0.1
    dropout: float = 0.2
    left_out: float = 0.2
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.1
    steps: int = 1000
    rows: int = 8
    length: int = 512
    validate_every: int = 100
    seed: int = 1


@dataclass(frozen=True)
class Tuning(Command):
    """Stage 2: LoRA and the projector, on prompts."""

    curriculum: str = "ramp"
    weights: str = "lora"
    labels: str = "answer"
    rank: int = 8
    alpha: int = 32
    dropout: float = 0.1
    learning_rate: float = 8e-4
    projector_decay: float = 1e-5
    steps: int = 400
    batch: int = 32
    seed: int = 1

    def described(self) -> str:
        """What a table calls a model that was tuned so."""
        how = {"ramp": "the curriculum", "hybrid": "hybrid from the start", "text": "text alone", "saw-tooth": "the saw-tooth"}
        beside = ", all weights" * (self.weights == "full") + ", histories learned too" * (self.labels == "history")
        return f"LLaRA, {how[self.curriculum]}{beside}"
