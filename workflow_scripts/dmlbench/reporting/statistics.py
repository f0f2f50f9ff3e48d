"""Means and intervals over training seeds."""

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Summary:
    """A mean over seeds.

    Attributes:
        mean: The mean.
        half_width: Half the width of the 95% t-interval; None for one seed, which has none.
        n: Number of seeds.
    """

    mean: float
    half_width: float | None
    n: int


def summarize(values: np.ndarray, confidence: float = 0.95) -> Summary:
    """Mean and t-interval of ``values``, one per seed.

    Raises:
        ValueError: There are no values, or one is not finite.
    """
    values = np.asarray(values, dtype=float)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"need finite values, got {values}")
    if values.size == 1:
        return Summary(float(values[0]), None, 1)
    mean, error = float(values.mean()), float(stats.sem(values))
    half = 0.0 if error == 0 else float(stats.t.ppf((1 + confidence) / 2, values.size - 1) * error)
    return Summary(mean, half, values.size)
