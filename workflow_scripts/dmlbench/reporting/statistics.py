"""Means and intervals over training seeds."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """A mean over seeds.

    Attributes:
        mean: The mean.
        sd: The standard deviation over seeds (n - 1); None for one seed.
        half_width: Half the width of the 95% t-interval; None for one seed, which has none.
        n: Number of seeds.
    """

    mean: float
    sd: float | None
    half_width: float | None
    n: int


def summarize(values: np.ndarray) -> Summary:
    """Mean, standard deviation and 95% t-interval of ``values``, one per seed.

    Raises:
        ValueError: There are no values, or one is not finite.
    """
    values = np.asarray(values, dtype=float)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"need finite values, got {values}")
    if values.size == 1:
        return Summary(float(values[0]), None, None, 1)
    error = float(stats.sem(values))
    half = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, values.size - 1))
    return Summary(float(values.mean()), float(values.std(ddof=1)), half, values.size)
