"""Anti-collapse loss: the coding rate of embeddings or proxies."""

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F

from dmlbench.errors import ConfigError
from dmlbench.losses.base import Loss, LossResult, register_loss
from dmlbench.plugins.types import PositiveFloat
from dmlbench.samplers.batch import Batch, Tuples

_NO_PROXIES = (
    "coding_rate: of: {of} needs one proxy loss beside it in the same sum, and there {found}; put "
    "such a loss there, or take of: batch"
)


@register_loss("coding_rate", takes="batch", label="Anti-collapse")
class CodingRate(Loss):
    """Anti-collapse loss: -R, R = 1/2 logdet(I + d / (n epsilon^2) Z^T Z).

    Jiang et al. 2024 (Anti-Collapse Loss). Z are n unit vectors of dimension d. The higher their
    coding rate R, the more directions they span. It is a regulariser: add it to a loss by ``sum``.
    It has a gradient on a batch of one class too. Their released code minimises exp(-R), and for
    proxies swaps d and n in the factor: a weight there is not one here.
    """

    def __init__(
        self,
        *,
        of: Literal["batch", "proxies", "batch_proxies"] = "batch",
        epsilon_squared: PositiveFloat = 0.5,
        **sizes: int,
    ) -> None:
        """Set what Z are, and the precision that a vector is coded to.

        ``of``: the embeddings of the ``batch``, all ``proxies`` of the one proxy loss beside it in
        the same sum, or the proxies of the classes in the batch (``batch_proxies``).
        """
        super().__init__(**sizes)
        self.of = of
        self.epsilon_squared = epsilon_squared
        self._owner: tuple = ()  # in a tuple, so that its parameters are not this loss's too

    def find_proxies(self, others: list[Loss]) -> None:
        """Take the proxies of one of the ``others``; a ConfigError where not one of them has any.

        It is looked for when the sum is made.
        """
        if self.of == "batch":
            return
        owners = [module for module in map(_with_proxies, others) if module is not None]
        if len(owners) != 1:
            found = f"are {len(owners)}" if owners else "is none"
            raise ConfigError(_NO_PROXIES.format(of=self.of, found=found))
        if self.of == "batch_proxies" and len(owners[0].proxies) != self.num_classes:
            raise ConfigError(
                "coding_rate: of: batch_proxies needs the proxies of a class in one row"
            )
        self._owner = (owners[0],)

    def refusals(self, recipe: dict, steps: int | None) -> Iterator[str]:
        """Refuse to work on proxies outside a sum."""
        if self.of != "batch" and not self._owner:
            yield _NO_PROXIES.format(of=self.of, found="is none")

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        if self.of != "batch" and not self._owner:
            raise ConfigError(_NO_PROXIES.format(of=self.of, found="is none"))
        points = self._owner[0].proxies if self._owner else batch.embeddings
        points = F.normalize(points.to(batch.embeddings.dtype), dim=-1)
        counted = torch.ones_like(points[..., :1])  # one vector or more in a row
        if self.of == "batch_proxies":
            # A vector of zeros adds nothing to the determinant. A list would wait for a GPU.
            counted = torch.zeros_like(counted).index_fill(0, batch.labels, 1.0)
        points = (points * counted).flatten(0, -2)
        rate = coding_rate(points, counted.sum(), self.epsilon_squared)
        return LossResult(-rate, means={"coding_rate": rate})


def coding_rate(points: torch.Tensor, number: torch.Tensor, epsilon_squared: float) -> torch.Tensor:
    """1/2 logdet(I + d / (n epsilon^2) Z^T Z) of N x d ``points``, of which ``number`` count as n.

    Z Z^T has the same determinant, and is taken where it is smaller.
    """
    rows, dim = points.shape
    gram = points @ points.T if rows < dim else points.T @ points
    gram = gram * (dim / (number * epsilon_squared))
    gram = gram + torch.eye(len(gram), dtype=points.dtype, device=points.device)
    # It is positive definite; cholesky_ex does not stop at NaN, and does not wait for a GPU.
    root, _ = torch.linalg.cholesky_ex(gram)
    return root.diagonal().log().sum()


def _with_proxies(loss: Loss) -> torch.nn.Module | None:
    """What of a loss, ours or a library's, holds proxies (C x D or C x K x D), if anything does."""
    for module in (loss, getattr(loss, "module", None)):
        if isinstance(getattr(module, "proxies", None), torch.Tensor):
            return module
    return None
