"""Hyperbolic loss: NT-Xent with distances in the Poincare ball."""

from typing import Annotated

import torch
from pydantic import Field

from dmlbench.errors import ConfigError
from dmlbench.losses.base import register_loss
from dmlbench.losses.nt_xent import NTXent
from dmlbench.plugins.types import PositiveFloat, Temperature
from dmlbench.samplers.batch import Batch, pairwise_distances

#: The most that sqrt(curvature) * clip may be: at 20 a point is 3e-35 of the ball from its border.
_FARTHEST = 20.0


@register_loss("hyperbolic", takes="tuples", label="Hyperbolic", needs_lengths=True)
class Hyperbolic(NTXent):
    """NT-Xent with S = -D, the distance in the Poincare ball of curvature -c.

    Ermolov et al. 2022 (Hyp-ViT), equations 1 to 6: an embedding is scaled down to length ``clip``
    where it is longer, taken into the ball by the exponential map at the origin,
    z = tanh(sqrt(c) |x|) x / (sqrt(c) |x|), and compared there by
    D(z, w) = arccosh(1 + 2 c |z - w|^2 / ((1 - c |z|^2) (1 - c |w|^2))) / sqrt(c).
    Embeddings must keep their lengths in training (recipe ``normalize: evaluation`` or ``false``).
    Their result is measured before the head, by cosine (``evaluation: {body: true}``). After the
    head they measure D; ``normalize: evaluation`` takes the angle, which ranks alike where all
    embeddings are clipped. ``easy`` and other choices of a sampler go by plain distances.
    """

    def __init__(
        self,
        *,
        curvature: Annotated[float, Field(gt=0, le=100, strict=True)] = 0.1,
        clip: PositiveFloat = 2.3,
        temperature: Temperature = 0.2,
        **sizes: int,
    ) -> None:
        """``curvature`` is c, ``clip`` the greatest length, ``temperature`` T.

        A ConfigError says that sqrt(curvature) * clip is above 20.
        """
        super().__init__(temperature=temperature, **sizes)
        if curvature**0.5 * clip > _FARTHEST:
            raise ConfigError(
                f"hyperbolic: sqrt(curvature) * clip should be at most {_FARTHEST:g} (got "
                f"{curvature**0.5 * clip:.3g}): points come too near to the border of the ball"
            )
        self.curvature = curvature
        self.clip = clip

    def similarities(self, batch: Batch) -> torch.Tensor:
        return -poincare_distances(batch.embeddings, self.curvature, self.clip)


def poincare_distances(embeddings: torch.Tensor, curvature: float, clip: float) -> torch.Tensor:
    """Distances of all pairs of B x D embeddings in the ball: B x B, zero on the diagonal.

    By the hyperbolic law of cosines, for lengths u, v (times sqrt(c)) and the angle t between them:
    sinh^2(sqrt(c) D / 2) = sinh^2(u - v) + sinh(2 u) sinh(2 v) sin^2(t / 2). It is the formula with
    arccosh, without its differences: 1 - c |z|^2 loses all digits near the border, and arccosh near
    1. Computed in float64 up to that square. Points that coincide are at distance zero, with
    gradient zero (:func:`pairwise_distances` says when they do).
    """
    wide = embeddings.double()
    root = curvature**0.5
    lengths = torch.linalg.vector_norm(wide, dim=1)
    # An embedding of length zero has no direction; whatever it is, it is taken times zero.
    directions = wide / lengths.clamp(min=torch.finfo(embeddings.dtype).tiny)[:, None]
    u = root * lengths.clamp(max=clip)
    outward = torch.sinh(2 * u)
    across = outward[:, None] * outward * pairwise_distances(directions).square() / 4
    # No digits are lost from here on.
    square = (torch.sinh(u[:, None] - u).square() + across).to(embeddings.dtype)
    equal = square <= 0
    return 2 / root * square.masked_fill(equal, 1).sqrt().asinh().masked_fill(equal, 0)
