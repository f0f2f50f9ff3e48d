"""How an anchor's negative is chosen."""

import torch

from dmlbench.config.types import NonNegativeFloat, PositiveFloat
from dmlbench.samplers.choice import Batch, NegativeChoice, draw, register_negative


@register_negative("random")
class RandomNegative(NegativeChoice):
    """Uniform among all images of other classes."""

    def __call__(self, batch: Batch, positive: torch.Tensor) -> torch.Tensor:
        return draw(batch.negatives.float(), batch.generator)


@register_negative("semihard")
class SemihardNegative(NegativeChoice):
    """Uniform among the negatives a little farther than the positive.

    FaceNet (Schroff et al. 2015, section 3.2): d(a,p) < d(a,n) < d(a,p) + margin, on plain
    distances. An anchor that has none gets a random negative, as in Roth et al. 2020.
    """

    def __init__(self, *, margin: PositiveFloat = 0.2) -> None:
        """``margin`` is the width of the band."""
        self.margin = margin

    def __call__(self, batch: Batch, positive: torch.Tensor) -> torch.Tensor:
        near = batch.distances.gather(1, positive[:, None])  # B x 1
        band = (batch.distances > near) & (batch.distances < near + self.margin)
        candidates = band & batch.negatives
        none = ~candidates.any(dim=1, keepdim=True)
        return draw(torch.where(none, batch.negatives, candidates).float(), batch.generator)


@register_negative("distance", needs_normalized=True)
class DistanceWeightedNegative(NegativeChoice):
    """Drawn with the inverse of the density of distances on the sphere.

    Wu et al. 2017, section 4.1: log w(d) = (2 - n) log d - (n - 3)/2 log(1 - d^2/4) for unit
    vectors of dimension n. Distances below ``cutoff`` count as ``cutoff``; negatives at
    ``upper_cutoff`` or farther get no weight. Each row is scaled by its own largest weight: with
    the largest of the batch, one near pair makes all other rows underflow. An anchor whose
    negatives all lie beyond ``upper_cutoff`` gets a random negative.
    """

    def __init__(
        self, *, cutoff: PositiveFloat = 0.5, upper_cutoff: NonNegativeFloat = 1.4
    ) -> None:
        """Set the distances between which weights follow the density."""
        self.cutoff = cutoff
        self.upper_cutoff = upper_cutoff

    def __call__(self, batch: Batch, positive: torch.Tensor) -> torch.Tensor:
        weights = self.weights(batch)
        none = weights.sum(dim=1, keepdim=True) == 0
        return draw(torch.where(none, batch.negatives.float(), weights), batch.generator)

    def weights(self, batch: Batch) -> torch.Tensor:
        """B x B weights; the largest of a row is 1, a row without valid negatives is all 0."""
        # Above 1.99 the density's logarithm diverges at 2, the diameter.
        d = batch.distances.clamp(self.cutoff, 1.99)
        log_weights = (2 - batch.dim) * d.log() - (batch.dim - 3) / 2 * (1 - d.square() / 4).log()
        valid = batch.negatives & (batch.distances < self.upper_cutoff)
        log_weights = log_weights.masked_fill(~valid, -torch.inf)
        largest = log_weights.amax(dim=1, keepdim=True)
        # A row of -inf minus -inf would be NaN.
        return (log_weights - torch.where(largest.isinf(), 0.0, largest)).exp()
