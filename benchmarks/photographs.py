"""Made JPEGs, as large as photographs."""

import io

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
