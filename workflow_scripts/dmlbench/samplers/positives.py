"""How an anchor's positives are chosen."""

import torch

from dmlbench.plugins.types import NonNegativeFloat
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.sampler import PositiveChoice, or_else, register_positive, sample_one


@register_positive("all", chooses="set", label="all pos.", words="all positives")
class AllPositives(PositiveChoice):
    """Every other image of the anchor's class."""

    def __call__(self, batch: Batch) -> torch.Tensor:
        return batch.positives


@register_positive("random", chooses="one", label="", words="")
class RandomPositive(PositiveChoice):
    """Uniform among the other images of the anchor's class."""

    def __call__(self, batch: Batch) -> torch.Tensor:
        return sample_one(batch.positives, batch.positions, batch.generator)


@register_positive("easy", chooses="one", label="EPS", words="easy positives")
class EasyPositive(PositiveChoice):
    """Easy Positive Sampling: the nearest other image of the anchor's class.

    EPS, section 4.3: p_a = argmin over t in C_a of ||f(t) - f(a)||. C_a excludes the anchor and any
    second copy of its image, which would be at distance zero and teach nothing
    (pytorch-metric-learning takes the copy). The first of equally near ones is taken; the batch is
    in random order.
    """

    def __call__(self, batch: Batch) -> torch.Tensor:
        return batch.distances.masked_fill(~batch.positives, torch.inf).min(dim=1).indices


@register_positive("hard", chooses="one", label="hard pos.", words="hardest positives")
class HardPositive(PositiveChoice):
    """The farthest image of the anchor's class (Hermans et al. 2017, batch hard)."""

    def __call__(self, batch: Batch) -> torch.Tensor:
        return batch.distances.masked_fill(~batch.positives, -torch.inf).max(dim=1).indices


@register_positive("softhard", chooses="one", label="SoftH", words="soft-hard")
class SofthardPositive(PositiveChoice):
    """Uniform among the positives farther than the anchor's nearest negative.

    One of two readings of "the sampling strategy was done also on the positive part" (EPS, section
    5.2.3): that of Roth et al. 2020, with negatives chosen likewise. The other is a random positive
    with semi-hard negatives. An anchor that has none gets a random positive.
    """

    def __call__(self, batch: Batch) -> torch.Tensor:
        nearest = batch.distances.masked_fill(~batch.negatives, torch.inf).amin(dim=1, keepdim=True)
        candidates = or_else(batch.positives & (batch.distances > nearest), batch.positives)
        return sample_one(candidates, batch.positions, batch.generator)


@register_positive("multi_similarity", chooses="set", label="mining", words="MS mining")
class MultiSimilarityPositives(PositiveChoice):
    """The positives less similar than the most similar negative, by a margin.

    Wang et al. 2019 (Multi-Similarity), equation 8: S_ap < max over negatives of S_an + epsilon, on
    cosine similarities. Copies of the anchor's image are no positives; the released code leaves out
    every positive more similar than 1 - 1e-5 instead, and crashes where that leaves none.
    """

    def __init__(self, *, epsilon: NonNegativeFloat = 0.1) -> None:
        self.epsilon = epsilon

    def __call__(self, batch: Batch) -> torch.Tensor:
        similarities = batch.similarities
        hardest = similarities.masked_fill(~batch.negatives, -torch.inf).amax(dim=1, keepdim=True)
        return batch.positives & (similarities - self.epsilon < hardest)
