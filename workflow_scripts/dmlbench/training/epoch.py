"""What an epoch's batches looked like: the diagnostics of history.csv, and the NaN check."""

import math

import torch

from dmlbench.decidability import Moments
from dmlbench.errors import TrainingError
from dmlbench.losses.base import LossResult
from dmlbench.samplers.batch import Batch

#: Steps between two looks at the loss on a GPU, which has to be waited for.
_LOOK_EVERY = 50


class EpochRecord:
    """Collects one epoch's steps on the device and reads them when it ends."""

    def __init__(self, loss_name: str, epoch: int, before: list[float]) -> None:
        """Start an epoch.

        Args:
            loss_name: What the config calls the loss, for messages.
            epoch: Its number, from 1.
            before: The last loss values of the epoch before.
        """
        self.loss_name = loss_name
        self.epoch = epoch
        self.before = before
        self.values: list[torch.Tensor] = []
        self.read: list[float] = []  # those of them that have been looked at
        self.batches: list[torch.Tensor] = []
        self.results: list[LossResult] = []

    def add(self, batch: Batch, result: LossResult) -> None:
        """Take note of one step.

        Raises:
            TrainingError: The loss is no longer finite.
        """
        value = result.value.detach()  # the graph of a step must not outlive it
        self.values.append(value)
        self.results.append(LossResult(value, result.active, result.counts))
        self.batches.append(_sums(batch))
        if value.device.type == "cpu" or len(self.values) % _LOOK_EVERY == 0:
            self.check()

    def check(self) -> None:
        """See :meth:`add`; the one place that looks for NaN."""
        new = self.values[len(self.read) :]
        for value in torch.stack(new).tolist() if new else []:
            if not math.isfinite(value):
                finite = [f"{v:.6g}" for v in (self.before + self.read)[-3:]]
                raise TrainingError(
                    f"the loss '{self.loss_name}' is {value} in epoch {self.epoch}, step "
                    f"{len(self.read) + 1}; the last finite values were "
                    f"{', '.join(finite) or 'none'}; lower the learning rate"
                )
            self.read.append(value)

    def last_values(self) -> list[float]:
        """The last loss values, for the next epoch's messages."""
        return self.read[-3:]

    def row(self) -> dict[str, float]:
        """The epoch's means, for history.csv.

        positives_per_anchor: how many positives an anchor could have had in its batch.
        easy_equals_random: share of anchors whose easy positive is the one that a random choice
        takes, on average over that choice: one in as many as there are.
        genuine_similarity, impostor_similarity: mean cosine of pairs of the same and of different
        classes in a batch (copies of an image left out). decidability: their d'.
        """
        self.check()
        active = [r.active for r in self.results if r.active is not None]
        sums = torch.stack(self.batches).sum(dim=0)
        anchors, positives, paired, equal, *moments = sums.tolist()
        similarity = _moments(*moments)
        names = sorted({name for result in self.results for name in result.counts})
        return {
            "loss": torch.stack(self.values).mean().item(),
            "positives_per_anchor": positives / anchors,
            "easy_equals_random": equal / paired if paired else float("nan"),
            "active_tuples": torch.stack(active).double().mean().item() if active else float("nan"),
            "genuine_similarity": similarity.genuine_mean.item(),
            "impostor_similarity": similarity.impostor_mean.item(),
            "decidability": similarity.decidability().item(),
            **{name: sum(r.counts[name].item() for r in self.results) for name in names},
        }


def _sums(batch: Batch) -> torch.Tensor:
    """What the epoch's means are made of: ten numbers, float64."""
    candidates = batch.positives.sum(dim=1)
    paired = candidates > 0
    equal = torch.where(paired, 1 / candidates.clamp(min=1), 0.0).sum()
    numbers = [torch.tensor(len(candidates), device=candidates.device), candidates.sum()]
    numbers += [paired.sum(), equal]
    similarities = batch.similarities.detach().double()
    for mask in (batch.positives, batch.negatives):
        values = torch.where(mask, similarities, 0.0)
        numbers += [mask.sum(), values.sum(), values.square().sum()]
    return torch.stack([number.double() for number in numbers])


def _moments(*sums: float) -> Moments:
    """Moments from counts, sums and sums of squares of genuine, then impostor similarities."""
    parts = []
    for count, total, squares in (sums[:3], sums[3:]):
        mean = total / count if count else float("nan")
        variance = max(squares / count - mean * mean, 0.0) if count else float("nan")
        parts += [torch.tensor(v, dtype=torch.float64) for v in (mean, variance)]
    return Moments(*parts)
