"""The networks, in PyTorch."""

from .attributes import SummedRows, state_with_sums
from .caser import Caser
from .dreamrec import DreamRec
from .gru4rec import GRU4Rec
from .mcrl import BACKBONES, MCRL
from .network import Network, Shape
from .nextitnet import NextItNet
from .recbole import RecBoleGRU4Rec, RecBoleSASRec
from .sasrec import SASRec

ENCODERS: dict[str, type[Network]] = {"sasrec": SASRec, "gru4rec": GRU4Rec, "caser": Caser, "nextitnet": NextItNet}
"""What answers by its state alone."""

NETWORKS: dict[str, type[Network]] = ENCODERS | {"dreamrec": DreamRec, "mcrl": MCRL}
"""What can be trained."""

READ: dict[str, type[Network]] = {"recbole-sasrec": RecBoleSASRec, "recbole-gru4rec": RecBoleGRU4Rec}
"""What others train, and is only read here."""

__all__ = [
    "BACKBONES",
    "ENCODERS",
    "NETWORKS",
    "Caser",
    "DreamRec",
    "GRU4Rec",
    "MCRL",
    "Network",
    "NextItNet",
    "RecBoleGRU4Rec",
    "RecBoleSASRec",
    "SASRec",
    "Shape",
    "SummedRows",
    "encoder_of",
    "name_of",
    "state_with_sums",
]


def name_of(network: Network) -> str:
    """What a network is called on the command line and in bundles."""
    if isinstance(network, MCRL):
        return "mcrl"
    return next(name for name, kind in (NETWORKS | READ).items() if type(network) is kind)


def encoder_of(network: Network) -> str:
    """Which of the encoders gives its states."""
    return next(name for name, kind in (ENCODERS | READ).items() if isinstance(network, kind))
