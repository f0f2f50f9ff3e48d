"""What choices of positives and negatives are, and their registries."""

from abc import ABC, abstractmethod

import torch

from dmlbench.plugins.registry import REGISTRIES
from dmlbench.samplers.batch import Batch

_POSITIVES, _NEGATIVES = REGISTRIES["positive"], REGISTRIES["negative"]
register_positive = _POSITIVES.register
register_negative = _NEGATIVES.register
get_negative = _NEGATIVES.get
positive_names = _POSITIVES.names
negative_names = _NEGATIVES.names


class PositiveChoice(ABC):
    """Chooses one positive, or a set of them, for each anchor.

    Attributes:
        chooses: ``one`` or ``set``.
    """

    chooses = "one"

    @abstractmethod
    def __call__(self, batch: Batch) -> torch.Tensor:
        """For ``one``, B positions; for ``set``, a B x B mask.

        What is chosen for an anchor without any positive is ignored.
        """


class NegativeChoice(ABC):
    """Chooses negatives for each anchor, knowing its positives.

    Attributes:
        chooses: ``one`` negative for each positive pair, or a ``set`` for each anchor.
    """

    chooses = "one"

    @abstractmethod
    def __call__(self, batch: Batch, *chosen: torch.Tensor) -> torch.Tensor:
        """Choose.

        Args:
            batch: The batch.
            chosen: For ``one``: T anchors and their T positives, as positions. For ``set``: the
                B x B mask of chosen positives.

        Returns:
            For ``one``, T positions; for ``set``, a B x B mask. What is chosen for an anchor
            without any negative is ignored.
        """
