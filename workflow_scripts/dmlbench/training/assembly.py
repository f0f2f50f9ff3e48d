"""What a step is made of, by a recipe."""

import logging

from torch import nn

from dmlbench.losses.base import Loss
from dmlbench.samplers.sampler import build_sampler
from dmlbench.training.freezing import Freezing
from dmlbench.training.network import Network, check_chunks, compile_network
from dmlbench.training.optimization import build_optimizer
from dmlbench.training.schedule import build_rates
from dmlbench.training.step import Step
from dmlbench.training.training_images import TrainingImages

log = logging.getLogger(__name__)


def build_step(
    spec: dict, model: nn.Module, loss: Loss, freezing: Freezing, images: TrainingImages
) -> Step:
    """The step of a resolved run, for a network in which is frozen what shall be.

    Raises:
        ConfigError: A class of the recipe refuses what it is given, or the network cannot be
            trained in chunks or compiled.
    """
    recipe, device = spec["recipe"], next(model.parameters()).device
    optimizer = build_optimizer(recipe["optimizer"], model, loss)
    rates = build_rates(recipe["schedule"], optimizer, recipe["epochs"], images.steps)
    average = None
    if recipe["ema"]:
        from timm.utils import ModelEmaV3  # seconds to import

        average = ModelEmaV3(model, decay=recipe["ema"])  # a copy that is never compiled
    tried = images.reader.noise(4)
    freezing.train(recipe["epochs"])
    if recipe["chunk"]:
        check_chunks(model, tried)
    if recipe["compile"]:
        compile_network(model, tried)
    precision = recipe["precision"]
    if precision == "tf32" and device.type == "cpu":
        log.warning("precision: tf32 has no effect on a CPU; it trains in float32")
    half, tf32 = precision == "bfloat16", precision == "tf32"
    network = Network(model, half, tf32, recipe["chunk"], features=loss.wants_features)
    sampler = build_sampler(spec["sampler"])
    return Step(network, loss, sampler, optimizer, recipe["clip_grad_norm"], rates, average)
