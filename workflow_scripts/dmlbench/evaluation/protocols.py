"""The verification protocols of a dataset with pairs: which pairs are scored, which choose."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from dmlbench.data.verification_pairs import clean
from dmlbench.errors import DataError
from dmlbench.evaluation import verification
from dmlbench.evaluation.measure import row
from dmlbench.evaluation.verification import Scored

#: What a protocol's name gets where it only chooses the threshold of another.
THRESHOLD = "_threshold"


def verify(
    table: pd.DataFrame, embeddings: np.ndarray, ids: np.ndarray, rates: list[float]
) -> dict[str, list[dict]]:
    """Every protocol's rows of the long form.

    Only pairs of people that training never saw are scored
    (:func:`dmlbench.data.verification_pairs.clean`); the notes say how many were left out. A
    threshold comes from the pairs of ``<protocol>_threshold``
    where there are such (LFW, View 1), else from the other folds (View 2): from those of their
    pairs that may be scored too, or from all where there are none, as in ten trainings that each
    leave one fold out.

    Args:
        table: Pairs of all protocols (:func:`dmlbench.data.verification_pairs.of_run`).
        embeddings: N x D, float32, of all images in ``table``.
        ids: Their N image ids.
        rates: False accept rates for TAR@FAR.

    Raises:
        DataError: An image has no embedding, an embedding is not finite, or no pair can be scored.
    """
    by_protocol = dict(list(table.groupby("protocol", sort=False)))
    scored = scorer(embeddings, ids)
    result = {}
    for name in by_protocol:
        if not name.endswith(THRESHOLD):
            tested = clean(by_protocol[name])
            rows = _accuracy(name, tested, by_protocol, scored)
            result[name] = rows + _pooled(scored(tested), rates)
    return result


def scored_pairs(table: pd.DataFrame, embeddings: np.ndarray, ids: np.ndarray) -> dict[str, Scored]:
    """The pairs of every protocol that :func:`verify` scores, with their similarities.

    Raises:
        DataError: As :func:`verify`.
    """
    scored = scorer(embeddings, ids)
    protocols = table.groupby("protocol", sort=False)
    return {n: scored(clean(pairs)) for n, pairs in protocols if not n.endswith(THRESHOLD)}


def scorer(embeddings: np.ndarray, ids: np.ndarray) -> Callable[[pd.DataFrame], Scored]:
    """What gives a table of pairs their similarities.

    Raises:
        DataError: An embedding is not finite; or, later, an image has none.
    """
    if not np.isfinite(embeddings).all():
        raise DataError("the embeddings hold NaN or infinity: the run diverged")
    place = pd.Series(np.arange(len(ids)), index=ids)

    def scored(pairs: pd.DataFrame) -> Scored:
        if not set(pairs["left"]) | set(pairs["right"]) <= set(ids):
            raise DataError("embeddings of the pairs lack images; embed again")
        left, right = (embeddings[place[pairs[side]]] for side in ("left", "right"))
        return Scored.of(left, right, pairs["same"].to_numpy())

    return scored


def _accuracy(
    name: str,
    tested: pd.DataFrame,
    by_protocol: dict[str, pd.DataFrame],
    scored: Callable[[pd.DataFrame], Scored],
) -> list[dict]:
    table = by_protocol[name]
    scope = f"{len(tested):,} of {len(table):,} pairs"
    if (chooser := by_protocol.get(name + THRESHOLD)) is not None:
        threshold = verification.best_threshold(scored(chooser))
        value = verification.accuracy(scored(tested), threshold)
        note = f"{scope}; threshold from the {len(chooser):,} of {name}{THRESHOLD}"
        return [row("verification_accuracy", 0, value, note)]
    folds = tested["fold"].to_numpy()
    given = tested if len(np.unique(folds)) > 1 else table
    if given["fold"].nunique() < 2:
        raise DataError(f"{name}: one fold, and no pairs to choose a threshold from")
    others = scored(given), given["fold"].to_numpy()
    by_fold = verification.fold_accuracies(scored(tested), folds, others)
    values = np.array(list(by_fold.values()))
    note = f"{scope}; mean over {len(values)} folds, threshold from the other folds"
    rows = [row("verification_accuracy", 0, float(values.mean()), note)]
    sem, note = None, f"fold {next(iter(by_fold))} only; train once for each fold"
    if len(values) > 1:
        sem, note = float(values.std(ddof=1) / np.sqrt(len(values))), "standard error over folds"
    return [*rows, row("verification_accuracy_sem", 0, sem, note)]


def _pooled(pairs: Scored, rates: list[float]) -> list[dict]:
    """Measures without a chosen threshold, of all pairs that may be scored."""
    genuine, impostors = len(pairs) - pairs.impostors, pairs.impostors
    note = f"{genuine:,} genuine and {impostors:,} impostor pairs"
    names = ("eer", "auc", *(f"tar_at_far_{rate:g}" for rate in rates), "d_prime")
    if not genuine or not impostors:
        return [row(name, 0, None, note) for name in names]
    rows = [
        row("eer", 0, verification.equal_error_rate(pairs), note),
        row("auc", 0, verification.area_under_curve(pairs), note),
    ]
    for rate in rates:
        value = verification.tar_at_far(pairs, rate)
        few = "" if value is not None else f"; too few for FAR {rate:g}"
        rows.append(row(f"tar_at_far_{rate:g}", 0, value, note + few))
    spread = verification.decidability(pairs)
    rows.append(row("d_prime", 0, spread, note if spread is not None else "no spread"))
    return rows
