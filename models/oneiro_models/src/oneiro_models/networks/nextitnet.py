"""NextItNet: dilated causal convolutions over the items a person chose.

Yuan et al., "A Simple Convolutional Generative Network for Next Item Recommendation", WSDM 2019 (arXiv 1808.05163), as the
backbone of MCRL. Each residual block with dilation d, all convolutions causal and three wide, m the mask of real items:

    x ← (x + relu(LN(conv_2d(relu(LN(conv_d(x))))))) · m       d = 1, 2, 1, 2, …
    the state is x[length − 1]

LayerNorm's epsilon is 1e-8. The second convolution looks back twice as far as the first.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .network import Network, Shape

KERNEL = 3
DILATIONS = (1, 2)
EPSILON = 1e-8


class Block(nn.Module):
    """Two causal convolutions, each followed by LayerNorm and relu."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.conv_1 = nn.Conv1d(width, width, KERNEL, dilation=dilation)
        self.norm_1 = nn.LayerNorm(width, eps=EPSILON)
        self.conv_2 = nn.Conv1d(width, width, KERNEL, dilation=2 * dilation)
        self.norm_2 = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """`x` [B, L, d]."""
        for conv, norm in ((self.conv_1, self.norm_1), (self.conv_2, self.norm_2)):
            padded = functional.pad(x.transpose(1, 2), (conv.dilation[0] * (KERNEL - 1), 0))
            x = norm(conv(padded).transpose(1, 2)).relu()
        return x


class NextItNet(Network):
    """Item rows and residual blocks. An empty history's state is zeros."""

    def __init__(self, shape: Shape, dropout: float = 0.0):
        super().__init__(shape, shape.width)
        self.blocks = nn.ModuleList(Block(shape.width, DILATIONS[index % 2]) for index in range(shape.blocks))
        self.dropout = nn.Dropout(dropout)

    def start(self, scale: float) -> None:
        """The authors' start: filters from a normal distribution cut at two deviations of 0.02."""
        super().start(scale)
        for block in self.blocks:
            for conv in (block.conv_1, block.conv_2):
                nn.init.trunc_normal_(conv.weight, std=0.02, a=-0.04, b=0.04)
                nn.init.zeros_(conv.bias)

    def states(self, histories: Tensor, lengths: Tensor) -> Tensor:
        place = torch.arange(histories.shape[1], device=histories.device)
        mask = (place < lengths[:, None])[:, :, None].float()
        x = self.dropout(self.items(histories)) * mask
        for block in self.blocks:
            x = (x + self.dropout(block(x))) * mask
        return x
