"""Tuples of a batch by a positive and a negative choice, or by a library's miner."""

import torch

from dmlbench.errors import ConfigError
from dmlbench.plugins.entries import build_object
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.choice import NegativeChoice, PositiveChoice
from dmlbench.samplers.tuples import PairSets, Triplets, Tuples


class TupleSampler:
    """Positives, then negatives, for each anchor that has both in the batch.

    An anchor takes no part without a positive or a negative: its class has one image, the batch has
    one class, or a mining rule kept none. Of two copies of an image neither is a positive of the
    other. NaN embeddings give tuples without meaning, never an error: the loss is NaN then.
    """

    def __init__(self, positive: PositiveChoice, negative: NegativeChoice) -> None:
        self.positive = positive
        self.negative = negative

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tuples:
        """Triplets, where the negative choice takes one for each positive pair; else pair sets."""
        with torch.autocast(batch.embeddings.device.type, enabled=False):
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


class MinerSampler:
    """Calls ``miner(embeddings, labels)`` as pytorch-metric-learning does and takes what it gives.

    Miners draw from the global random stream, which is seeded from the batch's own for each call;
    copies of an image are positives to them.
    """

    def __init__(self, miner: torch.nn.Module) -> None:
        self.miner = miner

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tuples:
        """Triplets of a miner that gives three tensors, pair sets of one that gives four.

        Anything else is a ConfigError. NaN embeddings are not mined: no miner says what it does.
        """
        if not batch.embeddings.isfinite().all():
            none = batch.labels[:0]
            return Triplets(none, none, none, none.bool())
        seed = torch.randint(2**31, (1,), generator=batch.generator, device=batch.generator.device)
        whole = torch.autocast(batch.embeddings.device.type, enabled=False)
        with torch.random.fork_rng(), whole:
            torch.manual_seed(seed.item())
            mined = self.miner(batch.embeddings.detach(), batch.labels)
        if problem := _problem(mined, len(batch.labels)):
            raise ConfigError(f"the miner {type(self.miner).__name__} gave {problem}")
        if len(mined) == 3:
            return Triplets(*mined, torch.ones_like(mined[0], dtype=torch.bool))
        positives, negatives = (torch.zeros_like(batch.negatives) for _ in range(2))
        positives[mined[0], mined[1]] = True
        negatives[mined[2], mined[3]] = True
        return PairSets(positives, negatives)


def _problem(mined: object, size: int) -> str:
    """What is wrong with a miner's answer, if anything."""
    if not isinstance(mined, tuple) or len(mined) not in (3, 4):
        return f"{type(mined).__name__}, not the three tensors of triplets or the four of pairs"
    if any(not isinstance(m, torch.Tensor) or m.dtype != torch.long or m.dim() != 1 for m in mined):
        return "something else than vectors of whole numbers (torch.long)"
    lengths = [len(m) for m in mined]
    if lengths[0] != lengths[1] or lengths[-1] != lengths[-2]:
        return f"vectors of {lengths} numbers, which are no tuples"
    if any(len(m) and not 0 <= m.min() <= m.max() < size for m in mined):
        return f"positions outside the batch of {size}"
    return ""


def build_sampler(spec: dict) -> TupleSampler | MinerSampler | None:
    """The sampler of a resolved config entry; None where it only composes batches."""
    if spec["miner"]:
        return MinerSampler(build_object("miner", spec["miner"]))
    if not spec["positive"]:
        return None
    return TupleSampler(*(build_object(kind, spec[kind]) for kind in ("positive", "negative")))
