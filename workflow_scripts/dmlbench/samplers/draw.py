"""Drawing columns of a matrix of weights."""

import torch

#: Weights are counted in steps of a row's largest over this: exact sums, the same on any device.
_STEPS = 2**30


def draw(weights: torch.Tensor, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One column for each of ``rows``, drawn in proportion to that row's weights.

    The cumulative sum of all rows is searched for a random number in the row's part of it. It is of
    integers: a sum of floats is not the same on every device and may step back where it should
    not fall. Nothing waits for a GPU.

    Args:
        weights: R x C, a mask or weights that are not negative. Below 2^-30 of the largest of its
            row a weight counts as zero.
        rows: T rows, any of them any number of times.
        generator: The random stream.

    Returns:
        T columns; any column where the row has no weight.
    """
    if weights.dtype == torch.bool:
        steps = weights.long()
    else:
        largest = weights.amax(dim=1, keepdim=True)
        steps = (weights / torch.where(largest > 0, largest, 1.0) * _STEPS).long()
    totals = steps.sum(dim=1)  # R
    before = totals.cumsum(0) - totals
    uniform = torch.rand(len(rows), generator=generator, dtype=torch.float64, device=weights.device)
    wanted = before[rows] + (uniform * totals[rows]).long()
    columns = weights.shape[1]
    found = torch.searchsorted(steps.flatten().cumsum(0), wanted, right=True)
    return (found - rows * columns).clamp(0, columns - 1)
