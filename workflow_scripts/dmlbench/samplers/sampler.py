"""Samplers: a choice of positives and one of negatives, or a library's miner."""

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
import torch.nn.functional as F

from dmlbench.errors import ConfigError
from dmlbench.plugins.entries import build_object
from dmlbench.plugins.registry import REGISTRIES
from dmlbench.samplers.batch import Batch, PairSets, Triplets, Tuples

#: Weights are counted in steps of this: sums of them are exact, and the same on any device.
_STEPS = 2.0**30

register_positive = REGISTRIES["positive"].register
register_negative = REGISTRIES["negative"].register


class PositiveChoice(ABC):
    """Chooses one positive for each anchor, or a set (``chooses``)."""

    @abstractmethod
    def __call__(self, batch: Batch) -> torch.Tensor:
        """For ``one``, B positions; for ``set``, a B x B mask.

        What is chosen for an anchor without any positive is ignored.
        """


class NegativeChoice(ABC):
    """Chooses one negative for each positive pair, or a set for each anchor (``chooses``)."""

    @abstractmethod
    def __call__(self, batch: Batch, *chosen: torch.Tensor) -> torch.Tensor:
        """For ``one``, T positions, -1 where the rule finds none; for ``set``, a B x B mask.

        What is chosen for an anchor without any negative is ignored. ``chosen`` are T anchors and
        their T positives, as positions, for ``one``; the B x B mask of positives for ``set``.
        """

    def positives(self, batch: Batch, triplets: Triplets) -> torch.Tensor:
        """The positives of chosen triplets, T positions, where this rule changes them too."""
        return triplets.positive


def or_else(mask: torch.Tensor, fallback: torch.Tensor) -> torch.Tensor:
    """An R x C mask, with the rows of ``fallback`` where its own mark nothing."""
    return mask | (fallback & ~mask.any(dim=1, keepdim=True))


def sample_one(
    weights: torch.Tensor, rows: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """A column for each of T ``rows``, drawn in proportion to that row's weights.

    ``weights`` are R x C, a mask, or numbers between 0 and 1; one below 2^-30 counts as zero, so
    the largest of a row should be 1. A row without weights gives any column.

    The cumulative sum of all rows is searched for a random number in the row's part of it. It is of
    integers: a sum of floats is not the same on every device and may fall where it should not.
    Nothing waits for a GPU.
    """
    columns = weights.shape[1]
    steps = weights if weights.dtype == torch.bool else weights * _STEPS
    sums = steps.long().flatten().cumsum(0)
    ends = F.pad(sums[columns - 1 :: columns], (1, 0))  # of the rows
    before = ends.index_select(0, rows)
    total = ends[1:].index_select(0, rows) - before
    uniform = torch.rand(len(rows), generator=generator, dtype=torch.float64, device=rows.device)
    found = torch.searchsorted(sums, before.add_(uniform.mul_(total).long()), right=True)
    return found.sub_(rows, alpha=columns).clamp_(0, columns - 1)


class TupleSampler:
    """Positives, then negatives, for each anchor that has both in the batch.

    An anchor takes no part without a positive or a negative: its class has one image, the batch has
    one class, or a mining rule kept none. Two copies of an image are no positives of each
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
        negative = self.negative(batch, anchor, positive)
        valid = valid & (negative >= 0)
        triplets = Triplets(anchor, positive, negative.clamp(min=0), valid)
        return replace(triplets, positive=self.negative.positives(batch, triplets))

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
    """What is wrong with a miner's answer; empty where nothing is."""
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
