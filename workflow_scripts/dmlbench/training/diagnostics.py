"""What an epoch's batches looked like: the diagnostics of history.csv, and the NaN check."""

import math

import torch

from dmlbench.errors import DivergedError
from dmlbench.losses.base import LossResult
from dmlbench.losses.decidability import Moments
from dmlbench.samplers.batch import Batch

#: Steps between two looks at the loss on a GPU, which has to be waited for.
_LOOK_EVERY = 50
#: What the names of a loss's own counts begin with.
_COUNT = "count "


class EpochRecord:
    """Collects one epoch's steps on the device and reads them when it ends."""

    def __init__(self, loss_name: str, epoch: int, before: list[float]) -> None:
        """``before`` holds the last loss values of the epoch before, for messages."""
        self.loss_name = loss_name
        self.epoch = epoch
        self.before = before
        self.read: list[float] = []  # the losses that have been looked at
        #: For each step: loss, sums over the batch, active tuples and further counts if it has any.
        self.steps: dict[str, list[torch.Tensor]] = {"loss": [], "sums": []}

    def add(self, batch: Batch, result: LossResult) -> None:
        """Take note of one step.

        Raises:
            DivergedError: The loss is no longer finite.
        """
        # The graph of a step must not outlive it.
        numbers = {"loss": result.value.detach(), "sums": _sums(batch)}
        if result.active is not None:
            numbers["active"] = result.active
        numbers |= {f"{_COUNT}{name}": value for name, value in result.counts.items()}
        for name, value in numbers.items():
            self.steps.setdefault(name, []).append(value.detach())
        steps = len(self.steps["loss"])
        if result.value.device.type == "cpu" or steps % _LOOK_EVERY == 0:
            self.check()

    def state(self) -> dict:
        """Everything of the steps so far, for :meth:`restored`."""
        stacked = {name: torch.stack(values) for name, values in self.steps.items() if values}
        return vars(self) | {"steps": stacked}

    @classmethod
    def restored(cls, state: dict, device: torch.device) -> "EpochRecord":
        """The record that :meth:`state` was taken of."""
        record = cls(state["loss_name"], state["epoch"], state["before"])
        record.read = state["read"]
        for name, values in state["steps"].items():
            record.steps[name] = list(values.to(device).unbind())
        return record

    def check(self) -> None:
        """See :meth:`add`; the one place that looks for NaN."""
        new = self.steps["loss"][len(self.read) :]
        for value in torch.stack(new).tolist() if new else []:
            if not math.isfinite(value):
                finite = [f"{v:.6g}" for v in (self.before + self.read)[-3:]]
                raise DivergedError(
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
        columns = {name: torch.stack(values) for name, values in self.steps.items()}
        anchors, positives, paired, equal, *moments = columns["sums"].sum(dim=0).tolist()
        similarity = _moments(*moments)
        active = columns.get("active")
        counts = sorted(name for name in columns if name.startswith(_COUNT))
        return {
            "loss": columns["loss"].mean().item(),
            "positives_per_anchor": positives / anchors,
            "easy_equals_random": equal / paired if paired else math.nan,
            "active_tuples": math.nan if active is None else active.double().mean().item(),
            "genuine_similarity": similarity.genuine_mean.item(),
            "impostor_similarity": similarity.impostor_mean.item(),
            "decidability": similarity.decidability().item(),
            **{name.removeprefix(_COUNT): columns[name].double().sum().item() for name in counts},
        }


def _sums(batch: Batch) -> torch.Tensor:
    """What the epoch's means are made of: ten numbers, float64."""
    candidates = batch.positives.sum(dim=1)
    paired = candidates > 0
    equal = torch.where(paired, 1 / candidates.clamp(min=1), 0.0).sum()
    anchors = torch.ones_like(candidates).sum()  # made there: a number from here is waited for
    numbers = [anchors, candidates.sum(), paired.sum(), equal]
    similarities = batch.similarities.detach().double()
    for mask in (batch.positives, batch.negatives):
        values = torch.where(mask, similarities, 0.0)
        numbers += [mask.sum(), values.sum(), values.square().sum()]
    return torch.stack([number.double() for number in numbers])


def _moments(*sums: float) -> Moments:
    """Moments from counts, sums and sums of squares of genuine, then impostor similarities."""
    parts = []
    for count, total, squares in (sums[:3], sums[3:]):
        mean = total / count if count else math.nan
        parts += [mean, max(squares / count - mean * mean, 0.0) if count else math.nan]
    return Moments(*torch.tensor(parts, dtype=torch.float64))
