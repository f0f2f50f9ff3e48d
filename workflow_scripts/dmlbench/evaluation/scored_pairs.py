"""The pairs of verification views with the similarity of their images.

The similarity of two images is minus the squared Euclidean distance of their embeddings; for unit
vectors that is 2 cos - 2, so that every measure equals that of the cosine. A pair is accepted when
its similarity reaches a threshold.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.data.store import content_hash
from dmlbench.data.verification_pairs import clean, of_run
from dmlbench.errors import DataError
from dmlbench.evaluation.coincidence import without_rounding
from dmlbench.evaluation.embeddings import embeddings_of
from dmlbench.records import read_table


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

    def __getitem__(self, kept: np.ndarray) -> "Scored":
        return Scored(self.similarity[kept], self.genuine[kept])

    def accept_rates(self, all_thresholds: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """False and true accept rates at each threshold, the highest (infinite) threshold first.

        Else only at the corners of the ROC curve.
        """
        from sklearn.metrics import roc_curve

        return roc_curve(self.genuine, self.similarity, drop_intermediate=not all_thresholds)[:2]

    @property
    def impostors(self) -> int:
        """How many pairs show different people."""
        return int((~self.genuine).sum())


@dataclass(frozen=True)
class PairSample:
    """One verification view with the embeddings of a run.

    Attributes:
        view: Its name, such as ``view2``.
        pairs: The pairs that may be scored: of people whom training never saw.
        folds: The fold of each.
        total: How many pairs the view has.
        given: Pairs to choose thresholds from.
        given_folds: The fold of each; None where they are a view of their own (LFW, View 1).
        settings: The config's ``evaluation`` section.
    """

    view: str
    pairs: Scored
    folds: np.ndarray
    total: int
    given: Scored
    given_folds: np.ndarray | None
    settings: Any = None


def samples_of_run(plan: Plan, run: Run, index: pd.DataFrame, selection: str) -> list[PairSample]:
    """:func:`pair_samples` of a run's dataset, by the run's stored embeddings and its index."""
    pairs = read_table(plan.data_folder(run) / paths.PAIRS_FILE, content_hash(index))
    table = of_run(pairs, index, plan.facts(run.dataset).train_label)
    stored = embeddings_of(plan, run, paths.OF_PAIRS, selection)
    return pair_samples(table, *stored, plan.benchmark.evaluation)


def pair_samples(
    table: pd.DataFrame, embeddings: np.ndarray, ids: np.ndarray, settings: Any = None
) -> list[PairSample]:
    """Every view of a table of pairs, with the similarities by N x D embeddings.

    The table is that of :func:`dmlbench.data.verification_pairs.of_run`; ``ids`` are those of the
    embedded images. A DataError says that an embedding is missing or not finite, or that no
    threshold can be chosen.

    Thresholds come from the pairs of ``<view>_threshold`` where there are such (LFW, View 1),
    else from the other folds (View 2). These are the pairs that may be scored, or all pairs where
    only one fold may be scored, as in ten trainings that each leave one fold out.
    """
    if not np.isfinite(embeddings).all():
        raise DataError("the embeddings hold NaN or infinity: the run diverged")
    embeddings = without_rounding(embeddings)
    known = pd.Index(ids)

    def scored(pairs: pd.DataFrame) -> Scored:
        places = [known.get_indexer(pairs[side]) for side in ("left", "right")]
        if np.min(places, initial=0) < 0:
            raise DataError("embeddings of the pairs lack images; embed again")
        return Scored.of(*embeddings[places], pairs["same"].to_numpy())

    by_view = dict(list(table.groupby("view", sort=False)))
    result = []
    for name, whole in by_view.items():
        if name.endswith("_threshold"):  # it only chooses that of another
            continue
        tested = clean(whole)
        given, folds = by_view.get(f"{name}_threshold"), None
        if given is None:
            given = tested if tested["fold"].nunique() > 1 else whole
            folds = given["fold"].to_numpy()
            if len(np.unique(folds)) < 2:
                raise DataError(f"{name}: one fold, and no pairs to choose a threshold from")
        sample = scored(tested), tested["fold"].to_numpy(), len(whole)
        result.append(PairSample(name, *sample, scored(given), folds, settings))
    return result
