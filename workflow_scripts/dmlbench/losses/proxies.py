"""What proxy losses have in common: one learned point for each class."""

from typing import Literal

import torch
from torch import nn

from dmlbench.losses.base import Loss
from dmlbench.samplers.batch import Batch
from dmlbench.tensors.distances import cosine_similarities


class ProxyLoss(Loss):
    """Base of the losses that compare images with proxies; both are L2-normalised.

    Attributes:
        proxies: num_classes x D, learned; only their directions matter.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        proxy_lr: float | None,
        initial: Literal["random", "class_means"] = "random",
    ) -> None:
        """Start proxies in random directions, or wait for :meth:`start`."""
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim)
        self.proxy_lr = proxy_lr
        self.wants_class_means = initial == "class_means"
        # Entries of about the size of a unit vector's, so that a step of the optimiser turns a
        # proxy as much as it would turn one on the sphere.
        self.proxies = nn.Parameter(torch.randn(num_classes, embedding_dim) / embedding_dim**0.5)

    @torch.no_grad()
    def start(self, class_means: torch.Tensor) -> None:
        """Put each proxy where the mean of its class lies."""
        self.proxies.copy_(nn.functional.normalize(class_means, dim=1))

    def similarities(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine similarities with all proxies, and a mask of each image's own: B x C both."""
        classes = torch.arange(self.num_classes, device=batch.labels.device)
        own = batch.labels[:, None] == classes  # one_hot would wait for a GPU
        proxies = self.proxies.to(batch.embeddings.dtype)
        return cosine_similarities(batch.embeddings, proxies), own

    def parameter_groups(self) -> list[dict]:
        """Proxies move at their own rate, if they have one, and are not decayed."""
        rate = {} if self.proxy_lr is None else {"lr": self.proxy_lr}
        return [{"params": [self.proxies], "weight_decay": 0.0, **rate}]
