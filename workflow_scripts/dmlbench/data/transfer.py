"""Moving pixels and numbers to a GPU without waiting for it."""

import numpy as np
import torch

#: Of the free memory of a GPU, the share that images may take for good.
_SHARE = 1 / 3
#: Bytes copied at a time.
_BLOCK = 1 << 26


def send(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """``values`` on ``device``; the same memory where they are there already."""
    tensor = torch.as_tensor(values)
    if tensor.device.type == device.type:
        return tensor
    # A copy from pinned memory takes its turn among the kernels; another one is waited for.
    return tensor.pin_memory().to(device, non_blocking=True)


def has_room(size: int, device: torch.device) -> bool:
    """Whether ``size`` bytes may stay on a GPU: at most a third of what is free there."""
    return device.type == "cuda" and size <= _SHARE * torch.cuda.mem_get_info(device)[0]


def copied(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """A long, flat array on ``device``, copied piece by piece, as it may be mapped from a file."""
    result = torch.empty(len(array), dtype=torch.from_numpy(array[:0].copy()).dtype, device=device)
    for start in range(0, len(array), _BLOCK):
        piece = np.array(array[start : start + _BLOCK])
        result[start : start + _BLOCK] = torch.from_numpy(piece)
    return result
