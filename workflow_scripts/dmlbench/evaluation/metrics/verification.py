"""Verification: do two images show the same person? The threshold comes from other pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dmlbench.evaluation.metric import Measure, Metric, register_metric, row
from dmlbench.losses.decidability import Moments

if TYPE_CHECKING:  # pandas, which reading a config must not import
    from dmlbench.evaluation.scored_pairs import PairSample, Scored


@register_metric(
    "verification",
    measures={
        "verification_accuracy": Measure("accuracy", printed=True),
        "verification_accuracy_sem": Measure("standard error of accuracy"),
        "eer": Measure("EER", printed=True, higher=False),
        "auc": Measure("AUC", printed=True),
        "tar_at_far_{}": Measure("TAR@{}", printed=True),
        "d_prime": Measure("d\N{PRIME}", True, -np.inf, np.inf, scale=1.0, decimals=2),
    },
    of_pairs=True,
)
class Verification(Metric):
    """Accuracy at a threshold from other pairs; EER, AUC, TAR at FAR and d' of all folds pooled."""

    def rows(self, sample: PairSample) -> list[dict]:
        return _accuracy(sample) + _pooled(sample.pairs, sample.settings.far)


def _accuracy(sample: PairSample) -> list[dict]:
    """The accuracy; over folds its mean and standard error (Huang et al. 2007, section 3)."""
    scope = f"{len(sample.pairs):,} of {sample.total:,} pairs"
    if sample.given_folds is None:
        value = accuracy(sample.pairs, best_threshold(sample.given))
        note = f"threshold from the {len(sample.given):,} of {sample.view}_threshold"
        return [row("verification_accuracy", 0, value, f"{scope}; {note}")]
    folds = np.unique(sample.folds)
    thresholds = [best_threshold(sample.given[sample.given_folds != fold]) for fold in folds]
    tested = [sample.pairs[sample.folds == fold] for fold in folds]
    values = np.array([accuracy(*pair) for pair in zip(tested, thresholds, strict=True)])
    note = f"{scope}; mean over {len(values)} folds, threshold from the other folds"
    sem = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    none = f"fold {folds[0]} only; train once for each fold"
    return [
        row("verification_accuracy", 0, float(values.mean()), note),
        row("verification_accuracy_sem", 0, sem, "standard error over folds", none),
    ]


def _pooled(pairs: Scored, rates: list[float]) -> list[dict]:
    """Measures without a chosen threshold, of all pairs that may be scored."""
    from sklearn.metrics import roc_auc_score

    note = f"{len(pairs) - pairs.impostors:,} genuine and {pairs.impostors:,} impostor pairs"
    area = float(roc_auc_score(pairs.genuine, pairs.similarity))
    rows = [row("eer", 0, equal_error_rate(pairs), note), row("auc", 0, area, note)]
    for rate in rates:
        few = f"{note}; too few for FAR {rate:g}"
        rows.append(row(f"tar_at_far_{rate:g}", 0, tar_at_far(pairs, rate), note, few))
    return [*rows, row("d_prime", 0, decidability(pairs), note, "no spread")]


def best_threshold(pairs: Scored) -> float:
    """The threshold that classifies most pairs rightly, halfway to the next lower similarity.

    The highest of equally good ones. LFW (Huang et al. 2007) leaves the choice to the user;
    published code steps through a grid.
    """
    from sklearn.metrics import confusion_matrix_at_thresholds

    _, false, _, true, thresholds = confusion_matrix_at_thresholds(pairs.genuine, pairs.similarity)
    gain = np.append(0, true - false)  # the first threshold accepts nothing
    thresholds = np.append(np.inf, thresholds)
    best = int(np.argmax(gain))
    if best == 0 or best == len(thresholds) - 1:
        return float(thresholds[best])
    return float((thresholds[best] + thresholds[best + 1]) / 2)


def accuracy(pairs: Scored, threshold: float) -> float:
    """The share of pairs that the threshold classifies rightly."""
    return float(((pairs.similarity >= threshold) == pairs.genuine).mean())


def equal_error_rate(pairs: Scored) -> float:
    """Where false accepts and false rejects have the same rate, between two thresholds linearly."""
    accepts, true = pairs.accept_rates()
    rejects = 1 - true
    after = int(np.argmax(accepts >= rejects))
    gap = rejects - accepts
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(accepts[after - 1] + share * (accepts[after] - accepts[after - 1]))


def tar_at_far(pairs: Scored, rate: float) -> float | None:
    """The share of genuine pairs accepted where at most ``rate`` of the impostors are.

    No interpolation between thresholds. None where there are fewer than 1 / ``rate`` impostors.
    """
    if pairs.impostors * rate < 1 - 1e-9:
        return None
    false, true = pairs.accept_rates()
    return float(true[np.flatnonzero(false * pairs.impostors <= rate * pairs.impostors + 1e-9)[-1]])


def decidability(pairs: Scored) -> float | None:
    """Daugman's d' with its sign (:mod:`dmlbench.losses.decidability`); None without spread."""
    values = pairs.similarity[pairs.genuine], pairs.similarity[~pairs.genuine]
    moments = Moments(values[0].mean(), values[0].var(), values[1].mean(), values[1].var())
    return float(moments.decidability()) if moments.spread > 0 else None
