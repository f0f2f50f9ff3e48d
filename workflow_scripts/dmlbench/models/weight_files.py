"""Networks of timm with the weights of a file, which must be all that the network has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from dmlbench.errors import ConfigError
from dmlbench.plugins.class_paths import said
from dmlbench.plugins.timm_names import Weights
from dmlbench.plugins.timm_networks import create, outline


def build_from_file(name: str, weights: Weights, channels: int, size: int) -> nn.Module:
    """A model of timm without its classifier, with the weights of a file.

    timm brings the tensors into the form of the model: prefixes, position embeddings, channels.

    Raises:
        ConfigError: The file cannot be read, lacks tensors of the model, or has others.
    """
    # As many classes as the model has: for another number, timm is lenient with all tensors.
    overlay = {"file": weights.file, "num_classes": 0, "label_offset": 0}
    known = f"{name}.{weights.tag}" if weights.tag else name
    try:
        with _all_tensors_matched(name, weights):
            return create(known, channels, size, pretrained=True, pretrained_cfg_overlay=overlay)
    except ConfigError:
        raise
    except Exception as error:  # whatever reads the file, or takes it for one of this model
        raise ConfigError(
            f"weights '{weights.file}' cannot be loaded into {name} ({said(error)[:200]}); is the "
            "file whole, of this model, and (.pth) of nothing but tensors?"
        ) from None


@contextmanager
def _all_tensors_matched(name: str, weights: Weights) -> Iterator[None]:
    """While this lasts, a module that loads other tensors than its own raises a ConfigError.

    timm only logs what a file lacks. So this stands where timm gives the tensors to PyTorch.
    """
    load = nn.Module.load_state_dict

    def checked(model: nn.Module, tensors: dict, strict: bool = True, **options: Any) -> Any:
        # timm is lenient with a few files of its own: they lack a norm, or have another head.
        if weights.tag and not strict:
            return load(model, tensors, strict=False, **options)
        own, shapes, found = model.state_dict(), [], None
        try:
            found = missing, others = load(model, tensors, strict=False, **options)
        except RuntimeError:  # of shapes; it does not list the rest
            missing = [key for key in own if key not in tensors]
            others = [key for key in tensors if key not in own]
            both = [key for key in own if key in tensors]
            shapes = [k for k in both if own[k].shape != getattr(tensors[k], "shape", None)]
            if not shapes:
                raise
        if others:
            classifier = outline(name, num_classes=1).state_dict().keys() - own.keys()
            others = [key for key in others if key not in classifier]
        _refuse(name, weights, {"missing": missing, "of another shape": shapes, "unknown": others})
        return found._replace(unexpected_keys=[])  # the classifier, of which timm would warn

    nn.Module.load_state_dict = checked
    try:
        yield
    finally:
        nn.Module.load_state_dict = load


def _refuse(name: str, weights: Weights, tensors: dict[str, list[str]]) -> None:
    found = [f"{len(keys)} {kind}, such as {keys[0]}" for kind, keys in tensors.items() if keys]
    if found:
        raise ConfigError(
            f"weights '{weights.file}' do not have the tensors of {name} ({'; '.join(found)}); are "
            "they of another model?"
        )
