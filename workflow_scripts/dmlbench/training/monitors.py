"""What is measured during training, and which epoch's weights are kept for it."""

from dataclasses import dataclass, field

import numpy as np
import torch

from dmlbench.data.reader import ImageReader
from dmlbench.knn import recall_at
from dmlbench.models.embed import embed


@dataclass(frozen=True)
class Monitor:
    """Recall@1 of one set of images: rows of the index, their labels and image ids."""

    rows: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def measure(self, model: torch.nn.Module, reader: ImageReader) -> float:
        """Recall@1 of the model as it is; NaN embeddings give NaN."""
        embeddings = embed(model, reader, self.rows)
        if not embeddings.isfinite().all():
            return float("nan")
        return recall_at(embeddings, self.labels, self.ids, 1)


@dataclass
class Selections:
    """The weights kept so far: of the last epoch, and of the best by validation and by test.

    Of equally good epochs the first is kept.
    """

    names: list[str]
    weights: dict[str, dict] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)

    def update(self, epoch: int, model: torch.nn.Module, measured: dict[str, float]) -> None:
        """Keep the weights for ``last`` and for every selection whose measure improved.

        ``measured`` has Recall@1 by selection (``val``, ``test_max``) where ``epoch`` was measured.
        """
        better = {
            name: value
            for name, value in measured.items()
            if name in self.names and value > self.best.get(name, -1.0)
        }
        self.best |= better
        keep = [*better, "last"] if "last" in self.names else list(better)
        if keep:
            whole = {"copy": True, "memory_format": torch.contiguous_format}
            weights = {k: v.detach().to("cpu", **whole) for k, v in model.state_dict().items()}
            self.weights |= {name: weights.copy() for name in keep}
            self.epochs |= dict.fromkeys(keep, epoch)
