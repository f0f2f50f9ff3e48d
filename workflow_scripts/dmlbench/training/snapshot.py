"""How far a training is, the weights that it keeps, and everything that it goes on from."""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from dmlbench.training.step import EpochRecord, Step

#: What a module may keep beside its parameters and buffers, such as how full its memory is.
_PLAIN = (bool, int, float, str, torch.Tensor)
#: What every module has.
_COMMON = frozenset(vars(nn.Module()))


@dataclass
class Selections:
    """The weights kept so far: of the last epoch, and of the best by validation and by test.

    The first of equally good epochs is kept.
    """

    names: list[str]
    weights: dict[str, dict] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)

    def update(self, epoch: int, model: nn.Module, measured: dict[str, float]) -> None:
        """Keep the weights for ``last`` and for every selection whose measure improved.

        ``measured`` has Recall@1 by selection (``val``, ``test_max``) where ``epoch`` was measured.
        """
        keep = ["last"] if "last" in self.names else []
        for name, value in measured.items():
            if name in self.names and value > self.best.get(name, -1.0):
                self.best[name] = value
                keep.append(name)
        if keep:
            whole = {"copy": True, "memory_format": torch.contiguous_format}
            weights = {k: v.detach().to("cpu", **whole) for k, v in model.state_dict().items()}
            self.weights |= {name: weights.copy() for name in keep}
            self.epochs |= dict.fromkeys(keep, epoch)


@dataclass
class Progress:
    """A training between two steps.

    ``epoch``, from 1, is in progress: ``step`` and ``seconds`` count within it, ``record`` has its
    diagnostics (None before its first step). ``generator`` is the stream of the samplers' choices,
    ``history`` has a row for each finished epoch, ``last_values`` the last losses of the last one.
    """

    selections: Selections
    generator: torch.Generator
    history: list[dict] = field(default_factory=list)
    epoch: int = 1
    step: int = 0
    seconds: float = 0.0
    record: EpochRecord | None = None
    last_values: list[float] = field(default_factory=list)

    def state(self) -> dict:
        """For :meth:`restore`; tensors, numbers and text only."""
        return vars(self) | {
            "selections": dict(vars(self.selections)),
            "generator": self.generator.get_state(),
            "record": self.record and self.record.state(),
        }

    def restore(self, state: dict) -> None:
        """Go on from :meth:`state`."""
        self.generator.set_state(state["generator"].cpu())
        record = state["record"] and EpochRecord.restored(state["record"], self.generator.device)
        made = {"generator": self.generator, "record": record}
        vars(self).update(state | made, selections=Selections(**state["selections"]))


def take(step: Step, progress: Progress) -> dict:
    """Everything of a training: tensors, numbers and text only, readable without running code."""
    return {
        "modules": {name: _module_state(module) for name, module in _modules(step).items()},
        "optimizer": step.optimizer.state_dict(),
        "rates": step.rates and step.rates.state_dict(),
        "progress": progress.state(),
        "random": _random_state(),
    }


def restore(step: Step, progress: Progress, state: dict) -> None:
    """Go on from :func:`take`, in place."""
    for name, module in _modules(step).items():
        _restore_module(module, state["modules"][name], progress.generator.device)
    step.optimizer.load_state_dict(state["optimizer"])
    if step.rates:
        step.rates.load_state_dict(state["rates"])
    progress.restore(state["progress"])
    _set_random_state(state["random"])


def _modules(step: Step) -> dict[str, nn.Module]:
    miner = getattr(step.sampler, "miner", None)
    average = step.average and step.average.module
    modules = {"model": step.model, "average": average, "loss": step.loss, "miner": miner}
    return {name: module for name, module in modules.items() if module is not None}


def _random_state() -> dict:
    """The global random streams, from which code that is not ours may draw."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest],
    }


def _set_random_state(state: dict) -> None:
    """Go on from :func:`_random_state`."""
    torch.set_rng_state(state["torch"].cpu())
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([stream.cpu() for stream in state["cuda"]])
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002


def _module_state(module: object) -> dict:
    """Parameters, buffers, and the attributes that a library's loss may count in."""
    plain = {
        f"{path}:{name}": value for path, _, name, value in _attributes(module) if _is_plain(value)
    }
    known = module.state_dict() if isinstance(module, nn.Module) else {}
    return {"state": known, "plain": plain}


def _restore_module(module: object, state: dict[str, Any], device: torch.device) -> None:
    """Go on from :func:`_module_state`; tensors go where they were, new ones to ``device``."""
    if isinstance(module, nn.Module):
        module.load_state_dict(state["state"])
    inside = _inside(module)
    for key, value in state["plain"].items():
        path, _, name = key.partition(":")
        now = vars(inside[path]).get(name)
        there = now.device if isinstance(now, torch.Tensor) else device
        setattr(inside[path], name, _moved(value, there))


def _inside(module: object) -> dict[str, object]:
    """The module and those in it by name; an object that is none by itself."""
    return dict(module.named_modules()) if isinstance(module, nn.Module) else {"": module}


def _attributes(module: object) -> Iterator[tuple[str, object, str, object]]:
    """Path, owner, name and value of what the modules inside keep of their own."""
    for path, inner in _inside(module).items():
        for name, value in vars(inner).items():
            if name not in _COMMON:
                yield path, inner, name, value


def _is_plain(value: object) -> bool:
    """Whether a checkpoint can hold it: numbers, text, tensors, and lists or dicts of them."""
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(map(_is_plain, (*value, *value.values())))
    return value is None or isinstance(value, _PLAIN)


def _moved(value: object, device: torch.device) -> object:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, list | tuple):
        return type(value)(_moved(part, device) for part in value)
    if isinstance(value, dict):
        return {key: _moved(part, device) for key, part in value.items()}
    return value


def unsaved(loss: nn.Module, sampler: object) -> list[str]:
    """Attributes of a loss or a miner that may change in training and that no checkpoint holds."""
    changing = (list, dict, set, deque, np.ndarray)
    return [
        f"{type(inner).__name__}.{name}"
        for module in (loss, getattr(sampler, "miner", None))
        if module is not None
        for _, inner, name, value in _attributes(module)
        if isinstance(value, changing) and not _is_plain(value)
    ]
