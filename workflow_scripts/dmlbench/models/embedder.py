"""Backbone plus embedding head."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from dmlbench.errors import ConfigError
from dmlbench.models.small_cnn import SmallCNN


class Embedder(nn.Module):
    """A backbone, a linear layer to the embedding dimension and, if asked, L2 normalisation."""

    def __init__(self, recipe: dict, channels: int, image_size: int) -> None:
        """Build from a resolved recipe for images of ``channels`` x ``image_size`` squared.

        Raises:
            ConfigError: The backbone or its weights cannot be had.
        """
        super().__init__()
        self.normalize = recipe["normalize"]
        self.freeze_bn = recipe["freeze_bn"]
        if recipe["backbone"] == "small_cnn":
            self.backbone = SmallCNN(channels, image_size, recipe["widths"], recipe["hidden"])
        else:
            self.backbone = _timm_backbone(recipe["backbone"], recipe["weights"], channels)
        self.head = nn.Linear(self.backbone.num_features, recipe["embedding_dim"])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """B x C x H x W to B x D, float32."""
        # Under autocast the head gives half precision, in which no vector has length 1.
        embeddings = self.head(self.backbone(images)).float()
        return F.normalize(embeddings, dim=1) if self.normalize else embeddings

    def train(self, mode: bool = True) -> "Embedder":
        """Switch mode; frozen batch norm stays in evaluation mode."""
        super().train(mode)
        if self.freeze_bn:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


def _timm_backbone(name: str, weights: str, channels: int) -> nn.Module:
    import timm  # seconds to import, and small networks do without

    if not timm.is_model(name):
        raise ConfigError(
            f"backbone '{name}' is neither small_cnn nor a timm model; "
            f"near it: {timm.list_models(f'*{name[:6]}*')[:5]}"
        )
    options: dict = {"num_classes": 0, "in_chans": channels}
    if weights.endswith(".safetensors"):
        if not Path(weights).is_file():
            raise ConfigError(f"weights: no file {weights}")
        return timm.create_model(name, checkpoint_path=weights, **options)
    if weights == "none":
        return timm.create_model(name, pretrained=False, **options)
    try:
        return timm.create_model(f"{name}.{weights}", pretrained=True, **options)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"weights '{weights}' of {name} cannot be had ({reason}); fetch them once on a machine "
            "with network, or give a .safetensors path"
        ) from None
