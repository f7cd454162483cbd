"""The tokenizer of oneiro-lm: byte pairs (Sennrich et al., arXiv 1508.07909) of the titles and templates of one catalog.

No text is altered and no space is put in front. A year in brackets is a word, and so are marks with the space behind them:
", " is one token.
"""

from dataclasses import dataclass

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from ..language_model import piece, titled, tokenizer_of
from .words import Words, cut

SPECIAL = ("<pad>", "<begin>", "</title>", "<history>", "<candidate>", "<text>")
PAD, BEGIN, END, ROW_OF_HISTORY, ROW_OF_CANDIDATE, NO_ROW = range(len(SPECIAL))
"""Their numbers: `NO_ROW` stands behind a title where a prompt is of text alone."""

BETWEEN = ", "
"""Stands between items."""
LIST = 200
"""How often it counts beside the titles, that it may become one token."""

WORDS = r" \([0-9]{4}\)| ?[\p{L}\p{M}\p{N}]+(?:['’]\p{L}+)?| ?[^\s\p{L}\p{M}\p{N}]+ ?|\s+"


def train_tokenizer(words: Words, vocabulary: int) -> Tokenizer:
    """At most so many tokens, the special ones among them."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(WORDS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = [title for style in words.styles for title in style]
    texts += [text for template in words.templates for text in cut(template)] + [BETWEEN] * LIST
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
