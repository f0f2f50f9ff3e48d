"""Free embeddings that minimise an expected loss under label noise, logged on the way."""

import logging
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from expected_losses import EXPECTED, label_chances, squared_distances
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from dmlbench.seeding import derive_seed

log = logging.getLogger(__name__)

#: What is simulated: the loss, and whether every anchor learns its boundary beta. Fixed, beta is
#: alpha, as in EPS section 4.1.
LOSSES = {"triplet": ("triplet", False), "margin": ("margin", False)}
LOSSES |= {"margin_learned": ("margin", True)}
KINDS = ("modes", "random", "collapsed")
MODES = 4  # two classes of two modes
LOGGED = 40  # steps, evenly spaced on a logarithmic axis
LEARNING_RATE = 0.1
SPREAD = 2.0  # of the centres, so that classes start two to three collapsed distances apart
IN_MODE = 0.2
IN_COLLAPSED_CLASS = 0.01


def _no_repeats(values: list) -> list:
    if len(set(values)) != len(values):
        raise ValueError("a value is named twice")
    return values


RightLabel = Annotated[float, Field(gt=0.5, le=1)]


class Settings(BaseModel):
    """What ``config.yaml`` says; lengths are in units of the root of the margin."""

    model_config = ConfigDict(extra="forbid")

    #: Chances that a point carries the label of its class.
    p: Annotated[list[RightLabel], Field(min_length=1), AfterValidator(_no_repeats)]
    #: Dimensions of the embedding.
    dimensions: Annotated[list[PositiveInt], Field(min_length=1), AfterValidator(_no_repeats)]
    #: Points of each of the four modes.
    points_per_mode: Annotated[int, Field(ge=2)]
    #: Starts of each kind.
    starts: PositiveInt
    #: Steps of gradient descent.
    steps: PositiveInt
    #: Where the margin loss's learned beta starts, in units of the margin.
    beta_start: PositiveFloat


def simulate(theory: Settings) -> pd.DataFrame:
    """Run every loss, dimension, noise level and start of the config, with EPS and without.

    A start's points are the same for every loss and noise level.

    Returns:
        One row for each simulation and logged step: loss, eps, dimension, p, kind (of start),
        start, step, the columns of :func:`measure`, value (the expected loss) and collapsed_value
        (the least that an embedding with collapsed classes has). Lengths are in units of
        sqrt(alpha).
    """
    tables = []
    for loss in LOSSES:
        for easy in (False, True):
            for dimension in theory.dimensions:
                tables.append(_simulate(theory, loss, easy, dimension))
                log.info("%s, eps=%s, dimension %d: done", loss, easy, dimension)
    return pd.concat(tables, ignore_index=True)


def _simulate(theory: Settings, loss: str, easy: bool, dimension: int) -> pd.DataFrame:
    """All noise levels and starts of one loss and dimension, side by side."""
    drawn = [(kind, start) for kind in KINDS for start in range(theory.starts)]
    first = torch.stack([start_points(*key, theory.points_per_mode, dimension) for key in drawn])
    points = first.repeat(len(theory.p), 1, 1)  # p outermost: S = len(p) * len(drawn)
    p = torch.tensor(theory.p).repeat_interleave(len(drawn))
    keys = pd.DataFrame(
        [(p, *key) for p in theory.p for key in drawn], columns=["p", "kind", "start"]
    )
    keys["collapsed_value"] = keys["p"].map(
        {p: collapsed_value(loss, easy, p, points.shape[1]) for p in theory.p}
    )
    keys.insert(0, "dimension", dimension)
    keys.insert(0, "eps", easy)
    keys.insert(0, "loss", loss)
    tables = [
        keys.assign(step=step, value=values.numpy(), **measure(now))
        for step, now, values in descend(loss, easy, points, p, theory.steps, theory.beta_start)
    ]
    return pd.concat(tables, ignore_index=True)


