"""The bundle models/tiny: invented films, seeded untrained networks of every kind, every kind of table; kilobytes, for tests."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from .bundle import BundleWriter, Catalog, year_of
from .bundle.table import table
from .diffusion import Schedule
from .export import Description, add, complete, finish, write
from .networks import BACKBONES, ENCODERS, DreamRec, Network, SASRec, Shape, name_of
from .value import value_graph

SEED = 7

FILMS = """\
The Lantern Keeper (1994) | Drama
Lantern Keeper, The (2011) | Drama, Fantasy
A Lantern (1994) | Short
Échos d'hiver (2003) | Drama, Romance
Straße nach Norden (1987) | Drama, Road
Ørkenvinter (1999) | Thriller
Señor Relámpago (1976) | Action, Comedy
Two Rivers (1951) | Western
Two Rivers (1998) | Western
Two Rivers (2012) | Drama, Western
2012 (2009) | Action
1 (2004) | Mystery
2031: A Garden Odyssey (1969) | Fantasy, Science
An Orchard at Noon (1962) | Romance
Orchard at Noon, An (1985) | Romance
The Orchard (1985) | Horror
Nightjar | Mystery
Nightjars (2013) |
The Clockmaker's Daughter (2008) | Drama, Fantasy
The Clockmaker’s Daughter II (2010) | Drama, Fantasy
Der Zug (1958) | Thriller
Der Zug, wieder (1971) | Thriller
Mårten's Boat (2006) | Comedy, Family
雪の駅 (1974) | Drama
Последний трамвай (1983) | Comedy
Paper/Scissors (1996) | Crime
Paper & Stone (1997) | Crime
Glass... (2000) | Crime, Mystery
Salt-Marsh (1990) | Horror
Salt Marsh (2005) | Horror
The The (1993) | Music
A (2002) | Music
Ninety-Nine Kites (2007) | Animation, Family
Kites (2007) | Animation
Kitesurfers (2007) | Documentary
Harbour Lights, Part One (1947) | Romance, War
Harbour Lights, Part Two (1948) | Romance, War
Cartographer (2013) | Adventure
The Cartographer (2013) | Adventure, Drama
Tomorrow's Premiere (2014) | Comedy
"""

COLD = (15, 39)
"""Items nobody chose in the training data."""


def films() -> tuple[list[str], list[list[str]]]:
    """Titles and tags."""
    lines = [line.split("|") for line in FILMS.splitlines()]
    return [title.strip() for title, _ in lines], [[tag.strip() for tag in tags.split(",") if tag.strip()] for _, tags in lines]


def write_tiny(folder: Path) -> None:
    """The same bytes at every run."""
    generator = np.random.default_rng(SEED)
    catalog, cold = invented(generator)
    titles, counts = catalog.titles, catalog.counts
    shape = Shape(len(titles), width=16, window=5, blocks=2)
    network = untrained(shape, generator)
    about = Description("tiny", "Forty invented films and untrained encoders, for tests", made_by("tiny models/tiny"))
    bundle = write(folder, about, catalog, network, cold)
    rows = np.where(cold[:, None], 0, network.table.detach().numpy())
    bundle.table("half", table(rows, "f16", cold=cold), half="dot")
    bundle.table("small", table(rows, "i8", bias=np.log1p(counts), cold=cold), small="dot")
    bundle.table("texts", table(generator.normal(size=(len(titles), 8))), texts="l2")
    others = [untrained(shape, generator, kind) for kind in ENCODERS.values() if kind is not SASRec]
    for other in others:
        add(bundle, other, cold, prefix=f"{name_of(other)}.")
    finish(bundle, about, network, *others)


def write_tiny_oracle(folder: Path) -> None:
    """Two untrained oracles: `affine`, whose chain of 500 steps collapses, and `mlp2`, which has to go through its 2000. A
    Q-network, whose queries are the states of the first, for chains of the two.
    """
    generator = np.random.default_rng(SEED)
    catalog, cold = invented(generator)
    shape = Shape(len(catalog), width=16, window=5)
    affine = dreaming(DreamRec(shape, Schedule.of("linear", 500), "mlp1"), generator)
    deep = dreaming(DreamRec(shape, Schedule.of("cosine", 2000), "mlp2"), generator)
    about = Description("tiny-oracle", "Forty invented films and untrained oracles, for tests", made_by("tiny-oracle models/tiny-oracle"))
    bundle = BundleWriter(folder, about.name, about.description)
    bundle.catalog(catalog)
    add(bundle, affine, cold, name="affine", neighbours="cosine")
    add(bundle, deep, cold, name="mlp2", prefix="mlp2.")
    bundle.q_network("value", encoder="affine", output="items", weight=0.5)
    complete(bundle, about, {"affine": affine, "mlp2": deep})


def write_tiny_values(folder: Path) -> None:
    """Three untrained Q-networks: `mcrl` with a graph and rows that are read, too, `separate` with rows of their own and a
    bias, `direct` whose graph values all items itself.
    """
    generator = np.random.default_rng(SEED)
    catalog, cold = invented(generator)
    shape = Shape(len(catalog), width=16, window=5)
    shared = untrained(shape, generator, BACKBONES["gru4rec"])
    separate = untrained(replace(shape, separate=True), generator, BACKBONES["caser"])
    made = made_by("tiny-values models/tiny-values")
    about = Description("tiny-values", "Forty invented films and untrained Q-networks, for tests", made)
    bundle = BundleWriter(folder, about.name, about.description)
    bundle.catalog(catalog)
    shared.by = "blend"
    add(bundle, shared, cold, neighbours="cosine")
    add(bundle, separate, cold, name="separate", prefix="separate.")
    bundle.graph("direct", *value_graph(untrained_layer(shape.width, len(catalog), generator), "direct.weights", "q_values"))
    bundle.q_network("direct", encoder="mcrl", graph="direct", weight=0.25)
    complete(bundle, about, {"mcrl": shared, "separate": separate})


def dreaming(network: DreamRec, generator: np.random.Generator) -> DreamRec:
    """The network with weights from `generator` alone; those of the denoiser keep its chains in bounds, and part of the noise."""
    draw(network, generator)
    width = network.shape.width
    with torch.no_grad():
        for layer in (*network.denoiser.tau.mlp, *network.denoiser.layers):
            if isinstance(layer, torch.nn.Linear):
                layer.weight.mul_(1 / layer.in_features**0.5)
        if network.denoiser.affine:
            network.denoiser.layers[0].weight[:, :width] += 0.7 * torch.eye(width)
        else:
            network.denoiser.layers[0].weight[:, :width] *= 4
            network.denoiser.layers[2].weight.mul_(3)
    network.guidance = 2.0
    return network.eval()


def invented(generator: np.random.Generator) -> tuple[Catalog, np.ndarray]:
    """The films, and which of them are cold."""
    titles, genres = films()
    cold = np.isin(np.arange(len(titles)), COLD)
    counts = np.where(cold, 0, generator.integers(1, 200, len(titles)))
    ids = [f"film-{number}" for number in generator.permutation(len(titles)) + 1]
    return Catalog(ids, titles, counts, {"genres": genres, "year": [year_of(title) for title in titles]}), cold


def made_by(command: str) -> dict:
    return {
        "licence": "MIT OR Apache-2.0",
        "credit": "The oneiro project; every title is invented",
        "data_set": "none: seeded random weights",
        "command": f"python -m oneiro_models {command}",
    }


def untrained(shape: Shape, generator: np.random.Generator, kind: type[Network] = SASRec) -> Network:
    """A network whose weights, LayerNorms included, come from `generator` alone."""
    network = kind(shape).eval()
    draw(network, generator)
    return network


def untrained_layer(width: int, outputs: int, generator: np.random.Generator) -> torch.nn.Linear:
    layer = torch.nn.Linear(width, outputs)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.copy_(torch.tensor(generator.normal(0, 0.5, weight.shape), dtype=torch.float32))
    return layer


def draw(network: Network, generator: np.random.Generator) -> None:
    with torch.no_grad():
        for name, weight in network.named_parameters():
            centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            values = generator.normal(centre, 0.5, weight.shape)
            weight.copy_(torch.tensor(values, dtype=torch.float32))
        network.items.weight[network.shape.items] = 0
