"""Whether what is measured of a part can vary, and of how many images and classes it is."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from dmlbench.config.dataset_facts import Part


class Queries(NamedTuple):
    """Some queries of a part, as masks of its rows."""

    all: np.ndarray
    matched: np.ndarray  # the gallery has another image of their class
    opposed: np.ndarray  # and one of another class
    copied: np.ndarray  # and an image with the same pixels, which is always the nearest

    @property
    def open(self) -> np.ndarray:
        """Those whose Recall@1 the embeddings decide."""
        return self.matched & self.opposed & ~self.copied


def queries_of(part: Part, index: pd.DataFrame) -> Queries:
    """The queries of a part that has images."""
    rows = part.rows(index)
    labels, contents = (pd.factorize(index[c].iloc[rows])[0] for c in (part.label, "content"))
    queries, gallery = part.roles(index) or np.ones((2, len(rows)), dtype=bool)
    own = np.bincount(labels, gallery)[labels] - gallery
    others = gallery.sum() - gallery - own
    copied = np.bincount(contents, gallery)[contents] > gallery
    return Queries(queries, queries & (own > 0), queries & (others > 0), queries & copied)


def constant(part: Part, index: pd.DataFrame) -> str:
    """Why Recall@1 of a part is the same for all embeddings; empty where it can vary.

    It varies where some query has an image of its class and one of another class in its gallery,
    and no copy of itself there, which would always be the nearest.
    """
    if not len(part.rows(index)):
        return f"there are no images of {part}"
    queries = queries_of(part, index)
    if queries.open.any():
        return ""
    if not queries.all.any():
        why = "there is no query"
    elif not queries.opposed.any():
        why = "all images are of one class"
    elif not queries.matched.any():
        apart = part.roles(index) is not None
        why = "no query has a match in the gallery" if apart else "each class has one image"
    else:
        why = "each query with an image of its class has a copy of itself in the gallery"
    return f"Recall@1 of {part} cannot vary: {why}"


def counts_of(parts: list[Part], index: pd.DataFrame) -> dict[str, int]:
    """The counts of an index as those of :class:`DatasetFacts`: images, galleries and classes."""
    counts = {}
    for part in parts:
        rows, roles = part.rows(index), part.roles(index)
        place = "/".join(filter(None, part[:2]))
        counts |= {
            place: len(rows),
            f"{place}:{part.label}": index[part.label].iloc[rows].nunique(),
        }
        if roles:
            counts[f"{place}@gallery"] = int(roles.gallery.sum())
    return counts
