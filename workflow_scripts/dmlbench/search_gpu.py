"""Candidates for nearest neighbours on a GPU, by torch; see :mod:`dmlbench.search`.

Nothing here imports torch before it is given a tensor.
"""

import threading
from typing import Any

import numpy as np

from dmlbench.search import Points

#: Candidates beyond those wanted, so that one of them is surely too far.
PADDING = 32


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is a torch tensor."""
    return type(value).__module__.partition(".")[0] == "torch"


def on_gpu(embeddings: Any) -> bool:
    """Whether ``embeddings`` are a tensor that is not on the CPU."""
    return is_tensor(embeddings) and embeddings.device.type != "cpu"


def to_gpu(embeddings: np.ndarray) -> Any:
    """Embeddings as a tensor on the GPU; as they are where there is none."""
    import torch

    return torch.from_numpy(embeddings).cuda() if torch.cuda.is_available() else embeddings


def as_array(embeddings: Any) -> np.ndarray:
    """Embeddings as a NumPy array of float32, contiguous."""
    if is_tensor(embeddings):
        embeddings = embeddings.detach().float().cpu().numpy()
    return np.ascontiguousarray(embeddings, dtype=np.float32)


class GpuPoints(Points):
    """The points on a device: products and candidates there, a short list for each row back.

    Float32 without TF32, whatever else the process has set.
    """

    def __init__(self, source: np.ndarray, order: np.ndarray, device: Any) -> None:
        import torch

        super().__init__(source, order, np.float32)
        self.lock = threading.Lock()  # how torch multiplies is set for the whole process
        self.on_device = torch.from_numpy(self.values).to(device)

    def candidates(
        self, rows: np.ndarray, wanted: int, limit: int | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See :meth:`dmlbench.search.Points.candidates`; ``limit`` is the width of the list."""
        import torch

        width = min(wanted + PADDING, len(self))
        queries = torch.from_numpy(self.queries(rows)).to(self.on_device.device)
        with self.lock:
            before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("highest")
            try:
                best = (queries @ self.on_device.T).topk(width, dim=1)
            finally:
                torch.set_float32_matmul_precision(before)
        scores, found = best.values.cpu().numpy(), best.indices.cpu().numpy()
        least = scores[:, wanted - 1] - 3 * self.error[rows].astype(np.float32)
        given_up = (scores[:, -1] >= least) & (width < len(self))
        return np.where(scores < least[:, None], -np.inf, scores), found, given_up
