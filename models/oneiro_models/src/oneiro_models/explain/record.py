"""Records of deletions, and their section of the page of results."""

from dataclasses import dataclass

from ..llara.record import Choices
from ..metrics import Figure

SUFFIX = ".deletion.json"

HEAD = (
    "## Why: explanations and what they name\n\n"
    "Ours. Of the encoder's best item for each row that was not seen: how far its score falls where the one or two items that "
    "an explanation names are taken out of the history, where as many of the latest are, and where as many drawn from all of the "
    "window are, the named among them, the mean of ten draws.\n"
)


@dataclass(frozen=True)
class Deletions(Choices):
    """One evaluation: what falls, by what was taken out; `subject`: whose scores they are."""

    suffix = SUFFIX

    @property
    def own(self) -> dict[str, dict[str, Figure]]:
        return self.figures
