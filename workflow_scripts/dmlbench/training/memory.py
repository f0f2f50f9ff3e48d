"""What a batch too large for the memory ends with: the size that would fit."""

import gc

import torch

from dmlbench.training.step import Step

#: What PyTorch and the libraries below it say where they have no error of their own for this.
_TOLD = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "can't allocate memory",
    "not enough memory",
    "could not create a memory",
    "could not create a primitive",
    "std::bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is used up."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or (isinstance(error, RuntimeError) and any(text in str(error) for text in _TOLD))


def fitting_batch(
    step: Step, shape: tuple[int, ...], classes: int, per_class: int, device: torch.device
) -> int:
    """The largest batch smaller than the one that did not fit, found by trying; 0 if none does.

    Args:
        step: A step of the run.
        shape: Of the input that did not fit: B x C x H x W.
        classes: Classes there are.
        per_class: Images of each in a batch, of which its size is a multiple.
        device: Where to try.
    """
    step.optimizer.zero_grad(set_to_none=True)
    _release()
    # What Adam keeps from its first step on.
    moments = 0 if step.optimizer.state else 2
    kept = [torch.zeros_like(p) for p in step.model.parameters() for _ in range(moments)]
    fits, fails = 0, -(-shape[0] // per_class)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if _goes(step, (middle * per_class, *shape[1:]), classes, per_class, device):
            fits = middle
        else:
            fails = middle
    del kept
    return fits * per_class


def _goes(
    step: Step, shape: tuple[int, ...], classes: int, per_class: int, device: torch.device
) -> bool:
    labels = torch.arange(shape[0], device=device) // per_class % classes
    try:
        step.rehearse(torch.zeros(shape, device=device), labels)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        goes = False
    else:
        goes = True
    _release()  # here, where nothing holds the failed step
    return goes


def _release() -> None:
    """Give memory back that nothing uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
