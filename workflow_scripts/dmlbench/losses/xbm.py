"""Cross-batch memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch

from dmlbench.errors import ConfigError
from dmlbench.losses.base import LossResult, TupleLoss, register_loss
from dmlbench.losses.building import Nested, build_loss
from dmlbench.plugins.types import LossSpec, NonNegativeInt, PositiveInt
from dmlbench.samplers.batch import Batch, Tuples, cosine_similarities, pairwise_distances
from dmlbench.samplers.sampler import build_sampler


@dataclass(frozen=True, eq=False)
class AgainstMemory(Batch):
    """A batch of anchors, compared with M remembered images in the place of its own B.

    What is B x B of a batch is B x M here. The memory takes no gradient.

    Attributes:
        others, other_labels, other_content: M x D embeddings, their classes and contents.
    """

    others: torch.Tensor = None  # type: ignore[assignment]
    other_labels: torch.Tensor = None  # type: ignore[assignment]
    other_content: torch.Tensor = None  # type: ignore[assignment]

    @cached_property
    def distances(self) -> torch.Tensor:
        with torch.enable_grad():
            return pairwise_distances(self.embeddings, self.others)

    @cached_property
    def similarities(self) -> torch.Tensor:
        with torch.enable_grad():
            return cosine_similarities(self.embeddings, self.others)

    @cached_property
    def same_class(self) -> torch.Tensor:
        return self.labels[:, None] == self.other_labels[None, :]

    @cached_property
    def positives(self) -> torch.Tensor:
        return self.same_class & (self.content[:, None] != self.other_content[None, :])


@register_loss("xbm", takes="batch", inside="sets", label="XBM")
class CrossBatchMemory(Nested):
    """Cross-batch memory: a loss on pairs of the batch with embeddings of the last batches.

    Wang et al. 2020 (Cross-Batch Memory, algorithm 1). The batch enters the queue, then each of
    its images is an anchor whose positives and negatives are in the queue, without gradient there.
    An image is never compared with its own copy in the queue, nor with an older one: equal
    contents are no positives (pytorch-metric-learning leaves out the copy of this step only).
    Anchors without a positive or without a negative take no part. In the first ``start`` steps the
    queue fills while the inner loss sees the batch alone, its pairs chosen the same way. The
    released code adds the inner loss on the batch to that on the memory: a ``sum`` of the two does.
    """

    def __init__(
        self,
        *,
        loss: LossSpec,
        size: PositiveInt = 8192,
        start: NonNegativeInt = 1000,
        pairs: Literal["all", "multi_similarity"] = "all",
        **sizes: int,
    ) -> None:
        """Set the inner loss, which must be one on pairs, and the queue.

        ``size`` is how many embeddings the queue holds, ``start`` how many steps pass before it is
        used. ``pairs``: all, or those that Multi-Similarity mining keeps (Wang et al. 2019).
        """
        inner = build_loss(loss, **sizes)
        if not isinstance(inner, TupleLoss):
            raise ConfigError(f"xbm: {loss['type']} is no loss on tuples: it has no pairs")
        super().__init__([inner], **sizes)
        self.size, self.start_step, self.steps, self.entered = size, start, 0, 0
        self._choose = build_sampler(
            {"positive": {"type": pairs}, "negative": {"type": pairs}, "miner": None}
        )
        self.register_buffer("memory", torch.zeros(size, self.embedding_dim))
        for name in ("memory_labels", "memory_content"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.long))

    def refusals(self, recipe: dict, steps: int | None) -> Iterator[str]:
        """Refuse a queue below a batch, and one that no step would use."""
        if self.size < recipe["batch_size"]:
            yield f"xbm: size {self.size} is below batch_size {recipe['batch_size']}; raise it"
        if steps is not None and self.start_step >= steps:
            yield (
                f"xbm: start {self.start_step} is beyond the training, which has {steps} steps at "
                "most; lower it"
            )

    def get_extra_state(self) -> dict[str, int]:
        """How many steps there were, and how many embeddings entered the queue."""
        return {"steps": self.steps, "entered": self.entered}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Go on from :meth:`get_extra_state`."""
        self.steps, self.entered = state["steps"], state["entered"]

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        self._enter(batch)
        filled = min(self.entered, self.size)
        remembers = self.steps >= self.start_step
        compared = self._against(batch, filled) if remembers else batch
        chosen: Any = self._choose(compared)
        result = self.losses[0].result(compared, chosen)
        pairs = (chosen.positives.sum() + chosen.negatives.sum()).to(torch.float64)
        share = torch.full_like(pairs, filled / self.size)
        self.steps += 1
        return LossResult(
            result.value,
            result.active,
            result.counts | {"memory_pairs": pairs * remembers},
            result.means | {"queue_filled": share},
        )

    @torch.no_grad()
    def _enter(self, batch: Batch) -> None:
        """The batch takes the place of the oldest in the queue."""
        number = len(batch.labels)
        if number > self.size:
            raise ConfigError(f"xbm: size {self.size} is below the batch of {number}; raise it")
        places = (torch.arange(number, device=self.memory.device) + self.entered) % self.size
        self.memory.index_copy_(0, places, batch.embeddings.to(self.memory.dtype))
        self.memory_labels.index_copy_(0, places, batch.labels)
        self.memory_content.index_copy_(0, places, batch.content)
        self.entered += number

    def _against(self, batch: Batch, filled: int) -> AgainstMemory:
        memory = self.memory[:filled].to(batch.embeddings.dtype)
        labels, content = self.memory_labels[:filled], self.memory_content[:filled]
        given = batch.embeddings, batch.labels, batch.content, batch.generator, batch.features
        return AgainstMemory(*given, memory, labels, content)
