"""S2SD: wide heads that teach the small one."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from dmlbench.errors import ConfigError
from dmlbench.losses.base import LossResult, register_loss
from dmlbench.losses.building import Nested, build_loss
from dmlbench.plugins.types import LossSpec, NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dmlbench.samplers.batch import Batch, Tuples, cosine_similarities


@register_loss("s2sd", takes="inner", label="S2SD")
class S2SD(Nested):
    """S2SD: heads of more dimensions learn beside the embedding and teach it their similarities.

    Roth et al. 2021 (Simultaneous Similarity-based Self-Distillation). Each wide head is a
    two-layer MLP on the backbone's features, of the same pass, and is trained with an inner loss of
    its own. The cost is (L + mean_k L_k) / 2 + weight mean_k KL_k + feature_weight KL_features,
    where KL compares the rows of the batch's cosine similarities, as softmax distributions at a
    temperature, with those of a head or of the features; these take no gradient of it, and the
    last joins after ``feature_start`` steps. The heads belong to the loss: the saved network has
    none. Wide heads see the tuples chosen for the embedding; the released code chooses for each
    head anew. It also pools the features for the heads by average and maximum together: take the
    recipe's ``pooling`` for that.
    """

    def __init__(
        self,
        *,
        loss: LossSpec,
        dims: tuple[PositiveInt, ...] = (512, 1024, 1536, 2048),
        temperature: Rate = 1.0,
        weight: NonNegativeFloat = 50.0,
        feature_weight: NonNegativeFloat = 50.0,
        feature_start: NonNegativeInt = 1000,
        **sizes: int,
    ) -> None:
        """Set the inner loss and the ``dims`` of the wide heads.

        A ConfigError says that there are none, or that the inner loss wants what they cannot give.
        """
        if not dims:
            raise ConfigError("s2sd: dims: names no wide head")
        classes = sizes["num_classes"]
        super().__init__(
            [build_loss(loss, classes, dim) for dim in (sizes["embedding_dim"], *dims)], **sizes
        )
        if self.wants_class_means or self.wants_features:
            what = "class means" if self.wants_class_means else "features"
            raise ConfigError(f"s2sd: the loss inside wants {what}, and wide heads have none")
        self.wants_features = True
        self.dims = tuple(dims)
        self.temperature = temperature
        self.weight, self.feature_weight = weight, feature_weight
        self.feature_start, self.steps = feature_start, 0
        self.heads = nn.ModuleList()

    def take_features(self, count: int) -> None:
        """Make the wide heads for ``count`` features."""
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(count, dim), nn.ReLU(), nn.Linear(dim, dim))
            for dim in self.dims
        )

    def refusals(self, recipe: dict, steps: int | None) -> Iterator[str]:
        """Refuse a distillation of features that no step would see."""
        if self.feature_weight and steps is not None and self.feature_start >= steps:
            yield (
                f"s2sd: feature_start {self.feature_start} is beyond the training, which has "
                f"{steps} steps at most; lower it, or take feature_weight: 0"
            )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The wide heads at the recipe's rate and decay, then the groups of the inner losses."""
        return [{"params": list(self.heads.parameters())}, *super().parameter_groups()]

    def get_extra_state(self) -> int:
        """How many steps there were."""
        return self.steps

    def set_extra_state(self, state: int) -> None:
        """Go on from :meth:`get_extra_state`."""
        self.steps = state

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        features = batch.features
        if features is None or not len(self.heads):
            raise ConfigError("s2sd: needs the features before the head, which nothing gives here")
        mine, *others = self.losses
        result = mine.result(batch, tuples)
        costs, distances = [], []
        for head, loss in zip(self.heads, others, strict=True):
            points = F.normalize(head(features), dim=1)
            wide = Batch.of(points, batch.labels, batch.content, batch.generator)
            costs.append(loss.result(wide, tuples).value)
            distances.append(self._distance(batch, wide.similarities))
        teachers, distance = torch.stack(costs).mean(), torch.stack(distances).mean()
        value = (result.value + teachers) / 2 + self.weight * distance
        if self.feature_weight and self.steps >= self.feature_start:
            similarities = cosine_similarities(features, features)
            value = value + self.feature_weight * self._distance(batch, similarities)
        self.steps += 1
        means = {"wide_heads_loss": teachers, "distillation": distance}
        return LossResult(value, result.active, result.counts, result.means | means)

    def _distance(self, batch: Batch, teacher: torch.Tensor) -> torch.Tensor:
        """KL(teacher || embedding) of the rows of B x B similarities, times temperature^2: mean."""
        rows = (batch.similarities / self.temperature).log_softmax(dim=1)
        target = (teacher.detach() / self.temperature).log_softmax(dim=1)
        divergence = F.kl_div(rows, target, log_target=True, reduction="batchmean")
        return divergence * self.temperature**2
