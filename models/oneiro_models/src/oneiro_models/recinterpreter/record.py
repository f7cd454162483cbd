"""Records of interpretations, and their section of the page of results."""

from dataclasses import dataclass

from ..llara.record import Choices
from ..metrics import Figure

SUFFIX = ".interpretation.json"

HEAD = (
    "## What states say: a language model that interprets a recommender\n\n"
    "RecInterpreter (arXiv 2310.20487). `titles of ten`: how many of the last ten different items of the window (of so many as "
    "there are) the state gives back, title after title, at most ten, each token the likeliest that leads to a title (the library "
    "searches with beams). `residual top-1`, `residual MRR`: the rank of the title "
    "of the item between two states among all titles of the catalog, by log-probability, ties against it. `item top-1`: the "
    "same of an item's own row, over items drawn from all. BASE is a run of `train-lm`, RUN one of `tune-interpreter`.\n"
)


@dataclass(frozen=True)
class Interpretations(Choices):
    """One evaluation: the figures of every method, those of the interpreter by its `subject`."""

    suffix = SUFFIX

    @property
    def own(self) -> dict[str, dict[str, Figure]]:
        return {name: found for name, found in self.figures.items() if name == self.subject}
