"""Drawing columns of a matrix of weights."""

import torch
import torch.nn.functional as F

#: Weights are counted in steps of this: sums of them are exact, and the same on any device.
_STEPS = 2.0**30


def draw(weights: torch.Tensor, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One column for each of ``rows``, drawn in proportion to that row's weights.

    The cumulative sum of all rows is searched for a random number in the row's part of it. It is of
    integers: a sum of floats is not the same on every device and may step back where it should
    not fall. Nothing waits for a GPU.

    Args:
        weights: R x C, a mask, or weights between 0 and 1; below 2^-30 a weight counts as zero, so
            the largest of a row should be 1.
        rows: T rows, any of them any number of times.
        generator: The random stream.

    Returns:
        T columns; any column where the row has no weight.
    """
    columns = weights.shape[1]
    steps = weights if weights.dtype == torch.bool else weights * _STEPS
    sums = F.pad(steps.flatten().long().cumsum(0), (1, 0))
    first = rows * columns
    before = sums[first]
    uniform = torch.rand(len(rows), generator=generator, dtype=torch.float64, device=rows.device)
    wanted = before + (uniform * (sums[first + columns] - before)).long()
    found = torch.searchsorted(sums[1:], wanted, right=True)
    return (found - first).clamp_(0, columns - 1)
