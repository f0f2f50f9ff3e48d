"""A batch, the distances and similarities of its embeddings, and its tuples and pairs.

Distances and similarities are float32 at least, whatever the network computes in. Shapes do not
depend on the data where that is possible, so that a GPU need not be waited for.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F

from dmlbench.errors import ConfigError

#: More than the rounding error of a product of two unit vectors in float64.
_ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch, and what follows from it; everything is computed once, when first asked for.

    Distances and similarities keep their gradient: sampler, loss and diagnostics share them, and
    samplers, which run without gradients, need not care.

    Attributes:
        embeddings: B x D, float32 or float64.
        labels: B class numbers in 0 .. number of classes - 1.
        content: B numbers, equal for copies of one image.
        generator: The random stream of the choices; None where nothing is drawn.
        features: B x F, what the head made the embeddings of; None where no loss wants them.
    """

    embeddings: torch.Tensor
    labels: torch.Tensor
    content: torch.Tensor
    generator: torch.Generator | None
    features: torch.Tensor | None = None

    @classmethod
    def of(
        cls,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        content: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        features: torch.Tensor | None = None,
    ) -> "Batch":
        """A batch of embeddings of any float type; without ``content``, no image is a copy."""
        if content is None:
            content = torch.arange(len(labels), device=labels.device)
        wide = torch.promote_types(embeddings.dtype, torch.float32)
        features = None if features is None else features.to(wide)
        return cls(embeddings.to(wide), labels, content, generator, features)

    @cached_property
    def distances(self) -> torch.Tensor:
        """B x B plain Euclidean distances; see :func:`pairwise_distances`."""
        with torch.enable_grad(), torch.autocast(self.embeddings.device.type, enabled=False):
            return pairwise_distances(self.embeddings)

    @cached_property
    def similarities(self) -> torch.Tensor:
        """B x B cosine similarities."""
        with torch.enable_grad(), torch.autocast(self.embeddings.device.type, enabled=False):
            return cosine_similarities(self.embeddings, self.embeddings)

    @cached_property
    def same_class(self) -> torch.Tensor:
        """B x B mask: same class, the anchor itself and its copies too."""
        return self.labels[:, None] == self.labels[None, :]

    @cached_property
    def positives(self) -> torch.Tensor:
        """B x B mask: same class, another image (neither the anchor itself nor a copy)."""
        return self.same_class & (self.content[:, None] != self.content[None, :])

    @cached_property
    def negatives(self) -> torch.Tensor:
        """B x B mask: another class."""
        return ~self.same_class

    @cached_property
    def positions(self) -> torch.Tensor:
        """0 .. B - 1."""
        return torch.arange(len(self.labels), device=self.labels.device)


def pairwise_distances(
    embeddings: torch.Tensor, others: torch.Tensor | None = None
) -> torch.Tensor:
    """Euclidean distances of all pairs of B x D embeddings: B x B, zero on the diagonal.

    With ``others``, C x D, the distances of all to these: B x C.

    Computed from inner products in float64. In float32 these lose all digits where two embeddings
    nearly coincide, which is where easy positives lie. Squared distances are lowered by 1e-14 of
    both squared norms, so that rounding does not separate equal embeddings: they are at distance
    zero, with gradient zero. float32 cannot tell embeddings apart below 1e-7 of their norm, so
    nothing else becomes zero. A distance d of unit vectors is exact to 5e-15 / d^2 of itself.
    """
    wide = embeddings.double()
    other = wide if others is None else others.double()
    lengths = [each.square().sum(dim=1) * (1 - _ROUNDING) for each in (wide, other)]
    square = lengths[0][:, None] + lengths[1] - 2 * (wide @ other.T)
    square = square.to(embeddings.dtype)
    # The gradient of a root at zero is infinite; written like this, NaN stays NaN.
    equal = square <= 0
    return square.masked_fill(equal, 1).sqrt().masked_fill(equal, 0)


