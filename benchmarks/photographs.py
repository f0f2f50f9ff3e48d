"""Made JPEGs, as large as photographs, and the usual way to read them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def photograph(number: int, width: int, height: int) -> bytes:
    """A JPEG as large as a photograph's: smooth shapes and a little noise, quality 90."""
    rng = np.random.default_rng(number)
    shapes = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    smooth = np.asarray(shapes.resize((width, height), Image.Resampling.BICUBIC))
    noisy = smooth + rng.normal(0, 6, smooth.shape).astype(np.float32)
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def decoding(
    files: list[Path], batch: int, size: int, workers: int, *more: object, pin_memory: bool = False
):
    """Shuffled batches of JPEG files as commonly made: torchvision's crops, image by image.

    Args:
        files: The images.
        batch: Images in a batch.
        size: Side of a crop in pixels.
        workers: Processes that decode, kept from pass to pass.
        more: Further transforms.
        pin_memory: As DataLoader has it.
    """
    # Only here: what measures memory does without.
    import torch
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            *more,
        ]
    )

    class Files(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, number: int) -> torch.Tensor:
            with Image.open(files[number]) as image:
                return transform(image.convert("RGB"))

    return torch.utils.data.DataLoader(
        Files(),
        batch,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        persistent_workers=True,
        pin_memory=pin_memory,
    )
