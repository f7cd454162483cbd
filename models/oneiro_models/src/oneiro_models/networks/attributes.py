"""Item rows that know what the items are: an item's own row plus a row for every value of its attributes.

With e_i the own row of item i and V_i the values of its attributes (its brand, its genres):

    E[i] = e_i + Σ over v in V_i of a_v

as the feature sums of RecBole's SASRecF and the item knowledge of MKM-SR (Meng et al., SIGIR 2020, arXiv 2006.06922).
An item that nobody chose in training has the trained rows of its attributes and an own row as it was drawn, by which it is
told apart: it can be read, and it ranks. They are for training only: a finished network has the sums.
"""

import numpy as np
import torch
from torch import Tensor, nn


class SummedRows(nn.Module):
    """Stands in the place of a network's item rows [N+1, d] while it is trained; the padding row has no attributes.

    `values` i64 [N, m]: the numbers of each item's attribute values; -1 is none.
    """

    def __init__(self, own: nn.Embedding, values: np.ndarray, scale: float):
        super().__init__()
        self.own = own
        none = int(values.max(initial=-1)) + 1
        self.attributes = nn.Embedding(none + 1, own.embedding_dim, padding_idx=none)
        known = np.pad(values, ((0, 1), (0, 0)), constant_values=-1)
        self.register_buffer("values", torch.as_tensor(np.where(known < 0, none, known)), persistent=False)
        nn.init.normal_(self.attributes.weight, std=scale)
        with torch.no_grad():
            self.attributes.weight[none] = 0

    @property
    def weight(self) -> Tensor:
        return self.own.weight + self.attributes(self.values).sum(1)

    def forward(self, items: Tensor) -> Tensor:
        return self.own(items) + self.attributes(self.values[items]).sum(-2)


def state_with_sums(network: nn.Module) -> dict[str, Tensor]:
    """The weights of a network with the sums as its item rows, without its twin."""
    rest = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(("items.", "twin."))}
    return {"items.weight": network.items.weight.detach(), **rest}
