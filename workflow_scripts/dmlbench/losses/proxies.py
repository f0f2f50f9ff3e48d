"""Learned proxies of classes, one or several for each, of which the easy one counts."""

from typing import Literal, NamedTuple

import torch
from torch import nn

from dmlbench.losses.base import Loss
from dmlbench.plugins.types import LossRate, PositiveInt
from dmlbench.samplers.batch import Batch, cosine_similarities

#: How far several proxies of a class start from the class's mean, a unit vector.
_SPREAD = 0.1


class ProxySimilarities(NamedTuple):
    """How alike B images and P proxies are.

    Attributes:
        cosines: B x P cosine similarities.
        easy: B positions of proxies: the most similar one of the image's class.
        genuine: B x P mask of these.
        impostor: B x P mask: proxies of other classes.
    """

    cosines: torch.Tensor
    easy: torch.Tensor
    genuine: torch.Tensor
    impostor: torch.Tensor


class ProxyLoss(Loss):
    """Base of the losses that compare images with proxies; both are L2-normalised.

    ``proxies`` are (num_classes * proxies_per_class) x D, those of a class in a row, learned; only
    their directions matter.

    With several proxies a class, an image's own one is the most similar of its class's, the first
    of equals: Easy Positive Sampling (EPS, section 4.3) with proxies in the place of images, and
    the hard form of SoftTriple's centres (Qian et al. 2019). As in EPS, the class's others are
    neither positives nor negatives of the image, and negatives stay as they are: all proxies of all
    other classes. With only the nearest of these a proxy that is nobody's nearest would never move,
    and impostors would be more alike the more proxies there are. Nobody has published this: it is
    the join of EPS with ProxyNCA and PD-Loss.
    """

    def __init__(
        self,
        *,
        proxy_lr: LossRate = 5.0e-4,
        proxies_per_class: PositiveInt = 1,
        proxies: Literal["random", "class_means"] = "random",
        **sizes: int,
    ) -> None:
        """``proxy_lr`` is the proxies' learning rate.

        ``proxies`` start at ``random`` directions, or at the mean of each class's embeddings before
        the first step (``class_means``), several of a class around it.
        """
        super().__init__(**sizes)
        self.own_lr = proxy_lr
        self.wants_class_means = proxies == "class_means"
        self.proxies_per_class = proxies_per_class
        # Entries of about the size of a unit vector's, so that a step of the optimiser turns a
        # proxy as much as it would turn one on the sphere.
        count = self.num_classes * proxies_per_class
        self.proxies = nn.Parameter(
            torch.randn(count, self.embedding_dim) / self.embedding_dim**0.5
        )

    @torch.no_grad()
    def start(self, class_means: torch.Tensor) -> None:
        """Put each proxy where the mean of its class lies; of several, each a little beside it.

        They are moved by 0.1, at a right angle to the mean, so that all are equally like it: what
        an image has of its own then says which is its easy one. Were one more like the mean than
        the others, it would take all images. The direction is random, from the global stream, which
        is seeded for each training.
        """
        normalize, each = nn.functional.normalize, self.proxies_per_class
        means = normalize(class_means, dim=1)
        if each > 1:
            means = means.repeat_interleave(each, dim=0)
            noise = torch.randn(self.proxies.shape).to(means)  # the same on any device
            across = noise - (noise * means).sum(dim=1, keepdim=True) * means
            means = normalize(means + _SPREAD * normalize(across, dim=1), dim=1)
        self.proxies.copy_(means)

    def similarities(self, batch: Batch) -> ProxySimilarities:
        """The similarities of a batch's images with all proxies."""
        cosines = cosine_similarities(batch.embeddings, self.proxies.to(batch.embeddings.dtype))
        position = torch.arange(len(self.proxies), device=batch.labels.device)
        of_class = position.div(self.proxies_per_class, rounding_mode="floor")
        own = batch.labels[:, None] == of_class  # one_hot would wait for a GPU
        easy = cosines.detach().masked_fill(~own, -torch.inf).argmax(dim=1)
        return ProxySimilarities(cosines, easy, easy[:, None] == position, ~own)

    def used(self, similarities: ProxySimilarities) -> dict[str, torch.Tensor]:
        """For a LossResult's means: ``proxies_used``; nothing with one proxy a class.

        It is the number of proxies that are some image's easy one, over how many could be: as many
        as a class has images in the batch, or proxies.
        """
        if (each := self.proxies_per_class) == 1:
            return {}
        images = (~similarities.impostor).sum(dim=0)  # of each proxy's class
        used = similarities.genuine.any(dim=0).sum()
        return {"proxies_used": used * each / images.clamp(max=each).sum()}

    def parameter_groups(self) -> list[dict]:
        """Proxies are not decayed, at the recipe's rate either."""
        return [group | {"weight_decay": 0.0} for group in super().parameter_groups()]
