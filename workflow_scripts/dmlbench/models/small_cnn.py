"""The small network of the CPU tier."""

import torch
from torch import nn


class SmallCNN(nn.Module):
    """Blocks of 3x3 convolution, ReLU and 2x2 max-pooling, then an optional hidden layer.

    EPS calls its MNIST network "a simple shallow architecture" (section 5.1) and says no more.
    ``num_features`` is the size of the output. Pooling stops at one pixel.
    """

    def __init__(self, channels: int, image_size: int, widths: list[int], hidden: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size = image_size
        for width in widths:
            layers += [nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.ReLU()]
            if size > 1:
                layers.append(nn.MaxPool2d(2))
                size //= 2
            channels = width
        layers.append(nn.Flatten())
        self.num_features = channels * size * size
        if hidden:
            layers += [nn.Linear(self.num_features, hidden), nn.ReLU()]
            self.num_features = hidden
        self.layers = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """B x C x H x W to B x num_features."""
        return self.layers(images)
