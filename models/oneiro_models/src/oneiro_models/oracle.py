"""DreamRec's denoiser in a bundle: its part, its graph, and that they answer as PyTorch does (models/README.md, "Oracles")."""

import numpy as np
import torch
from torch import nn

from . import Problem
from .bundle import Bundle
from .diffusion import Collapse, Schedule
from .encoder import bundled_network
from .encoder.layers import dense
from .graph import Graph
from .inference import Oracle
from .networks import DreamRec
from .noise import gaussian

CHAINS = 2048
"""So many chains are run to see that they spread as the collapsed form says."""
SPREAD = 6.5
"""How many standard errors a mean or a covariance of theirs may be off: for 64 × 64 entries chance reaches about 4."""
TOLERANCE = 1e-4
"""How far the last x of two chains under the same noise may differ, relative to its largest value."""


def oracle_part(network: DreamRec) -> dict[str, np.ndarray]:
    """φ, the schedule and, of an affine denoiser, its tables and its collapsed chain."""
    schedule = network.schedule
    tensors = {"unconditional": network.unconditional.detach().numpy()}
    tensors |= {f"schedule.{name}": getattr(schedule, name) for name in ("x0", "x", "deviation", "signal")}
    if network.denoiser.affine:
        w_x, w_c, steps = (part.detach().numpy() for part in network.denoiser.split())
        whole = Collapse.of(schedule, w_x, w_c, steps)
        tensors |= {"affine.x": w_x, "affine.condition": w_c, "affine.steps": steps}
        tensors |= {f"collapsed.{name}": getattr(whole, name) for name in ("condition", "constant", "noise")}
    return {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}


def denoiser_graph(network: DreamRec, weights_file: str) -> tuple[bytes, bytes]:
    """The ONNX model of `x`, `condition` [B, d], `step` i64 [B] → `x0` [B, d], and its external data."""
    denoiser, width = network.denoiser, network.shape.width
    weights = {name: tensor.detach().numpy() for name, tensor in denoiser.state_dict().items()}
    graph = Graph("denoiser", weights_file)
    x, condition = (graph.input(name, np.float32, ["B", width]) for name in ("x", "condition"))
    step = graph.input("step", np.int64, ["B"])
    table = graph.constant("tau", denoiser.table().detach().numpy())
    joined = graph.node("Concat", [x, condition, graph.node("Gather", [table, step], "tau_t")], "joined", axis=1)
    if denoiser.affine:
        dense(graph, weights, "layers.0", joined, flat=True, output="x0")
    else:
        # gelu(x) = x/2·(1 + erf(x/√2)), in operators of every opset.
        inner = dense(graph, weights, "layers.0", joined, flat=True)
        half, root, one = (graph.constant(name, np.array(value, np.float32)) for name, value in CONSTANTS.items())
        erf = graph.node("Erf", [graph.node("Mul", [inner, root], "scaled")], "erf")
        halved = graph.node("Mul", [inner, half], "halved")
        hidden = graph.node("Mul", [halved, graph.node("Add", [erf, one], "erf_1")], "hidden")
        dense(graph, weights, "layers.2", hidden, flat=True, output="x0")
    graph.output("x0", np.float32, ["B", width])
    return graph.save()


CONSTANTS = {"half": 0.5, "root_half": 0.5**0.5, "unit": 1.0}


def bundled_oracle(bundle: Bundle, name: str) -> DreamRec:
    """The PyTorch network of a bundle's oracle, with the weights and tables that the bundle holds."""
    contract = bundle.manifest["oracles"][name]
    if "graph" not in contract:
        raise Problem(f"{bundle.folder}: oracle `{name}` has no graph to read its denoiser back from")
    encoder = bundled_network(bundle, contract["encoder"])
    part, (_, weights) = bundle.tensors(contract["part"]), bundle.graph(contract["graph"])
    schedule = Schedule(*(part[f"schedule.{table}"].astype(np.float64) for table in ("signal", "x0", "x", "deviation")))
    network = DreamRec(encoder.shape, schedule, "mlp2" if "layers.2.weight" in weights else "mlp1").eval()
    network.load_state_dict(encoder.state_dict(), strict=False)
    network.denoiser.tau = nn.Embedding.from_pretrained(torch.tensor(weights["tau"]))
    for layer, values in network.denoiser.layers.named_children():
        if isinstance(values, nn.Linear):
            values.weight.data = torch.tensor(weights[f"layers.{layer}.weight"]).T
            values.bias.data = torch.tensor(weights[f"layers.{layer}.bias"])
    network.unconditional.data = torch.tensor(part["unconditional"])
    network.guidance = contract["guidance"]
    return network


def check_oracle(bundle: Bundle, name: str, network: DreamRec) -> None:
    """Refuses a bundle whose denoiser, chain or collapsed chain is not the network's."""
    oracle, width, steps = Oracle(bundle, name), network.shape.width, len(network.schedule)
    part = oracle.part

    def same(what: str, found: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
        apart = float(np.abs(found - expected).max()) / max(float(np.abs(expected).max()), 1e-30)
        if not apart <= tolerance:  # NaN too
            raise Problem(f"oracle `{name}`: {what} differs from PyTorch by {apart:.2g} (allowed {tolerance:.0g})")

    generator = np.random.default_rng(0)
    states = torch.tensor(generator.normal(size=(4, width)), dtype=torch.float32)
    start = gaussian(np.arange(4), steps, 0, width)
    with torch.inference_mode():
        path: list[torch.Tensor] = []
        network.chain(states, torch.tensor(start), lambda t: torch.tensor(gaussian(np.arange(4), t, 0, width)), path)
        mean = network.chain(states, torch.zeros(4, width)).numpy()
        expected = path[-1].numpy()
        if not np.isfinite(expected).all():
            raise Problem(f"oracle `{name}`: the chain of {steps} steps runs away: is it trained, is the guidance too strong?")
        for t in {0, steps // 2, steps - 1}:
            step = np.full(4, t)
            x0 = oracle.graph.run(["x0"], {"x": start, "condition": states.numpy(), "step": step})[0]
            same(f"the graph at step {t}", x0, network.denoiser(torch.tensor(start), states, torch.tensor(step)).numpy(), 1e-5)
    if not network.denoiser.affine:
        return
    condition = network.guided(states).detach().numpy()
    chains = oracle.by_recurrence
    same("the recurrence under recorded noise", chains(states.numpy(), lambda t: gaussian(np.arange(4), t, 0, width)), expected)
    same("the collapsed mean", condition @ part["collapsed.condition"].T + part["collapsed.constant"], mean)
    spread = chains(np.repeat(states[:1].numpy(), CHAINS, 0), lambda t: generator.standard_normal((CHAINS, width), np.float32)) - mean[0]
    covariance = part["collapsed.noise"].astype(np.float64) @ part["collapsed.noise"].T
    variance, rounding = np.diag(covariance), 1e-5 * np.abs(mean).max()
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / CHAINS)
    off = np.abs(spread.mean(0)) / (np.sqrt(variance / CHAINS) + rounding)
    off_2 = np.abs(spread.T @ spread / CHAINS - covariance) / (error + rounding**2)
    if not max(off.max(), off_2.max()) <= SPREAD:
        raise Problem(
            f"oracle `{name}`: the mean of {CHAINS} chains is {off.max():.1f} standard errors off the collapsed one, "
            f"their covariance {off_2.max():.1f} (allowed {SPREAD})"
        )
