"""Relaxed ranks: how many images lie above each positive of a query, block by block."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

#: From how far above an item something lies to how much it counts, elementwise and differentiable;
#: 0 and flat at minus infinity.
Step = Callable[[torch.Tensor], torch.Tensor]
#: Comparisons that are held at a time: 1 MB of float32 stays in a processor's cache; a GPU would
#: wait for so small pieces.
_BLOCK = {"cpu": 2**18, "cuda": 2**25}


@dataclass(frozen=True)
class Ranked:
    """The positives of the queries that have something to rank: a positive and a negative.

    Attributes:
        query, item: N rows of a query and of one positive of it, sorted by query.
        positives: N relaxed counts: other positives of the query that lie above the item.
        negatives: The same of negatives.
        sizes: How many items each of the B queries has; 0 where it takes no part.
    """

    query: torch.Tensor
    item: torch.Tensor
    positives: torch.Tensor
    negatives: torch.Tensor
    sizes: torch.Tensor

    @classmethod
    def of(
        cls,
        scores: torch.Tensor,
        positives: torch.Tensor,
        negatives: torch.Tensor,
        step: Step,
        step_among_positives: Step | None = None,
    ) -> "Ranked":
        """Rank what is in B x B masks, a row for each query, by B x B scores.

        Something of score z counts ``step(z - score of the item)``; where it is a positive,
        ``step_among_positives`` if that is given. What is in neither mask, such as copies of the
        query, is not ranked.
        """
        positives = positives & negatives.any(dim=1, keepdim=True)
        sizes = positives.sum(dim=1)
        query, item = positives.nonzero(as_tuple=True)
        # A table with the items of each query side by side, zeros after the last.
        place = torch.arange(len(query), device=query.device) - (sizes.cumsum(0) - sizes)[query]
        table = item.new_zeros(len(sizes), int(sizes.max()))
        table[query, place] = item
        steps = step, step_among_positives
        above = _CountAbove.apply(scores, table, sizes, (positives, negatives), steps)
        counts = above.flatten(1).index_select(1, query * table.shape[1] + place)
        return cls(query, item, *counts, sizes)

    @property
    def queries(self) -> torch.Tensor:
        """How many queries take part, at least one."""
        return (self.sizes > 0).sum().clamp(min=1)

    @property
    def outranked(self) -> torch.Tensor:
        """How many items have more than half a negative above them: those that are learned from."""
        return (self.negatives.detach() > 0.5).sum()

    def ap_loss(self) -> torch.Tensor:
        """One minus the average precision, its mean over the queries; 0 without any.

        An item's precision is (1 + positives) / (1 + positives + negatives). What it lacks of 1 is
        summed, which is exactly zero where no negative counts.
        """
        lacks = self.negatives / (1 + self.positives + self.negatives)
        return (lacks / self.sizes[self.query]).sum() / self.queries

    def means(self) -> dict[str, torch.Tensor]:
        """For :class:`LossResult`: the share of :attr:`outranked` items."""
        return {"active_ranks": self.outranked / max(len(self.item), 1)}


class _CountAbove(torch.autograd.Function):
    """Positives and negatives above each item of a table: 2 x B x items; see :class:`Ranked`.

    None of the B x items x B comparisons is kept for the backward pass: they are made again there.
    """

    @staticmethod
    def forward(
        ctx: Any,
        scores: torch.Tensor,
        table: torch.Tensor,
        sizes: torch.Tensor,
        masks: tuple[torch.Tensor, torch.Tensor],
        steps: tuple[Step, Step | None],
    ) -> torch.Tensor:
        ctx.save_for_backward(scores, table, sizes, *masks)
        ctx.steps = steps
        counts = scores.new_zeros(2, *table.shape)
        for rows, items, inside, gaps in _blocks(scores, table, sizes, masks):
            counts[:, rows, : items.shape[1]] = _sums(gaps, inside, steps)
        return counts

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scores, table, sizes, *masks = ctx.saved_tensors
        found = torch.zeros_like(scores)
        for rows, items, inside, gaps in _blocks(scores, table, sizes, masks):
            with torch.enable_grad():
                sums = _sums(gaps.requires_grad_(), inside, ctx.steps)
            (of_gaps,) = torch.autograd.grad(sums, gaps, gradient[:, rows, : items.shape[1]])
            found[rows] = of_gaps.sum(dim=1).scatter_add_(1, items, -of_gaps.sum(dim=2))
        return found, None, None, None, None


def _blocks(
    scores: torch.Tensor, table: torch.Tensor, sizes: torch.Tensor, masks: tuple | list
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Some queries after others, those with most items first, so that few places are left empty.

    Of Q queries with up to P items: their rows, their items (Q x P), their masks (2 x Q x B), and
    how far everything lies above each item (Q x P x B): the item itself infinitely far below.
    """
    order = sizes.argsort(descending=True, stable=True)
    lengths, start = sizes[order].tolist(), 0
    while start < len(lengths) and lengths[start]:
        most = lengths[start]
        end = start + max(_BLOCK[scores.device.type] // (most * scores.shape[1]), 1)
        rows, start = order[start:end], end
        items, values = table[rows, :most], scores[rows]
        gaps = values[:, None] - values.gather(1, items)[:, :, None]
        gaps.scatter_(2, items[:, :, None], -torch.inf)
        yield rows, items, torch.stack([mask[rows] for mask in masks]).to(scores.dtype), gaps


def _sums(gaps: torch.Tensor, masks: torch.Tensor, steps: tuple[Step, Step | None]) -> torch.Tensor:
    """Sums of the steps over both masks: 2 x Q x P."""
    above = steps[0](gaps)
    if steps[1] is None:
        return (above @ masks.permute(1, 2, 0)).permute(2, 0, 1)  # Q x P x B with Q x B x 2
    among = steps[1](gaps)
    return torch.stack(
        [(a @ m[:, :, None])[:, :, 0] for a, m in zip((among, above), masks, strict=True)]
    )
