"""Float32 at least, whatever the network computes in."""

from contextlib import AbstractContextManager, nullcontext

import torch


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision becomes float32; float32 and float64 stay."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def full_precision(device: torch.device) -> AbstractContextManager:
    """Autocast off for a while; nothing, which takes less time, where it is off already."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
