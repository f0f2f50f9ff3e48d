"""Verification: do two images show the same person? The threshold comes from other pairs.

The similarity of two images is minus the squared Euclidean distance of their embeddings; for unit
vectors that is 2 cos - 2, and every measure here is what the cosine gives. A pair is accepted when
its similarity reaches the threshold.
"""

from dataclasses import dataclass

import numpy as np

from dmlbench.tensors.decidability import Moments


@dataclass(frozen=True)
class Scored:
    """Pairs of images: similarities (n, float64) and whether they are genuine (n, boolean)."""

    similarity: np.ndarray
    genuine: np.ndarray

    @classmethod
    def of(cls, left: np.ndarray, right: np.ndarray, genuine: np.ndarray) -> "Scored":
        """Pairs of embeddings, n x D each."""
        difference = left.astype(np.float64) - right
        return cls(-np.square(difference).sum(axis=1), np.asarray(genuine, dtype=bool))

    def __len__(self) -> int:
        return len(self.genuine)

    @property
    def impostors(self) -> int:
        """How many pairs show different people."""
        return int((~self.genuine).sum())

    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Thresholds, highest first, with the pairs accepted at each: impostor and genuine ones.

        Only distinct similarities are thresholds, so that equal ones are accepted together. The
        first threshold is infinite and accepts nothing.
        """
        order = np.argsort(-self.similarity, kind="stable")
        similarity, genuine = self.similarity[order], self.genuine[order]
        last = np.append(similarity[1:] != similarity[:-1], True)
        accepted = np.cumsum(genuine)[last], np.cumsum(~genuine)[last]
        true, false = (np.concatenate([[0], counts]) for counts in accepted)
        return np.concatenate([[np.inf], similarity[last]]), false, true


def best_threshold(pairs: Scored) -> float:
    """The threshold that classifies most pairs rightly, halfway to the next lower similarity.

    Of several equally good ones it is the highest. LFW (Huang et al. 2007) leaves the choice to the
    user; published code steps through a grid.
    """
    thresholds, false, true = pairs.curve()
    best = int(np.argmax(true - false))
    if best == 0 or best == len(thresholds) - 1:
        return float(thresholds[best])
    return float((thresholds[best] + thresholds[best + 1]) / 2)


def accuracy(pairs: Scored, threshold: float) -> float:
    """The share of pairs that the threshold classifies rightly."""
    return float(((pairs.similarity >= threshold) == pairs.genuine).mean())


def equal_error_rate(pairs: Scored) -> float:
    """Where false accepts and false rejects have the same rate, between two thresholds linearly."""
    _, false, true = pairs.curve()
    accepts = false / false[-1]
    rejects = 1 - true / true[-1]
    after = int(np.argmax(accepts >= rejects))
    gap = rejects - accepts
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(accepts[after - 1] + share * (accepts[after] - accepts[after - 1]))


def tar_at_far(pairs: Scored, rate: float) -> float | None:
    """The share of genuine pairs accepted where at most ``rate`` of the impostors are.

    No interpolation between thresholds. None where there are fewer than 1 / ``rate`` impostors: no
    threshold then has that rate other than none at all.
    """
    if pairs.impostors * rate < 1 - 1e-9:
        return None
    _, false, true = pairs.curve()
    allowed = np.flatnonzero(false <= rate * pairs.impostors + 1e-9)
    return float(true[allowed[-1]] / true[-1])


def area_under_curve(pairs: Scored) -> float:
    """The chance that a genuine pair is more alike than an impostor; equal ones count half."""
    _, false, true = pairs.curve()
    return float(np.trapezoid(true / true[-1], false / false[-1]))


def decidability(pairs: Scored) -> float | None:
    """Daugman's d' with its sign (:mod:`dmlbench.tensors.decidability`); None without spread."""
    values = pairs.similarity[pairs.genuine], pairs.similarity[~pairs.genuine]
    moments = Moments(values[0].mean(), values[0].var(), values[1].mean(), values[1].var())
    return float(moments.decidability()) if moments.spread > 0 else None


def fold_accuracies(
    pairs: Scored, folds: np.ndarray, others: tuple[Scored, np.ndarray]
) -> dict[int, float]:
    """The accuracy on each fold, with the threshold from the other folds.

    Huang et al. 2007, section 3 (View 2).

    Args:
        pairs: The pairs to score, of any of the folds.
        folds: The fold of each.
        others: Pairs to choose thresholds from, and their folds.
    """
    given, given_folds = others
    result = {}
    for fold in np.unique(folds):
        mine, rest = folds == fold, given_folds != fold
        threshold = best_threshold(Scored(given.similarity[rest], given.genuine[rest]))
        tested = Scored(pairs.similarity[mine], pairs.genuine[mine])
        result[int(fold)] = accuracy(tested, threshold)
    return result
