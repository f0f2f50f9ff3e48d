"""What is measured during training, and which epoch's weights are kept for it."""

import copy
from dataclasses import dataclass, field

import numpy as np
import torch

from dmlbench.data.reader import ImageReader
from dmlbench.knn import recall_at
from dmlbench.models.embed import embed


@dataclass(frozen=True)
class Monitor:
    """Recall@1 of one set of images.

    Attributes:
        rows: Rows of the index.
        labels: Their labels.
        ids: Their image ids.
    """

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

        Args:
            epoch: Number of the epoch that just ended, from 1.
            model: The model at its end.
            measured: Recall@1 by selection (``val``, ``test_max``), in measured epochs.
        """
        better = [
            name
            for name, value in measured.items()
            if name in self.names and value > self.best.get(name, -1.0)
        ]
        self.best |= {name: measured[name] for name in better}
        keep = better + (["last"] if "last" in self.names else [])
        if keep:
            whole = {"copy": True, "memory_format": torch.contiguous_format}
            weights = {k: v.detach().to("cpu", **whole) for k, v in model.state_dict().items()}
            for name in keep:
                self.weights[name] = copy.copy(weights)
                self.epochs[name] = epoch
