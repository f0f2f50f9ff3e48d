"""What of a network does not move: for the whole training, or while only the head warms up."""

from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dmlbench.errors import ConfigError
from dmlbench.plugins.messages import nearest

#: What the names of a backbone's parameters begin with; all others are the head's.
BACKBONE = "backbone."


class Freezing:
    """Keeps a part of a network as it is, its batch norm too.

    Frozen parameters need no gradient and belong into no optimiser. A frozen batch norm stays in
    evaluation mode, in which its statistics do not move; so does all of a frozen backbone, dropout
    included.
    """

    def __init__(self, model: nn.Module, what: str, warmup_epochs: int = 0) -> None:
        """Freeze for the whole training.

        Args:
            model: A network whose parameters' names begin with ``backbone.``, or are the head's.
            what: none, batch_norm, backbone or a pattern of names, as ``fnmatch`` has it.
            warmup_epochs: First epochs in which the backbone does not move either.

        Raises:
            ConfigError: It matches nothing, or nothing is left to learn.
        """
        self._model, self._warmup_epochs = model, warmup_epochs
        if what not in ("none", "batch_norm"):
            for name in _frozen(model, what):
                model.get_parameter(name).requires_grad_(False)
        self._still = _still(model, what)
        learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._backbone = [p for name, p in learning.items() if name.startswith(BACKBONE)]
        if not learning:
            raise ConfigError(f"freeze: {what} leaves nothing of the network that learns")
        if warmup_epochs and len(self._backbone) == len(learning):
            raise ConfigError(f"warmup_head_epochs: freeze: {what} leaves no head that learns")

    def train(self, epoch: int) -> None:
        """Put the network into training mode for an epoch, from 1, but for what is frozen in it."""
        warming = epoch <= self._warmup_epochs
        self._model.train()
        for parameter in self._backbone:
            parameter.requires_grad_(not warming)
        for module in self._still:
            module.eval()
        if warming:
            self._model.get_submodule(BACKBONE.rstrip(".")).eval()


def _frozen(model: nn.Module, what: str) -> list[str]:
    """The names of the parameters that do not move."""
    names = [name for name, _ in model.named_parameters()]
    pattern = f"{BACKBONE}*" if what == "backbone" else what
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found and what != "backbone":  # stored features stand in its place
        parts = [f"{k}.*" for k, part in model.named_modules() if k and list(part.parameters())]
        raise ConfigError(f"freeze: no parameter is called '{what}'{nearest(what, names + parts)}")
    return found


def _still(model: nn.Module, what: str) -> list[nn.Module]:
    """The modules that stay in evaluation mode."""
    if what == "none":
        return []
    if what == "backbone":
        return [model.get_submodule(what)]
    norms = {name: module for name, module in model.named_modules() if _is_batch_norm(module)}
    if what == "batch_norm":
        if not norms:
            raise ConfigError("freeze: the network has no batch norm; leave freeze out")
        return list(norms.values())
    # Without parameters of its own, by the names that they would have.
    return [
        module
        for name, module in norms.items()
        if all(fnmatchcase(f"{name}.{each}", what) for each in ("weight", "bias"))
    ]


def _is_batch_norm(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm)
