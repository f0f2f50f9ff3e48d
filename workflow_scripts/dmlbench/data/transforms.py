"""Which transforms a recipe stands for, and what the network gets of the pixels."""

from dataclasses import dataclass

from dmlbench.errors import ConfigError
from dmlbench.files import WEIGHT_FILES
from dmlbench.plugins.image_transforms import TransformEntry

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InputFormat:
    """How images become network input: transforms, then mean and deviation of each colour.

    ``train`` is None for the transforms of evaluation; ``mean`` and ``std`` are of pixels from 0
    to 1, None leaves these as they are.
    """

    train: list[TransformEntry] | None
    evaluation: list[TransformEntry]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


def input_format(recipe: dict) -> InputFormat:
    """What the image keys of a resolved recipe stand for.

    Raises:
        ConfigError: It takes mean and deviation from weights that timm does not know.
    """
    size, options, mean, std = recipe["image_size"], {}, None, None
    if recipe["mean_std"] == "imagenet":
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    elif recipe["mean_std"] == "weights":
        told = _told_of_weights(recipe["backbone"], recipe["weights"])
        mean, std = told["mean"], told["std"]
        options = {"interpolation": told["interpolation"]}
        size = size or told["input_size"][-1]
    train, evaluation = None, []
    if recipe["crop"] == "random_resized" and size:
        train = [{"RandomResizedCrop": {"size": size, **options}}, "RandomHorizontalFlip"]
        short = round(size * 256 / 224)
        evaluation = [{"Resize": {"size": short, **options}}, {"CenterCrop": {"size": size}}]
    elif size:
        evaluation = [{"Resize": {"size": [size, size], **options}}]
    given, given_evaluation = recipe["train_transforms"], recipe["eval_transforms"]
    return InputFormat(
        train if given is None else given,
        evaluation if given_evaluation is None else given_evaluation,
        mean,
        std,
    )


def _told_of_weights(backbone: str, weights: str) -> dict:
    """timm's data config of weights; of a file, that of the backbone's default weights."""
    import timm  # takes seconds
    from timm.data import resolve_data_config

    name = backbone if weights.endswith(WEIGHT_FILES) else f"{backbone}.{weights}"
    try:
        told = timm.get_pretrained_cfg(name)
    except RuntimeError:  # no such tag
        told = None
    if told is None:
        raise ConfigError(
            f"mean_std: timm knows no mean and deviation of {name}; take mean_std: imagenet or none"
        )
    return resolve_data_config(pretrained_cfg=told.to_dict())
