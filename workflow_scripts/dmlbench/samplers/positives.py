"""How an anchor's positive is chosen."""

import torch

from dmlbench.samplers.choice import Batch, PositiveChoice, draw, register_positive


@register_positive("random")
class RandomPositive(PositiveChoice):
    """Uniform among the other images of the anchor's class."""

    def __call__(self, batch: Batch) -> torch.Tensor:
        return draw(batch.positives.float(), batch.generator)


@register_positive("easy")
class EasyPositive(PositiveChoice):
    """Easy Positive Sampling: the nearest other image of the anchor's class.

    EPS, section 4: p_a = argmin over t in C_a of ||f(t) - f(a)||. C_a excludes the anchor and any
    second copy of its image, which would be at distance zero and teach nothing. Of equally near
    ones the first in the batch is taken; the batch is in random order.
    """

    def __call__(self, batch: Batch) -> torch.Tensor:
        return batch.distances.masked_fill(~batch.positives, torch.inf).argmin(dim=1)