def start_points(kind: str, start: int, points_per_mode: int, dimension: int) -> torch.Tensor:
    """The points a simulation starts from, modes one after the other, class 0 first.

    Args:
        kind: ``modes`` (each mode a cloud around a centre of its own), ``random`` (no structure)
            or ``collapsed`` (each class a tiny cloud).
        start: Number of the start.
        points_per_mode: Points of each of the four modes.
        dimension: d of the embedding.

    Returns:
        n x d with n = 4 * points_per_mode.
    """
    seed = derive_seed("theory", kind, start, points_per_mode, dimension)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(MODES * points_per_mode, dimension, generator=generator)
    centres = torch.randn(MODES, dimension, generator=generator)
    if kind == "random":
        points = SPREAD * noise
    elif kind == "modes":
        points = SPREAD * centres.repeat_interleave(points_per_mode, 0) + IN_MODE * noise
    else:
        of_class = centres[:2].repeat_interleave(2 * points_per_mode, 0)
        points = SPREAD * of_class + IN_COLLAPSED_CLASS * noise
    return points / dimension**0.5  # lengths do not grow with the dimension


def descend(
    loss: str, easy: bool, points: torch.Tensor, p: torch.Tensor, steps: int, beta_start: float
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Minimise the expected loss from ``points`` by Adam, its rate falling linearly to zero.

    Args:
        loss: A key of ``LOSSES``.
        easy: With EPS.
        points: S x n x d, not changed.
        p: S chances that a label is right.
        steps: Number of steps.
        beta_start: Where a learned beta starts, in units of alpha.

    Yields:
        At the logged steps, the first and the last among them: step, points (S x n x d) and
        expected losses (S).
    """
    kind, learned = LOSSES[loss]
    expected = EXPECTED[kind, easy]
    points = points.clone().requires_grad_()
    beta = torch.full(points.shape[:2], beta_start if learned else 1.0).requires_grad_(learned)
    chances = label_chances(p, points.shape[1])
    optimizer = torch.optim.Adam([points, beta] if learned else [points], LEARNING_RATE)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    logged = {0, *np.geomspace(1, steps, LOGGED).round().astype(int).tolist()}
    for step in range(steps + 1):
        values = expected(squared_distances(points), chances, beta)
        if step in logged:
            yield step, points.detach().clone(), values.detach()
        if step < steps:
            optimizer.zero_grad()
            values.sum().backward()
            optimizer.step()
            rate.step()


def measure(points: torch.Tensor) -> dict[str, np.ndarray]:
    """Lengths in an embedding of two classes with two modes each.

    Args:
        points: S x n x d, ordered as :func:`start_points` gives them.

    Returns:
        Arrays of S: diameter_min and diameter_max (of the two classes, EPS definition 1.1), gap
        (between the classes, definition 1.2), mode_diameter (mean over modes), mode_distance
        (between the centres of a class's modes, mean over classes).
    """
    batch, n, _ = points.shape
    between = squared_distances(points).sqrt()
    by_class = between.view(batch, 2, n // 2, 2, n // 2)
    diameters = torch.stack([by_class[:, c, :, c].amax((1, 2)) for c in (0, 1)])
    by_mode = between.view(batch, MODES, n // MODES, MODES, n // MODES)
    in_mode = torch.stack([by_mode[:, m, :, m].amax((1, 2)) for m in range(MODES)])
    centres = points.view(batch, 2, 2, n // MODES, -1).mean(3)
    lengths = {
        "diameter_min": diameters.amin(0),
        "diameter_max": diameters.amax(0),
        "gap": by_class[:, 0, :, 1].amin((1, 2)),
        "mode_diameter": in_mode.mean(0),
        "mode_distance": (centres[:, :, 0] - centres[:, :, 1]).norm(dim=2).mean(1),
    }
    return {name: length.numpy() for name, length in lengths.items()}


def collapsed_value(loss: str, easy: bool, p: float, n: int) -> float:
    """The least expected loss when each class is one point, over their distance and beta.

    The loss is piecewise linear in squared distance and beta, with all its corners at multiples of
    alpha, so that trying those is exact.
    """
    kind, learned = LOSSES[loss]
    betas = torch.arange(-1.0, 5.0) if learned else torch.ones(1)
    distance, beta = torch.cartesian_prod(torch.arange(0.0, 5.0), betas).double().unbind(1)
    other = torch.ones(n // 2, n // 2, dtype=torch.float64)
    apart = torch.block_diag(other, other) == 0
    values = EXPECTED[kind, easy](
        distance[:, None, None] * apart,
        label_chances(torch.full_like(distance, p), n),
        beta[:, None].expand(-1, n),
    )
    return values.min().item()
