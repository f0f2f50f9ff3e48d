"""The optimiser of a recipe, and one step of it."""

from dataclasses import dataclass

import torch

from dmlbench.losses.base import Loss
from dmlbench.models.embedder import Embedder
from dmlbench.samplers.batch import Batch
from dmlbench.training.diagnostics import EpochRecord


def build_optimizer(spec: dict, model: torch.nn.Module, loss: Loss) -> torch.optim.Optimizer:
    """Network parameters at the recipe's rate, loss parameters at their own where they have one.

    Raises:
        AssertionError: A loss left one of its parameters out.
    """
    groups = [{"params": [p for p in model.parameters() if p.requires_grad]}]
    groups += loss.parameter_groups()
    given = {id(p) for group in groups for p in group["params"]}
    assert all(id(p) in given for p in loss.parameters()), "a loss parameter would never move"
    common = {"lr": spec["lr"], "weight_decay": spec["weight_decay"]}
    if spec["name"] == "sgd":
        return torch.optim.SGD(groups, momentum=spec["momentum"], **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[spec["name"]](groups, **common)


@dataclass(frozen=True)
class Step:
    """What a step is made of.

    ``sampler`` is None for a loss on whole batches. ``half`` runs the network under autocast to
    bfloat16; selection and loss stay float32.
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

        Args:
            images: B x C x H x W network input.
            labels: B class numbers.
            content: B numbers, equal for copies of one image.
            generator: The stream of the sampler's choices.
            record: Where the step is noted.

        Raises:
            DivergedError: The loss is not finite; the weights are those before the step.
        """
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.half):
            batch = Batch.of(self.model(images), labels, content, generator)
            result = self.loss(batch, self.sampler(batch) if self.sampler else None)
        record.add(batch, result)
        self.optimizer.zero_grad(set_to_none=True)
        result.value.backward()
        self.optimizer.step()
