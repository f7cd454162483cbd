"""GRU4Rec: a recurrent network over the items a person chose.

Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016 (arXiv 1511.06939), with one
row an item as input. Per step, with σ the logistic function and ∘ the product by element:

    r = σ(Wr·x + br + Ur·h + cr);  z = σ(Wz·x + bz + Uz·h + cz)
    n = tanh(Wn·x + bn + r ∘ (Un·h + cn));  h ← (1 − z) ∘ n + z ∘ h

This is PyTorch's cell: the reset gate comes after the recurrent product. TensorFlow's, which MCRL's code uses, applies it
before; weights do not transfer between the two. An empty history is one step on the padding row, which is not masked.
"""

from torch import Tensor, nn

from .network import Network, Shape


class GRU4Rec(Network):
    """Item rows and `blocks` recurrent layers of the same width."""

    def __init__(self, shape: Shape, dropout: float = 0.0):
        super().__init__(shape, shape.width)
        self.gru = nn.GRU(shape.width, shape.width, shape.blocks, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    @property
    def empty(self) -> Tensor:
        """The padding row as it is."""
        return self.items.weight[self.shape.items]

    def states(self, histories: Tensor, lengths: Tensor) -> Tensor:
        states, _ = self.gru(self.dropout(self.items(histories)))
        return self.dropout(states)
