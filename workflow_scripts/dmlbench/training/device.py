"""The device of a run: chosen, made to repeat to the bit, out of memory."""

import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from dmlbench.data.reader import ImageReader
from dmlbench.errors import OutOfMemoryError, TrainingError
from dmlbench.models.embedder import embed

#: What PyTorch and the libraries below it say where they have no error class for it.
_NO_MEMORY = re.compile(
    "out of memory|ALLOC_FAILED|allocate memory|enough memory|create a memory|create a primitive"
    "|bad_alloc"
)


def make_deterministic(threads: int) -> None:
    """Use deterministic kernels only, and a fixed number of threads.

    Sums split over another number of threads round differently, so the number comes from the
    config and not from what the machine has free.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
    torch.set_num_threads(threads)
    # The same as use_deterministic_algorithms(True), which also imports the compiler: 4 s a job.
    torch.set_deterministic_debug_mode("error")
    # Filling helps only to find code that reads uninitialised memory.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def seed_everything(seed: int) -> None:
    """Seed the global streams, for code that is not ours: a library's or a user's loss or miner."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002


def pick_device(name: str) -> torch.device:
    """``auto`` is the GPU where there is one; a TrainingError where ``cuda`` finds none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("device: cuda, and PyTorch finds no GPU here; take device: auto or cpu")
    return torch.device(name)


@contextmanager
def memory_for(what: str, device: torch.device, remedy: str) -> Iterator[None]:
    """Where ``what`` is worked on: an OutOfMemoryError says that it does not fit, and a remedy."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not known and not _NO_MEMORY.search(str(error)):
            raise
        told = str(error).partition("\n")[0] or type(error).__name__
        raise OutOfMemoryError(
            f"{what} does not fit into {_memory_of(device)} ({told}); {remedy}"
        ) from None


@contextmanager
def memory_to_embed(size: int, device: torch.device) -> Iterator[None]:
    """:func:`memory_for` where images of ``size`` pixels a side are embedded."""
    what = f"embedding images of {size} x {size} pixels"
    remedy = "lower recipe.image_size, or take a device with more memory"
    with memory_for(what, device, remedy):
        yield


def embed_all(model: nn.Module, reader: ImageReader, rows: np.ndarray) -> torch.Tensor:
    """:func:`dmlbench.models.embedder.embed`, with an OutOfMemoryError where that does not fit."""
    with memory_to_embed(reader.size, reader.device):
        return embed(model, reader, rows)


def _memory_of(device: torch.device) -> str:
    if device.type != "cuda":
        return "the memory of this machine"
    total = torch.cuda.get_device_properties(device).total_memory / 2**30
    return f"the memory of {torch.cuda.get_device_name(device)} with {total:.0f} GiB"
