"""Many patches of different sizes resized in one go, on any device.

Bilinear and antialiased, as :func:`dmlbench.data.transforms.resize` does for one image: of 8 bits
they differ by one grey level at most. Along either axis an output pixel is a weighted mean of input
pixels, so that a batch is two products with matrices of weights, and an output that is moved or
mirrored is another matrix.
"""

from dataclasses import dataclass

import numpy as np
import torch

from dmlbench.data.transfer import send

#: Input pixels, padding included, that are resized at a time.
_PIXELS = 1 << 24


@dataclass(frozen=True)
class Patches:
    """Which pixels become which output: B numbers each.

    Attributes:
        start: Where a patch begins in the pixels, a pixel being one number whatever its channels.
        stride: Pixels from one of its rows to the next.
        height, width: Its size.
        to_height, to_width: What it is resized to.
        top, left: Of the resized patch, the first row and column that are wanted.
        flip: Whether to mirror left and right.
    """

    start: np.ndarray
    stride: np.ndarray
    height: np.ndarray
    width: np.ndarray
    to_height: np.ndarray
    to_width: np.ndarray
    top: np.ndarray
    left: np.ndarray
    flip: np.ndarray


def resize_patches(pixels: torch.Tensor, patches: Patches, size: int) -> torch.Tensor:
    """``size`` squared of each resized patch: uint8 B x C x size x size, channels last in memory.

    Args:
        pixels: uint8 P x C, images row by row; on the device where the work is done.
        patches: B patches of them.
        size: Side of an output.
    """
    table = np.stack([np.asarray(v, dtype=np.int64) for v in vars(patches).values()])
    groups = _alike(patches.height, patches.width)
    resized = [
        _resized(
            pixels,
            send(table[:, rows], pixels.device),
            int(patches.height[rows].max()),
            int(patches.width[rows].max()),
            size,
        )
        for rows in groups
    ]
    places = np.argsort(np.concatenate(groups))
    return torch.cat(resized)[send(places, pixels.device)].permute(0, 3, 1, 2)


def _alike(heights: np.ndarray, widths: np.ndarray) -> list[np.ndarray]:
    """Patches of like size together, so that padding them to one size takes bounded memory."""
    order = np.argsort(heights * widths, kind="stable")
    groups, tallest, widest = [[]], 0, 0
    for number in order:
        tallest, widest = max(tallest, heights[number]), max(widest, widths[number])
        if groups[-1] and (len(groups[-1]) + 1) * tallest * widest > _PIXELS:
            groups.append([])
            tallest, widest = heights[number], widths[number]
        groups[-1].append(number)
    return [np.array(group) for group in groups]


def _resized(
    pixels: torch.Tensor, table: torch.Tensor, height: int, width: int, size: int
) -> torch.Tensor:
    """n patches padded to ``height`` x ``width``: uint8 n x size x size x C."""
    start, stride, heights, widths, to_height, to_width, top, left, flip = table
    # Where a patch has no more pixels its last one is read, and weighs nothing.
    y = torch.minimum(torch.arange(height, device=table.device), heights[:, None] - 1)
    x = torch.minimum(torch.arange(width, device=table.device), widths[:, None] - 1)
    patch = pixels[(start[:, None] + y * stride[:, None])[:, :, None] + x[:, None]].float()
    down = _weights(heights, to_height, top, torch.zeros_like(flip), height, size)
    across = _weights(widths, to_width, left, flip, width, size)
    rows = torch.bmm(down, patch.flatten(2)).unflatten(2, (width, -1))  # n x size x width x C
    columns = torch.bmm(across, rows.transpose(1, 2).flatten(2)).unflatten(2, (size, -1))
    return columns.transpose(1, 2).round().clamp_(0, 255).to(torch.uint8)


def _weights(
    length: torch.Tensor,
    to_length: torch.Tensor,
    first: torch.Tensor,
    mirrored: torch.Tensor,
    longest: int,
    size: int,
) -> torch.Tensor:
    """What each input pixel weighs in each output pixel of one axis: n x size x longest.

    A triangle around the output's centre, as wide as an output pixel is in the input, at least one
    input pixel to either side; normalised. As ``F.interpolate(..., antialias=True)`` has it.
    """
    out = torch.arange(size, device=length.device)
    out = torch.where(mirrored[:, None] == 1, size - 1 - out, out) + first[:, None]
    scale = (length.float() / to_length)[:, None]
    centre = ((out + 0.5) * scale)[:, :, None]
    pixel = torch.arange(longest, device=length.device)
    weights = 1 - (pixel + 0.5 - centre).abs() / scale.clamp(min=1)[:, :, None]
    weights = torch.where(pixel < length[:, None, None], weights.clamp_(min=0), 0)
    return (weights / weights.sum(dim=2, keepdim=True)).float()
