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
        scores = batch.similarities / self.temperature
        given = scores, batch.positives, batch.negatives
        ranked = Ranked.of(*(_with_mixed(batch, scores) if self.simix else given), torch.sigmoid)
        rank = 1 + ranked.positives + ranked.negatives
        width = self.k if self.rank_temperature == "k" else self.rank_temperature
        found = ((self.k - rank[:, None]) / width).sigmoid()
        sums = found.new_zeros(len(ranked.sizes), len(self.k)).index_add(0, ranked.query, found)
        sizes = ranked.sizes[:, None].minimum(self.k).clamp(min=1)
        lost = (1 - sums.minimum(self.k) / sizes).mean(dim=1) * (ranked.sizes > 0)
        means = ranked.means()
        if self.simix:
            means["simix_positives"] = (ranked.item >= real).sum() / max(len(ranked.item), 1)
        return LossResult(lost.sum() / ranked.queries, ranked.outranked, means=means)


def _with_mixed(batch: Batch, scores: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Scores, positives and negatives of the batch with its virtual images at the end.

    ``scores`` (B x B) are similarities, scaled. Those of a mixture are mixtures of its parents'.
    """
    one, other = batch.positives.triu().nonzero(as_tuple=True)
    share = torch.rand(len(one), 1, generator=batch.generator, device=one.device).to(scores.dtype)

    def mix(rows: torch.Tensor) -> torch.Tensor:
        parents = rows.index_select(0, other), rows.index_select(0, one)
        return torch.cat([rows, torch.lerp(*parents, share)])

    labels = torch.cat([batch.labels, batch.labels[one]])
    same_class = labels[:, None] == labels
    positives = same_class.clone().fill_diagonal_(False)
    positives[: len(scores), : len(scores)] = batch.positives  # without copies
    return mix(mix(scores).T), positives, ~same_class
