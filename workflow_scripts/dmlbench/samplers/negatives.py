"""How an anchor's negatives are chosen."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from dmlbench.plugins.types import NonNegativeFloat, PositiveFloat, Share
from dmlbench.samplers.batch import Batch, Triplets
from dmlbench.samplers.sampler import NegativeChoice, or_else, register_negative, sample_one

#: Taken from the logarithm of a weight: more for the anchor's own class than for far negatives.
_FAR, _SAME_CLASS = 1e6, 1e9
#: A distance of unit vectors at which float32 holds the density's logarithm.
Cutoff = Annotated[float, Field(ge=1e-4, lt=1.99, strict=True)]


@register_negative("all", chooses="set", label="all neg.", words="all negatives")
class AllNegatives(NegativeChoice):
    """Every image of another class."""

    def __call__(self, batch: Batch, positives: torch.Tensor) -> torch.Tensor:
        return batch.negatives


@register_negative("random", chooses="one", label="", words="")
class RandomNegative(NegativeChoice):
    """Uniform among all images of other classes."""

    def __call__(self, batch: Batch, anchor: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        return sample_one(batch.negatives, anchor, batch.generator)


@register_negative("hard", chooses="one", label="hard neg.", words="hardest negatives")
class HardNegative(NegativeChoice):
    """The nearest image of another class (Hermans et al. 2017, batch hard)."""

    def __call__(self, batch: Batch, anchor: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        return batch.distances.masked_fill(~batch.negatives, torch.inf).min(dim=1).indices[anchor]


@register_negative("semihard", chooses="one", label="SH", words="semi-hard negatives")
class SemihardNegative(NegativeChoice):
    """Uniform among the negatives a little farther than the positive.

    FaceNet (Schroff et al. 2015, section 3.2): d(a,p) < d(a,n) < d(a,p) + margin, on plain
    distances. A pair that has none gets a random negative, as in Roth et al. 2020. In
    pytorch-metric-learning, TripletMarginMiner lists the whole band and BatchEasyHardMiner takes
    the hardest negative beyond the positive.
    """

    def __init__(self, *, margin: PositiveFloat = 0.2) -> None:
        """``margin`` is the width of the band."""
        self.margin = margin

    def __call__(self, batch: Batch, anchor: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        distances = batch.distances.detach()[anchor]  # T x B
        near = distances.gather(1, positive[:, None])
        negatives = batch.negatives[anchor]
        band = negatives & (distances > near) & (distances < near + self.margin)
        rows = torch.arange(len(anchor), device=anchor.device)
        return sample_one(or_else(band, negatives), rows, batch.generator)


@register_negative(
    "hardest_semihard", chooses="one", label="hardest SH", words="hardest semi-hard negatives"
)
class HardestSemihardNegative(NegativeChoice):
    """The nearest negative that is not nearer than the positive.

    The hard and semi-hard negative of Xuan et al. 2020 (EPSHN with ``easy`` positives). A pair that
    has none takes no part, as in their code. BatchEasyHardMiner("easy", "semihard") of
    pytorch-metric-learning takes the same, but none that is exactly as near as the positive.
    """

    def __call__(self, batch: Batch, anchor: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        distances = batch.distances.detach()[anchor]  # T x B
        nearer = distances < distances.gather(1, positive[:, None])
        others = distances.masked_fill(nearer | ~batch.negatives[anchor], torch.inf)
        nearest = others.min(dim=1)
        return nearest.indices.masked_fill(nearest.values == torch.inf, -1)


@register_negative("softhard", chooses="one", label="SoftH", words="soft-hard")
class SofthardNegative(NegativeChoice):
    """Uniform among the negatives nearer than the anchor's farthest positive.

    The counterpart of ``softhard`` positives; Roth et al. 2020. An anchor that has none gets a
    random negative.
    """

    def __call__(self, batch: Batch, anchor: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        farthest = batch.distances.masked_fill(~batch.positives, -torch.inf).amax(1, keepdim=True)
        candidates = or_else(batch.negatives & (batch.distances < farthest), batch.negatives)
        return sample_one(candidates, anchor, batch.generator)


@register_negative(
    "distance",
    chooses="one",
    label="DW",
    words="distance-weighted negatives",
    needs_normalized=True,
)
class DistanceWeightedNegative(NegativeChoice):
    """Drawn with the inverse of the density of distances on the sphere.

    Wu et al. 2017, section 4.1: log w(d) = (2 - n) log d - (n - 3)/2 log(1 - d^2/4) for unit
    vectors of dimension n. Distances below ``cutoff`` count as ``cutoff``; negatives at
    ``upper_cutoff`` or farther get no weight. Each row is scaled by its own largest weight: with
    the largest of the batch (pytorch-metric-learning 2.9.0), one near pair makes all other rows
    underflow, and their anchors are lost. An anchor whose negatives all lie beyond
    ``upper_cutoff`` gets a random one of them; the reference code draws from the whole batch.
    """

    def __init__(self, *, cutoff: Cutoff = 0.5, upper_cutoff: NonNegativeFloat = 1.4) -> None:
        self.cutoff = cutoff
        self.upper_cutoff = upper_cutoff

    def __call__(self, batch: Batch, anchor: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        return sample_one(self.weights(batch), anchor, batch.generator)

    def weights(self, batch: Batch) -> torch.Tensor:
        """B x B weights, the largest of a row 1; those of the anchor's own class are zero."""
        dim = batch.embeddings.shape[1]
        # Beyond the upper cut-off all count alike; a row without a nearer one draws from them. The
        # density's logarithm diverges at 2, the diameter.
        d = batch.distances.detach()
        clamped = d.clamp(self.cutoff, max(self.cutoff, min(self.upper_cutoff, 1.99)))
        # log(1 - d^2/4) is log(4 - d^2) less a constant.
        log_weights = (2 - dim) * clamped.log() - (dim - 3) / 2 * (4 - clamped.square()).log()
        log_weights = log_weights - _FAR * (d >= self.upper_cutoff)
        log_weights = log_weights.masked_fill(batch.same_class, -_SAME_CLASS)
        return (log_weights - log_weights.amax(dim=1, keepdim=True)).exp()


