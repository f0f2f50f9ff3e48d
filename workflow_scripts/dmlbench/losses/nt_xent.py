"""NT-Xent: cross-entropy of one positive pair among an anchor's negatives."""

import torch
import torch.nn.functional as F

from dmlbench.losses.base import TupleLoss, register_loss
from dmlbench.plugins.types import Temperature
from dmlbench.samplers.batch import Batch, Tuples


@register_loss("nt_xent", takes="tuples", label="NT-Xent")
class NTXent(TupleLoss):
    """NT-Xent: -log(exp(S_ap / T) / (exp(S_ap / T) + sum over N of exp(S_an / T))).

    One term for each positive pair of an anchor, against that anchor's chosen negatives N; S is the
    cosine similarity. The mean is over the positive pairs. Chen et al. 2020 (SimCLR), equation 1,
    with labels; pytorch-metric-learning's NTXentLoss is the same (T = 0.07 there).

    With all positives and negatives and two images of each class it is the pairwise cross-entropy
    of Hyp-ViT's sphere (Ermolov et al. 2022; their code adds up both directions, which is twice
    the mean). With more images their negatives of a pair are those of two images of each other
    class, here all of them. T = 0.1 is assumed for their sphere: the paper could not be read.

    With ``easy`` positives and ``hardest_semihard`` negatives it is EPSHN, with ``hard`` ones EPHN
    (Xuan et al. 2020); T = 0.1 is that of their code. Besides, it leaves out anchors whose positive
    or negative has a similarity below 0.
    """

    def __init__(self, *, temperature: Temperature = 0.1, **sizes: int) -> None:
        """``temperature`` is T."""
        super().__init__(**sizes)
        self.temperature = temperature

    def terms(self, batch: Batch, tuples: Tuples) -> tuple[torch.Tensor, torch.Tensor]:
        """B^2 terms, one for each pair of the batch; the positive pairs count."""
        sets = tuples.pair_sets(len(batch.labels))
        logits = self.similarities(batch) / self.temperature
        against = logits.masked_fill(~sets.negatives, -torch.inf).logsumexp(dim=1, keepdim=True)
        # The softmax of two, without the difference of large numbers. Flat: no term is a triplet.
        return F.softplus(against - logits).flatten(), sets.positives.flatten()

    def similarities(self, batch: Batch) -> torch.Tensor:
        """B x B: how alike the images are."""
        return batch.similarities
