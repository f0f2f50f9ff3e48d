"""Heads: from a backbone's features to the embedding."""

from torch import nn

from dmlbench.errors import ConfigError


def build_head(head: dict, features: int, embedding_dim: int) -> nn.Module:
    """The head that a resolved recipe describes: B x ``features`` to B x ``embedding_dim``.

    Its layer norm has no parameters of its own, as in the code of ProxyNCA++ (Teh et al. 2020): the
    linear layer behind it can do all that they would.

    Raises:
        ConfigError: Without a head, the features are not as many as the embedding has dimensions.
    """
    norm = [nn.LayerNorm(features, elementwise_affine=False)] if head["layer_norm"] else []
    if head["type"] == "none":
        if features != embedding_dim:
            raise ConfigError(
                f"embedding_dim: without a head the embedding is the {features} features of the "
                f"backbone; take embedding_dim: {features} (got {embedding_dim}), or a head"
            )
        return norm[0] if norm else nn.Identity()
    layers: list[nn.Module] = list(norm)
    if head["type"] == "mlp":
        hidden = head["hidden"] or features
        layers += [nn.Linear(features, hidden, bias=head["bias"]), nn.ReLU()]
        features = hidden
    layers.append(nn.Linear(features, embedding_dim, bias=head["bias"]))
    return nn.Sequential(*layers) if len(layers) > 1 else layers[0]
