"""Expected losses under label noise, exactly: no label is ever drawn.

Levi et al. (EPS), ICCV 2021, section 4. Labels are independent, and D is the squared distance of
section 3. The margin alpha is 1: it only sets the unit of D, so lengths are in units of
sqrt(alpha). Sums run over distinct points: the paper's also hold each anchor as its own positive,
which no sampler draws.

Shapes: S simulations side by side, n points, C labels.
"""

from collections.abc import Callable

import torch

MARGIN = 1.0


def squared_distances(points: torch.Tensor) -> torch.Tensor:
    """Squared distances of all pairs by direct difference.

    Unlike the pipeline's they are batched and keep float64, which checking gradients needs.

    Args:
        points: S x n x d.

    Returns:
        S x n x n, zero on the diagonal.
    """
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cdist(points, points, compute_mode=exact).square()


def label_chances(p: torch.Tensor, points: int) -> torch.Tensor:
    """P(Y_i = c) for two classes: the first half of the points is of class 0 (section 4.2).

    Args:
        p: S chances that a label is right.
        points: n.

    Returns:
        S x 2 x n.
    """
    first = torch.arange(points) < points // 2
    is_zero = torch.where(first, p[:, None], 1 - p[:, None])
    return torch.stack([is_zero, 1 - is_zero], dim=1)


def triplet(distances: torch.Tensor, chances: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """E of the triplet loss with every positive and negative (section 4.2), mean over triplets.

    Args:
        distances: S x n x n, squared.
        chances: S x C x n, P(Y_i = c).
        beta: Not used.

    Returns:
        S expected losses, in units of alpha.
    """
    n = distances.shape[-1]
    itself = torch.eye(n, dtype=torch.bool)
    alike = chances.unsqueeze(3) * chances.unsqueeze(2)
    positive = alike.masked_fill(itself, 0.0)  # S x C x i x j
    negative = (1 - chances).unsqueeze(2).masked_fill(itself, 0.0)  # S x C x i x k
    both = MARGIN * (positive * negative).sum((1, 2, 3))  # j = k: no point is both, take it out
    total = _hinges(distances, positive, negative, _open(distances))
    return (total - both) / (n * (n - 1) * (n - 2))


def margin(distances: torch.Tensor, chances: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """E of the margin loss on every pair (section 4.2), mean over pairs.

    Args:
        distances: S x n x n, squared.
        chances: S x C x n, P(Y_i = c).
        beta: S x n boundaries, one for each anchor.

    Returns:
        S expected losses, in units of alpha.
    """
    n = distances.shape[-1]
    same = torch.einsum("sci,scj->sij", chances, chances)
    pull, push = _margin_terms(distances, beta)
    terms = same * pull + (1 - same) * push
    return terms.masked_fill(torch.eye(n, dtype=torch.bool), 0.0).sum((1, 2)) / (n * (n - 1))


def triplet_easy(
    distances: torch.Tensor, chances: torch.Tensor, beta: torch.Tensor
) -> torch.Tensor:
    """E of the triplet loss on (anchor, easy positive, every negative) (section 4.3).

    Arguments and result as for :func:`triplet`; the mean is over anchors and other points. An
    anchor whose label nobody shares has no positive and adds nothing.
    """
    n = distances.shape[-1]
    ranked, chosen, negative = _by_rank(distances, chances)
    # What is nearer than the easy positive has another label for certain, or it were the positive;
    # there the hinge is always open.
    rank = torch.arange(n - 1)
    nearer = rank * (ranked + MARGIN) - (ranked.cumsum(2) - ranked)  # S x i x r
    near = (chosen.sum(1) * nearer).sum((1, 2))
    far = _hinges(ranked, chosen, negative, _open(ranked).triu(1))
    return (near + far) / (n * (n - 2))


def margin_easy(distances: torch.Tensor, chances: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """E of the margin loss on (anchor, easy positive, every negative) (section 4.3).

    Each triplet adds its positive and its negative term, as in training. Arguments and result as
    for :func:`margin`, mean as for :func:`triplet_easy`.
    """
    n = distances.shape[-1]
    ranked, chosen, negative = _by_rank(distances, chances)
    pull, push = (term.unsqueeze(1) for term in _margin_terms(ranked, beta))  # S x 1 x i x r
    count = _over_negatives(torch.ones_like(push), negative)
    terms = pull * count + _over_negatives(push, negative)
    return (chosen * terms).sum((1, 2, 3)) / (n * (n - 2))


def _open(distances: torch.Tensor) -> torch.Tensor:
    """1 where D_ij - D_ik + alpha > 0, else 0: S x i x j x k, without a gradient."""
    distances = distances.detach()
    open_ = (distances + MARGIN).unsqueeze(3) > distances.unsqueeze(2)
    return open_.to(distances.dtype)


def _hinges(
    distances: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor, open_: torch.Tensor
) -> torch.Tensor:
    """The sum of P(j is positive, k negative) (D_ij - D_ik + alpha) over the open triplets.

    An open hinge is linear, so that only the counts of open hinges need S x n x n x n; through
    autograd the same sum takes twice as long.

    Args:
        distances: S x i x j.
        positive: S x C x i x j chances, with the label in common.
        negative: S x C x i x k chances, given that label.
        open_: S x i x j x k, 1 or 0.
    """
    positive, negative = positive.permute(0, 2, 3, 1), negative.permute(0, 2, 3, 1)
    pull = (positive * (open_ @ negative)).sum(3)  # S x i x j
    push = (negative * (open_.transpose(2, 3) @ positive)).sum(3)  # S x i x k
    return (pull * (distances + MARGIN) - push * distances).sum((1, 2))


def _margin_terms(distances: torch.Tensor, beta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What a pair costs as a positive one and as a negative one; beta is that of the row."""
    boundary = beta.unsqueeze(2)
    return (distances - boundary + MARGIN).relu(), (boundary - distances + MARGIN).relu()


def _by_rank(
    distances: torch.Tensor, chances: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each anchor's other points, nearest first; the order itself has no gradient, as an argmin.

    Returns:
        Distances by rank, S x n x (n - 1); P(the anchor has label c, and the point of rank r is
        the nearest that has it too) and P(the point of rank r has another label than c), both
        S x C x n x (n - 1).
    """
    n, classes = distances.shape[-1], chances.shape[1]
    last = torch.full((n,), torch.inf, dtype=distances.dtype).diag()
    order = (distances.detach() + last).argsort(dim=2, stable=True)[..., :-1]  # S x n x n-1
    everyone = chances.unsqueeze(2).expand(-1, -1, n, -1)
    has = everyone.gather(3, order.unsqueeze(1).expand(-1, classes, -1, -1))
    none_nearer = (1 - has).cumprod(3).roll(1, dims=3)
    none_nearer[..., 0] = 1
    return distances.gather(2, order), chances.unsqueeze(3) * has * none_nearer, 1 - has


def _over_negatives(values: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """For each rank r taken as the easy positive: the expected sum of ``values`` over negatives."""
    nearer = values.cumsum(3) - values
    weighted = values * negative
    return nearer + weighted.sum(3, keepdim=True) - weighted.cumsum(3)


Expected = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

#: The expected loss without and with easy positives.
EXPECTED: dict[tuple[str, bool], Expected] = {
    ("triplet", False): triplet,
    ("triplet", True): triplet_easy,
    ("margin", False): margin,
    ("margin", True): margin_easy,
}
