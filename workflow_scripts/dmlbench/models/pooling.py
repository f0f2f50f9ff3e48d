"""Pooling: from a feature map or tokens to one vector for each image, in the place of timm's."""

import torch
from torch import nn

from dmlbench.errors import ConfigError
from dmlbench.plugins.timm_networks import map_pooling, poolings


class Pooling(nn.Module):
    """``avg``, ``max``, ``avg_max`` (their sum) or ``gem`` over the dimensions ``over``.

    GeM is (mean of max(x, 1e-6)^p)^(1/p) with a learned p, 3 at the start (Radenovic et al. 2018,
    section 3.2): 1 is the average, and the maximum is its limit.
    """

    def __init__(self, kind: str, over: tuple[int, ...], keepdim: bool = False) -> None:
        super().__init__()
        self.kind, self.over, self.keepdim = kind, over, keepdim
        if kind == "gem":
            self.p = nn.Parameter(torch.tensor(3.0))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """B x C x H x W, B x H x W x C or B x N x C to B x C; ``keepdim`` leaves ones there."""
        shape = {"dim": self.over, "keepdim": self.keepdim}
        if self.kind == "avg":
            return features.mean(**shape)
        if self.kind == "max":
            return features.amax(**shape)
        if self.kind == "avg_max":
            return features.mean(**shape) + features.amax(**shape)
        return features.clamp(min=1e-6).pow(self.p).mean(**shape).pow(1 / self.p)

    def is_identity(self) -> bool:
        """Some models of timm ask their ``global_pool``."""
        return False


class TokenPooling(nn.Module):
    """``cls``, ``cls_avg`` (both, one after the other), or one of :class:`Pooling` over patches.

    Class token, registers and other prefix tokens are left out of an average or maximum.
    """

    def __init__(self, kind: str, prefix: int) -> None:
        super().__init__()
        self.kind, self.prefix = kind, prefix
        if kind != "cls":
            self.patches = Pooling("avg" if kind == "cls_avg" else kind, over=(1,))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """B x N x C to B x C, or B x 2C for ``cls_avg``."""
        if self.kind == "cls":
            return tokens[:, 0]
        pooled = self.patches(tokens[:, self.prefix :])
        return torch.cat([tokens[:, 0], pooled], dim=1) if self.kind == "cls_avg" else pooled


class _PoolsTokens:
    """What is put before a class of timm whose ``forward_head`` pools tokens in code."""

    def forward_head(self, tokens: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        features = self.token_pooling(tokens)
        norm = getattr(self, "fc_norm", None)  # that of models that average their tokens
        if norm is None or isinstance(norm, nn.Identity):
            return features
        width = tokens.shape[2]
        return torch.cat([norm(part) for part in features.split(width, dim=1)], dim=1)


def set_pooling(model: nn.Module, name: str, kind: str) -> None:
    """Have a model of timm without classifier pool as ``kind`` says; what follows stays.

    Raises:
        ConfigError: Its architecture has no such pooling.
    """
    if kind == "default":
        return
    if kind not in (allowed := poolings(model)):
        able = f"it can be pooled by {', '.join(allowed)}" if allowed else "leave it out"
        raise ConfigError(f"pooling: {name} has no '{kind}'; {able}")
    if part := map_pooling(model):
        last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        probe = torch.zeros((1, 2, 2, 2))
        keepdim = part.global_pool(probe).dim() == 4
        part.global_pool = Pooling(kind, over=(1, 2) if last else (2, 3), keepdim=keepdim)
        return
    if getattr(model, "attn_pool", None) is not None:
        model.attn_pool = None  # timm's own pooling: its parameters would never move
    model.token_pooling = TokenPooling(kind, model.num_prefix_tokens)
    # A class of its own for this object, as PyTorch's parametrizations do: forward stays timm's.
    original = type(model)
    model.__class__ = type(f"Pooled{original.__name__}", (_PoolsTokens, original), {})
