"""One step of a training, and what the steps of an epoch looked like."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from dmlbench.errors import DivergedError
from dmlbench.losses.base import Loss, LossResult
from dmlbench.losses.decidability import Moments
from dmlbench.samplers.batch import Batch
from dmlbench.training.network import Network
from dmlbench.training.schedule import Rates

if TYPE_CHECKING:  # seconds to import, for trainings that keep no average
    from timm.utils import ModelEmaV3

#: Steps between two looks at the loss on a GPU, which has to be waited for.
_LOOK_EVERY = 50
#: What the names of a loss's own numbers begin with: those to sum, and those to average.
_COUNT, _MEAN = "count ", "mean "


@dataclass
class EpochRecord:
    """Collects one epoch's steps on the device and reads them when it ends.

    ``before`` has the last losses of the epoch before, for messages; ``read`` those that have been
    looked at; ``steps`` for each step the loss, sums over the batch, and the loss's own numbers.
    """

    loss_name: str
    epoch: int
    before: list[float]
    read: list[float] = field(default_factory=list)
    steps: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    def add(self, batch: Batch, result: LossResult) -> None:
        """Take note of one step; a DivergedError where the loss is no longer finite."""
        numbers = {"loss": result.value, "sums": _sums(batch)}
        if result.active is not None:
            numbers["active"] = result.active
        numbers |= {f"{_COUNT}{name}": value for name, value in result.counts.items()}
        numbers |= {f"{_MEAN}{name}": value for name, value in result.means.items()}
        for name, value in numbers.items():
            self.steps.setdefault(name, []).append(value.detach())  # without the step's graph
        if result.value.device.type == "cpu" or len(self.steps["loss"]) % _LOOK_EVERY == 0:
            self.check()

    def state(self) -> dict:
        """Everything of the steps so far, for :meth:`restored`."""
        return vars(self) | {"steps": {k: torch.stack(v) for k, v in self.steps.items()}}

    @classmethod
    def restored(cls, state: dict, device: torch.device) -> "EpochRecord":
        """The record that :meth:`state` was taken of."""
        steps = {name: list(values.to(device).unbind()) for name, values in state["steps"].items()}
        return cls(**(state | {"steps": steps}))

    def check(self) -> None:
        """See :meth:`add`; the one place that looks for NaN."""
        new = self.steps.get("loss", [])[len(self.read) :]
        for value in torch.stack(new).tolist() if new else []:
            if not math.isfinite(value):
                finite = [f"{v:.6g}" for v in (self.before + self.read)[-3:]]
                raise DivergedError(
                    f"the loss '{self.loss_name}' is {value} in epoch {self.epoch}, step "
                    f"{len(self.read) + 1}; the last finite values were "
                    f"{', '.join(finite) or 'none'}; lower the learning rate"
                )
            self.read.append(value)

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
        return {
            "loss": columns["loss"].mean().item(),
            "positives_per_anchor": positives / anchors,
            "easy_equals_random": equal / paired if paired else math.nan,
            "active_tuples": math.nan if active is None else active.double().mean().item(),
            "genuine_similarity": similarity.genuine_mean.item(),
            "impostor_similarity": similarity.impostor_mean.item(),
            "decidability": similarity.decidability().item(),
            **_own(columns, _COUNT, torch.sum),
            **_own(columns, _MEAN, torch.mean),
        }


def _own(columns: dict, kind: str, reduce: Callable) -> dict[str, float]:
    """An epoch's number for each of the loss's own numbers of a kind, by name."""
    names = sorted(name for name in columns if name.startswith(kind))
    return {name.removeprefix(kind): reduce(columns[name].double()).item() for name in names}


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


@dataclass(frozen=True)
class Step:
    """What a step is made of.

    Attributes:
        network, loss, optimizer: What is trained, and what trains it.
        sampler: None for a loss on whole batches.
        clip: The most that the norm of all gradients together may be; None for no limit.
        rates: What changes the learning rates; None where nothing does.
        average: The moving average of the weights, if one is kept: timm's ModelEmaV3.
    """

    network: Network
    loss: Loss
    sampler: object
    optimizer: torch.optim.Optimizer
    clip: float | None = None
    rates: Rates | None = None
    average: "ModelEmaV3 | None" = None

    @property
    def model(self) -> nn.Module:
        """The network that is trained."""
        return self.network.model

    @property
    def kept(self) -> nn.Module:
        """The network that is measured and kept."""
        return self.average.module if self.average else self.model

    def take(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        content: torch.Tensor,
        generator: torch.Generator,
        record: EpochRecord,
    ) -> None:
        """Forward, backward and update, noted in ``record``.

        ``images`` are B x C x H x W; the next three are those of a :class:`Batch`. Where the loss
        is not finite, a DivergedError leaves the weights as they were before the step.
        """
        embeddings, backward = self.network.embed(images)
        features = None
        if self.network.features:
            embeddings, features = embeddings.tensor_split([self.loss.embedding_dim], dim=1)
        batch = Batch.of(embeddings, labels, content, generator, features)
        result = self.loss(batch, self.sampler(batch) if self.sampler else None)
        record.add(batch, result)
        self.optimizer.zero_grad(set_to_none=True)
        result.value.backward()
        backward()
        if self.clip:
            groups = self.optimizer.param_groups
            nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], self.clip)
        self.optimizer.step()
        if self.rates:
            self.rates.step_ended()
        if self.average:
            self.average.update(self.model)