@register_negative(
    "rho_distance",
    chooses="one",
    label="rho-DW",
    words="distance-weighted negatives, some of them swapped for positives",
    needs_normalized=True,
)
class RhoDistanceNegative(DistanceWeightedNegative):
    """Distance-weighted negatives, of which a share is swapped for images of the anchor's class.

    The rho-regularisation of Roth et al. 2020: it keeps images of a class from falling together.
    With probability ``swap`` a triplet's negative is a random other image of the anchor's class (no
    copy of it), and its positive is the anchor itself, as in their code: the loss then pushes only.
    Were the positive kept, a class with two images in the batch would push the pair that it pulls.
    Their code draws once for each anchor, here for each triplet. Its default is 0.2; their runs
    have 0.4 (CUB-200-2011) and 0.35 (Cars196). It cuts nothing at the far end, hence
    ``upper_cutoff``.
    """

    def __init__(
        self,
        *,
        swap: Share = 0.2,
        cutoff: Cutoff = 0.5,
        upper_cutoff: NonNegativeFloat = 2.0,
    ) -> None:
        """``swap`` is the share that is swapped; for the others see ``distance``."""
        super().__init__(cutoff=cutoff, upper_cutoff=upper_cutoff)
        self.swap = swap

    def __call__(self, batch: Batch, anchor: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        negative = super().__call__(batch, anchor, positive)
        instead = sample_one(batch.positives, anchor, batch.generator)
        chance = torch.rand(len(anchor), generator=batch.generator, device=anchor.device)
        return torch.where(chance < self.swap, instead, negative)

    def positives(self, batch: Batch, triplets: Triplets) -> torch.Tensor:
        """The anchor itself, where the negative is of its class."""
        same = batch.labels[triplets.anchor] == batch.labels[triplets.negative]
        return torch.where(same, triplets.anchor, triplets.positive)


@register_negative("multi_similarity", chooses="set", label="mining", words="MS mining")
class MultiSimilarityNegatives(NegativeChoice):
    """The negatives more similar than the least similar positive, by a margin.

    Wang et al. 2019 (Multi-Similarity), equation 7: S_an > min over positives of S_ap - epsilon,
    on cosine similarities.
    """

    def __init__(
        self, *, epsilon: NonNegativeFloat = 0.1, relative_to: Literal["all", "chosen"] = "all"
    ) -> None:
        """``relative_to``: the least similar of ``all`` positives, or of the ``chosen`` ones.

        EPS with Multi-Similarity uses "the same hard-negative method" (EPS, section 5.2.3), which
        is ``all``; with ``chosen`` the easy positive is the bound.
        """
        self.epsilon = epsilon
        self.relative_to = relative_to

    def __call__(self, batch: Batch, positives: torch.Tensor) -> torch.Tensor:
        bound = batch.positives if self.relative_to == "all" else positives
        easiest = batch.similarities.masked_fill(~bound, torch.inf).amin(dim=1, keepdim=True)
        return batch.negatives & (batch.similarities + self.epsilon > easiest)
