"""The optimiser of a recipe, one step of it, and what the steps of an epoch looked like."""

import math
from dataclasses import dataclass, field

import torch

from dmlbench.errors import DivergedError
from dmlbench.losses.base import Loss, LossResult
from dmlbench.losses.decidability import Moments
from dmlbench.models.embedder import Embedder
from dmlbench.samplers.batch import Batch

#: Steps between two looks at the loss on a GPU, which has to be waited for.
_LOOK_EVERY = 50
#: What the names of a loss's own counts begin with.
_COUNT = "count "


def build_optimizer(spec: dict, model: torch.nn.Module, loss: Loss) -> torch.optim.Optimizer:
    """Network parameters at the recipe's rate, loss parameters at their own where they have one."""
    groups = [{"params": [p for p in model.parameters() if p.requires_grad]}]
    groups += loss.parameter_groups()
    given = {id(p) for group in groups for p in group["params"]}
    assert all(id(p) in given for p in loss.parameters()), "a loss parameter would never move"
    common = {"lr": spec["lr"], "weight_decay": spec["weight_decay"]}
    if spec["name"] == "sgd":
        return torch.optim.SGD(groups, momentum=spec["momentum"], **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[spec["name"]](groups, **common)


@dataclass
class EpochRecord:
    """Collects one epoch's steps on the device and reads them when it ends.

    ``before`` has the last losses of the epoch before, for messages; ``read`` those that have been
    looked at; ``steps`` for each step the loss, sums over the batch, and the loss's own counts.
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


@dataclass(frozen=True)
class Step:
    """What a step is made of; ``sampler`` is None for a loss on whole batches.

    ``half`` runs the network under autocast to bfloat16; selection and loss stay float32.
    """

    model: Embedder
    loss: Loss
    sampler: object
    optimizer: torch.optim.Optimizer
    half: bool

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
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.half):
            batch = Batch.of(self.model(images), labels, content, generator)
            result = self.loss(batch, self.sampler(batch) if self.sampler else None)
        record.add(batch, result)
        self.optimizer.zero_grad(set_to_none=True)
        result.value.backward()
        self.optimizer.step()
