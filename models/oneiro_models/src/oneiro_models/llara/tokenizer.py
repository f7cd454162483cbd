"""The tokenizer of oneiro-lm: byte pairs (Sennrich et al., arXiv 1508.07909) of the titles and templates of one catalog.

No text is altered, no space is put in front, and pairs are joined across words: a title counts as often as it was chosen in
training, so that those that people choose often become a token or two. A model of few weights then has less to spell, and a
prompt of thirty titles is short.
"""

from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from ..language_model import piece, titled, tokenizer_of
from .words import Words, cut

SPECIAL = ("<pad>", "<begin>", "</title>", "<history>", "<candidate>", "<text>")
PAD, BEGIN, END, ROW_OF_HISTORY, ROW_OF_CANDIDATE, NO_ROW = range(len(SPECIAL))
"""Their numbers: `NO_ROW` stands behind a title where a prompt is of text alone."""

BETWEEN = ", "
"""Stands between items."""
PROMPTED = 300
"""How often the texts of the templates count, and what stands between items, as if they were titles."""


def train_tokenizer(words: Words, counts: np.ndarray, vocabulary: int) -> Tokenizer:
    """At most so many tokens, the special ones among them; `counts` [N]: how often each item was chosen."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = [title for title, count in zip(words.titles, counts.tolist()) for _ in range(count)]
    texts += [title for style in words.styles for title in style]
    texts += [BETWEEN, *(text for template in words.templates for text in cut(template))] * PROMPTED
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<begin> $A", special_tokens=[("<begin>", BEGIN)])
    return tokenizer


@dataclass(frozen=True)
class Pieces:
    """The pieces that prompts and histories are made of, each encoded by itself as the oneiro library does it."""

    styles: list[list[list[int]]]
    """The tokens of every item's title in every style, without an end."""
    between: list[int]
    templates: list[tuple[list[int], list[int], list[int]]]

    @classmethod
    def of(cls, tokenizer: Tokenizer, words: Words) -> "Pieces":
        plain = tokenizer_of(tokenizer.to_str().encode())
        return cls(
            [[titled(plain, title, None) for title in style] for style in words.styles],
            piece(plain, BETWEEN),
            [tuple(piece(plain, text) for text in cut(template)) for template in words.templates],
        )

    @property
    def titles(self) -> list[list[int]]:
        return self.styles[0]
