"""Tuples of a batch by a positive and a negative choice."""

import torch

from dmlbench.plugins.objects import build_object
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.choice import NegativeChoice, PositiveChoice
from dmlbench.samplers.miner import MinerSampler
from dmlbench.samplers.tuples import PairSets, Triplets, Tuples
from dmlbench.tensors.distances import full_precision


class TupleSampler:
    """Positives, then negatives, for each anchor that has both in the batch.

    An anchor that lacks one, because its class has one image, the batch one class, or a mining rule
    kept none, takes no part. Of two copies of an image neither is a positive of the other. NaN
    embeddings give tuples without meaning, never an error here: the loss is NaN then and tells.
    """

    def __init__(self, positive: PositiveChoice, negative: NegativeChoice) -> None:
        """Set the two choices."""
        self.positive = positive
        self.negative = negative

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tuples:
        """Triplets, where the negative choice takes one for each positive pair; else pair sets."""
        with full_precision(batch.embeddings.device):
            if self.negative.chooses == "set":
                return self._pair_sets(batch)
            return self._triplets(batch)

    def _triplets(self, batch: Batch) -> Triplets:
        has_negative = (batch.labels != batch.labels[:1]).any()  # all anchors have one, or none
        chosen = self.positive(batch)
        if self.positive.chooses == "set":
            # As many rows as pairs: the one case where the GPU has to be asked.
            entries = chosen.flatten().nonzero().squeeze(1)
            anchor = entries.div(len(chosen), rounding_mode="floor")
            positive = entries.sub_(anchor, alpha=len(chosen))
            valid = has_negative.expand_as(anchor)
        else:
            anchor, positive = batch.positions, chosen
            valid = batch.positives.any(dim=1) & has_negative
        return Triplets(anchor, positive, self.negative(batch, anchor, positive), valid)

    def _pair_sets(self, batch: Batch) -> PairSets:
        positives = self.positive(batch)
        if self.positive.chooses == "one":
            positives = batch.positives & (positives[:, None] == batch.positions[None, :])
        negatives = self.negative(batch, positives)
        usable = positives.any(dim=1, keepdim=True) & negatives.any(dim=1, keepdim=True)
        return PairSets(positives & usable, negatives & usable)


def build_sampler(spec: dict) -> "TupleSampler | MinerSampler | None":
    """The sampler of a resolved config entry; None where it only composes batches."""
    if spec["miner"]:
        return MinerSampler.from_spec(spec["miner"])
    if not spec["positive"]:
        return None
    return TupleSampler(*(build_object(kind, spec[kind]) for kind in ("positive", "negative")))
