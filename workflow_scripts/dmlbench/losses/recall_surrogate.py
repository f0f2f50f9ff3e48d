"""Recall@k surrogate loss, with similarity mixup."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from dmlbench.losses.base import Loss, LossResult, register_loss
from dmlbench.losses.ranking import Ranked
from dmlbench.plugins.types import PositiveFloat, PositiveInt
from dmlbench.samplers.batch import Batch, Tuples

Cutoffs = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


@register_loss("recall_at_k", takes="batch", label="RS@k")
class RecallAtK(Loss):
    """Recall@k surrogate (RS@k): one minus a recall@k made smooth twice, its mean over some k.

    Patel et al. 2022, section 3, on cosine similarities: a positive x of a query has the rank
    1 + sum_z sigmoid((s_z - s_x) / temperature), z all others; it counts
    sigmoid((k - rank) / rank_temperature); the sum over the positives, at most k, is divided by
    their number, at most k. So even perfect embeddings cost something: rank 1 counts half at k = 1.
    The mean is over the queries that have a positive and a negative. Copies of the query are not
    ranked.

    SiMix (section 3.4): every two positives of each other make a virtual image at a random place
    of the line between their unit vectors. It is of their class, a query, and ranked, for its
    parents too. It is not normalised again: its similarities are those of its parents, mixed.

    The released code ranks the query itself too, always first, so that its k is one less than it
    says.
    """

    def __init__(
        self,
        *,
        k: Cutoffs = (1, 2, 4, 8, 16),
        temperature: PositiveFloat = 0.01,
        rank_temperature: PositiveFloat | Literal["k"] = 1.0,
        simix: bool = False,
        **sizes: int,
    ) -> None:
        """``temperature`` and ``rank_temperature`` are the paper's tau_2 and tau_1.

        ``rank_temperature: k`` takes k itself for each k, the released code's default.
        """
        super().__init__(**sizes)
        self.temperature = temperature
        self.simix = simix
        self.register_buffer("k", torch.tensor(k, dtype=torch.float), persistent=False)
        self.rank_temperature = rank_temperature

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        real = len(batch.labels)
        given = batch.similarities, batch.positives, batch.negatives
        similarities, positives, negatives = _with_mixed(batch) if self.simix else given
        ranked = Ranked.of(similarities / self.temperature, positives, negatives, torch.sigmoid)
        rank = 1 + ranked.positives + ranked.negatives
        width = self.k if self.rank_temperature == "k" else self.rank_temperature
        found = ((self.k - rank[:, None]) / width).sigmoid()
        recall = _sum_of_each(found, ranked.query, len(similarities)).minimum(self.k)
        sizes = _sum_of_each(torch.ones_like(found), ranked.query, len(similarities))
        takes_part = sizes[:, 0] > 0
        lost = (1 - recall / sizes.minimum(self.k).clamp(min=1)).mean(dim=1) * takes_part
        means = ranked.means()
        if self.simix:
            virtual = (ranked.item >= real).sum() / max(len(ranked.item), 1)
            means["simix_positives"] = virtual.to(lost.dtype)
        value = lost.sum() / takes_part.sum().clamp(min=1)
        return LossResult(value, ranked.outranked, means=means)


def _sum_of_each(values: torch.Tensor, query: torch.Tensor, queries: int) -> torch.Tensor:
    """Sums of the rows of ``values`` (N x K) that belong to each query: queries x K."""
    return values.new_zeros(queries, values.shape[1]).index_add(0, query, values)


def _with_mixed(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Similarities, positives and negatives of the batch with its virtual images at the end.

    Similarities to a mixture are mixtures of the similarities to its parents.
    """
    one, other = batch.positives.triu().nonzero(as_tuple=True)
    given = batch.similarities
    share = torch.rand(len(one), 1, generator=batch.generator, device=given.device).to(given.dtype)

    def mix(rows: torch.Tensor) -> torch.Tensor:
        parents = rows.index_select(0, other), rows.index_select(0, one)
        return torch.cat([rows, torch.lerp(*parents, share)])

    labels = torch.cat([batch.labels, batch.labels[one]])
    fresh = batch.content.max() + 1 + torch.arange(len(one), device=one.device)  # no copies
    content = torch.cat([batch.content, fresh])
    same_class = labels[:, None] == labels
    return mix(mix(given).T), same_class & (content[:, None] != content), ~same_class