def cosine_similarities(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Cosine similarities of all rows of ``left`` (B x D) with all of ``right`` (C x D): B x C."""
    return F.normalize(left, dim=1) @ F.normalize(right, dim=1).T


@dataclass(frozen=True)
class Triplets:
    """Anchor, positive and negative, listed.

    Attributes:
        anchor, positive, negative: T positions in the batch each; row t is one triplet.
        valid: T booleans; a row that is False has no meaning and counts nowhere.
    """

    anchor: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor
    valid: torch.Tensor

    def pair_sets(self, size: int) -> "PairSets":
        """The pairs that the triplets are made of, each once, in a batch of ``size``."""
        masks = []
        for other in (self.positive, self.negative):
            counts = torch.zeros(size * size, dtype=torch.long, device=other.device)
            counts.scatter_add_(0, self.anchor * size + other, self.valid.long())
            masks.append(counts.view(size, size) > 0)
        return PairSets(*masks)

    def indices(self) -> tuple[torch.Tensor, ...]:
        """Anchors, positives, negatives of the valid triplets: pytorch-metric-learning's form."""
        return tuple(rows[self.valid] for rows in (self.anchor, self.positive, self.negative))


@dataclass(frozen=True)
class PairSets:
    """For each anchor a set of positives and one of negatives: B x B masks, a row per anchor."""

    positives: torch.Tensor
    negatives: torch.Tensor

    def pair_sets(self, size: int) -> "PairSets":
        return self

    def indices(self) -> tuple[torch.Tensor, ...]:
        """Anchors and positives, anchors and negatives: pytorch-metric-learning's form of pairs."""
        return (*self.positives.nonzero(as_tuple=True), *self.negatives.nonzero(as_tuple=True))


Tuples = Triplets | PairSets


@dataclass(frozen=True)
class Pairs:
    """Pairs of an anchor and another image; all fields broadcast to one shape.

    Attributes:
        distance: Their distances: 2 x T for triplets, B x B for pair sets.
        sign: 1 for a positive pair, -1 for a negative one.
        counted: Whether the pair counts at all.
        labels: Classes of the anchors: T for triplets, B x 1 for pair sets, whose rows they are.
    """

    distance: torch.Tensor
    sign: torch.Tensor
    counted: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def of(cls, batch: Batch, tuples: Tuples, squared: bool = False) -> "Pairs":
        """The pairs of pair sets; of each triplet the positive and the negative one.

        ``squared`` takes squared distances. A pair may be in several triplets.
        """
        if isinstance(tuples, Triplets):
            distance = triplet_distances(batch, tuples, squared)
            sign = torch.arange(1, -2, -2, dtype=distance.dtype, device=distance.device)[:, None]
            labels = batch.labels.index_select(0, tuples.anchor)
            return cls(distance, sign, tuples.valid.expand(2, -1), labels)
        distance = batch.distances.square() if squared else batch.distances
        # Arithmetic, not torch.where: over a mask in random order that takes 20 times as long.
        sign = tuples.positives.to(distance.dtype) * 2 - 1
        return cls(distance, sign, tuples.positives | tuples.negatives, batch.labels[:, None])


def triplet_distances(batch: Batch, triplets: Tuples, squared: bool = False) -> torch.Tensor:
    """Distances of each triplet's anchor to its positive, then to its negative: 2 x T.

    Pair sets are a ConfigError: their triplets are too many to list.
    """
    if not isinstance(triplets, Triplets):
        raise ConfigError("single triplets are needed here: choose one negative per positive")
    entries = torch.stack([triplets.positive, triplets.negative])
    entries.add_(triplets.anchor, alpha=len(batch.labels))
    # index_select, not indexing: its backward adds up several times faster.
    distance = batch.distances.flatten().index_select(0, entries.flatten()).view(entries.shape)
    return distance.square() if squared else distance
