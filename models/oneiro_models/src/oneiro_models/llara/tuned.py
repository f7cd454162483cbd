"""A language model that can be asked: stage 1 alone, or with what stage 2 made of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from transformers import LlamaForCausalLM

from .. import Problem
from .judge import matches, title_scores, written
from .model import load_checkpoint
from .options import Tuning
from .training import options_of
from .projector import Projector, embedded
from .prompts import Choice, answer, prompt
from .tokenizer import BEGIN, Pieces
from .words import Words


@dataclass(frozen=True)
class Tuned:
    """`table`: the rows of the items as the model reads them, g(e) f32 [N, D]; None: it is asked by text alone."""

    model: LlamaForCausalLM
    tokenizer: object
    pieces: Pieces
    words: Words
    table: Tensor | None
    options: Tuning | None

    @classmethod
    def load(cls, folder: Path, base: Path | None, words: Words, rows: np.ndarray | None) -> "Tuned":
        """A run of stage 2 over its `base` and, unless it has seen text alone, with the recommender's `rows`; or a checkpoint."""
        if (folder / "config.json").is_file():
            model, tokenizer = load_checkpoint(folder)
            return cls(model, tokenizer, Pieces.of(tokenizer, words), words, None, None)
        options = options_of(folder, Tuning)
        if options.weights == "full":
            model, tokenizer = load_checkpoint(folder / "checkpoint")
        else:
            if base is None:
                raise Problem(f"{folder} is an adapter: name the checkpoint that it is for with --base")
            model, tokenizer = load_checkpoint(base)
            model = PeftModel.from_pretrained(model, folder / "adapter").merge_and_unload().eval()
        table = None
        if options.curriculum != "text":
            if rows is None:
                raise Problem(f"{folder} reads the rows of a recommender: name it with --recommender")
            table = projected(folder, rows)
        return cls(model, tokenizer, Pieces.of(tokenizer, words), words, table, options)

    def read(self, one: Choice) -> Tensor:
        """The rows [P, D] of the prompt and of the second beginning."""
        asked = prompt(self.pieces, one, self.table is not None)
        with torch.inference_mode():
            rows = self.model.model.embed_tokens(torch.tensor([asked.tokens + [BEGIN]]))
            if self.table is not None:
                rows = embedded(rows, [asked.places], [asked.items], self.table, torch.nn.Identity())
        return rows[0]

    def scores(self, one: Choice, among_titles: bool = False) -> np.ndarray:
        """log p of every candidate's title and its end, in the order of the candidates; over the vocabulary or among the titles."""
        titles = [answer(self.pieces, item) for item in one.candidates.tolist()]
        return title_scores(self.model, self.read(one), titles, among_titles).numpy()

    def said(self, one: Choice) -> list[int]:
        """The candidates whose title is in what it writes of itself."""
        text = self.tokenizer.decode(written(self.model, self.read(one)), skip_special_tokens=True)
        return matches(text, [self.words.titles[item] for item in one.candidates.tolist()])


def projected(folder: Path, rows: np.ndarray) -> Tensor:
    """g(e) of every item, f32 [N, D]: what a bundle keeps as a space, so that the projector never runs beside it."""
    projector = Projector.load(folder)
    if projector.inner.in_features != rows.shape[1]:
        raise Problem(f"{folder} reads rows of {projector.inner.in_features} numbers, the recommender's have {rows.shape[1]}")
    with torch.inference_mode():
        return projector(torch.tensor(rows, dtype=torch.float32))
