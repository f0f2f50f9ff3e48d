"""A miner of pytorch-metric-learning, or of one's own, in the place of both choices."""

import torch

from dmlbench.errors import ConfigError
from dmlbench.plugins.objects import build_object
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.tuples import PairSets, Triplets, Tuples
from dmlbench.tensors.distances import full_precision


class MinerSampler:
    """Calls ``miner(embeddings, labels)`` as pytorch-metric-learning does and takes what it gives.

    Miners draw from the global random stream, which is seeded from the batch's own for each call;
    copies of an image are positives to them.
    """

    def __init__(self, miner: torch.nn.Module) -> None:
        """Set the miner."""
        self.miner = miner

    @classmethod
    def from_spec(cls, spec: dict) -> "MinerSampler":
        """The miner that a config names by its class path."""
        return cls(build_object("miner", spec))

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tuples:
        """Triplets of a miner that gives three tensors, pair sets of one that gives four.

        NaN embeddings are not mined: no miner says what it does with them.

        Raises:
            ConfigError: It gives something else.
        """
        if not batch.embeddings.isfinite().all():
            none = batch.labels[:0]
            return Triplets(none, none, none, none.bool())
        seed = torch.randint(2**31, (1,), generator=batch.generator, device=batch.generator.device)
        with torch.random.fork_rng(), full_precision(batch.embeddings.device):
            torch.manual_seed(seed.item())
            mined = self.miner(batch.embeddings.detach(), batch.labels)
        if problem := _problem(mined, len(batch.labels)):
            raise ConfigError(f"the miner {type(self.miner).__name__} gave {problem}")
        if len(mined) == 3:
            return Triplets(*mined, torch.ones_like(mined[0], dtype=torch.bool))
        return PairSets(_mask(batch, *mined[:2]), _mask(batch, *mined[2:]))


def _problem(mined: object, size: int) -> str:
    """What is wrong with a miner's answer; nothing if it is all right."""
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


def _mask(batch: Batch, anchor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    mask = torch.zeros_like(batch.negatives)
    mask[anchor, other] = True
    return mask
