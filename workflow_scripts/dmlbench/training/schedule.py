"""How learning rates change: the schedulers of ``torch.optim.lr_scheduler``."""

import warnings
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    SequentialLR,
    StepLR,
)

from dmlbench.errors import ConfigError


class Rates:
    """Moves the rates of all groups of an optimiser, those of the loss's parameters too.

    Args:
        spec: A recipe's ``schedule``; times are epochs.
        optimizer: Its rates are those that the schedule is relative to.
        epochs, steps: Epochs of the training, and steps of each.
    """

    def __init__(self, spec: dict[str, Any], optimizer: Optimizer, epochs: int, steps: int) -> None:
        """A ConfigError where a group's rate is not above the one that it should come down to."""
        check_lowest(spec, min(group["lr"] for group in optimizer.param_groups))
        self._by_step = spec["by"] == "step"
        self._scheduler = _scheduler(spec, optimizer, epochs, steps if self._by_step else 1)

    def step_ended(self) -> None:
        """To be called after each step of the optimiser."""
        if self._by_step:
            self._move()

    def epoch_ended(self) -> None:
        """To be called after each epoch."""
        if not self._by_step:
            self._move()

    def state_dict(self) -> dict[str, Any]:
        """For :meth:`load_state_dict`; numbers, text, lists and dicts only."""
        return self._scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`; the optimiser's own state holds its rates."""
        self._scheduler.load_state_dict(state)

    def _move(self) -> None:
        with warnings.catch_warnings():
            # torch misses the steps that were taken before the training was interrupted.
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
            self._scheduler.step()


def check_lowest(spec: dict[str, Any], lowest: float) -> None:
    """A ConfigError where the ``lowest`` rate is not above the one that it should come down to."""
    if spec["name"] == "cosine" and lowest <= spec["min_lr"]:
        raise ConfigError(
            f"schedule.min_lr: {spec['min_lr']:g} is not below {lowest:g}, the rate of some layers "
            "or of the loss's parameters"
        )


def build_rates(
    spec: dict[str, Any], optimizer: Optimizer, epochs: int, steps: int
) -> Rates | None:
    """What moves the rates; None where they are constant. See :class:`Rates`."""
    constant = spec["name"] == "constant" and not spec["warmup_epochs"]
    return None if constant else Rates(spec, optimizer, epochs, steps)


def _scheduler(spec: dict[str, Any], optimizer: Optimizer, epochs: int, unit: int) -> LRScheduler:
    """The scheduler of ``spec``, to be moved ``unit`` times in each epoch."""
    warmup = spec["warmup_epochs"]
    after: LRScheduler | None = None
    if spec["name"] == "cosine":
        after = CosineAnnealingLR(optimizer, (epochs - warmup) * unit, spec["min_lr"])
    elif spec["name"] == "step":
        after = StepLR(optimizer, spec["every"] * unit, spec["gamma"])
    elif spec["name"] == "multistep":
        at = [(epoch - warmup) * unit for epoch in spec["at"]]
        after = MultiStepLR(optimizer, at, spec["gamma"])
    if not warmup:
        assert after is not None, "constant rates have no schedule"
        return after
    rising = LinearLR(optimizer, spec["warmup_start"], total_iters=warmup * unit)
    return SequentialLR(optimizer, [rising, after], [warmup * unit]) if after else rising
