"""What cannot be, and why: one line for each mistake between two sections of a config."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from dmlbench.config.archive_table import all_archives
from dmlbench.config.backbone_checks import backbone_problems
from dmlbench.config.dataset_facts import VALIDATION, DatasetFacts, Part
from dmlbench.config.held_out import split_images
from dmlbench.config.models import Benchmark, Experiment
from dmlbench.config.nested_losses import (
    facts_of,
    needs_triplets,
    nested_problems,
    takes,
    with_inner,
)
from dmlbench.config.network_checks import freezing_problems
from dmlbench.config.own_images import TableDataset
from dmlbench.config.plan import Plan
from dmlbench.config.read_yaml import read_config
from dmlbench.config.recipe import Recipe
from dmlbench.config.settings import Data
from dmlbench.errors import ConfigError
from dmlbench.plugins.entries import entries, entry
from dmlbench.plugins.image_transforms import try_transforms
from dmlbench.plugins.messages import nearest
from dmlbench.plugins.optimizers import optimizer_problems
from dmlbench.seeding import validation_classes

_PACKAGE = Path(__file__).resolve().parent.parent


def recipe_problems(recipe: Recipe, selections: list[str], where: str) -> Iterator[str]:
    """Keys of a recipe that contradict each other."""
    of_backbone = list(backbone_problems(recipe, where))
    yield from of_backbone or freezing_problems(recipe, where)
    if recipe.backbone == "small_cnn" and recipe.optimizer.layer_decay:
        yield f"{where}.optimizer.layer_decay: small_cnn is not grouped in layers; leave it out"
    for problem in optimizer_problems(recipe.optimizer.model_dump(mode="json")):
        yield f"{where}.optimizer.{problem}"
    for key in ("train_transforms", "eval_transforms"):
        try:  # not in the model, which jobs validate: it imports torchvision
            try_transforms(getattr(recipe, key) or [], may_be_random=key == "train_transforms")
        except ConfigError as error:
            yield f"{where}.{key}: {error}"
    if "val" in selections and recipe.validation == 0:
        yield f"{where}.validation: is 0, but selections has val; hold a share out or drop val"


def projection_problems(benchmark: Benchmark) -> Iterator[str]:
    """Weights, splits or seeds to project that are not made."""
    projection = benchmark.projection
    wanted = [("selection", projection.selection, benchmark.selections)]
    wanted += [("splits", split, benchmark.evaluation.splits) for split in projection.splits]
    for key, value, valid in wanted:
        if value not in valid:
            yield f"projection.{key}: '{value}' is not among {valid}"
    if missing := sorted(set(projection.seeds) - set(benchmark.seeds)):
        yield f"projection.seeds: {missing} are not among seeds"


def own_problems(name: str, plan: Plan) -> Iterator[str]:
    """A folder or table of one's own that cannot be a dataset, or has a dataset's name."""
    if name in entries("dataset"):
        yield f"datasets.{name}: there is a dataset of this name; take another"
    try:
        plan.facts(name)
    except ConfigError as error:
        kind = "table" if isinstance(plan.benchmark.datasets[name], TableDataset) else "folder"
        yield from (f"datasets.{name}.{kind}: {line}" for line in str(error).splitlines())


def published_problems(experiment: Experiment, where: str) -> Iterator[str]:
    """Published tables that there are not, or of another dataset."""
    files = {file.stem: file for file in (_PACKAGE / "reporting/published").glob("*.yaml")}
    for name in experiment.published:
        if name not in files:
            yield f"{where}.published: no such entry (got '{name}'){nearest(name, list(files))}"
        elif experiment.dataset not in (known := read_config(files[name])["datasets"]):
            about = " and ".join(known)
            yield f"{where}.published: {name} is about {about}, not about {experiment.dataset}"


def data_problems(data: Data) -> Iterator[str]:
    """Forms, places or checksums of archives that there are not."""
    datasets = {name: each.cls.facts for name, each in entries("dataset").items()}
    archives = {archive.file: archive for archive in all_archives()}
    for dataset, source in data.sources.items():
        if dataset not in datasets:
            hint = nearest(dataset, list(datasets))
            yield f"data.sources: unknown dataset (got '{dataset}'){hint}"
        elif source not in (valid := datasets[dataset].sources):
            yield f"data.sources.{dataset}: '{source}' is none of {', '.join(valid)}"
    for key, names in (("files", data.files), ("checksums", data.checksums)):
        for name in sorted(set(names) - set(archives)):
            yield f"data.{key}.{name}: no archive is called that{nearest(name, list(archives))}"
    for name in sorted(set(data.checksums) & set(archives)):
        if archives[name].checksum:
            yield f"data.checksums.{name}: the published one holds; leave this out"


def fold_problems(dataset: str, folds: int, test_fold: int | None, where: str) -> Iterator[str]:
    """A dataset in folds without the one to test on, or the other way round."""
    if folds and not 1 <= (test_fold or 0) <= folds:
        yield (
            f"{where}: {dataset} comes in {folds} folds: the recipe needs test_fold, 1 to {folds}; "
            "or sweep it: {recipe.test_fold: [1, 2, ...]}"
        )
    if test_fold and not folds:
        yield f"{where}: the recipe has test_fold, but {dataset} has its own test and no folds"


def selection_problems(
    dataset: str,
    facts: DatasetFacts,
    images: Callable[[], Iterable[Any]] | None,
    recipe: dict,
    selections: list[str],
    where: str,
) -> Iterator[str]:
    """Selections by a measure that cannot vary, as of classes too small to hold images out.

    ``images`` gives the records of a user's own images; None for a registered dataset.
    """
    parts = {"val": Part(VALIDATION, "", facts.train_label), "test_max": facts.first_test()}
    chosen = [name for name in parts if name in selections]
    if not images or not chosen or facts.largest_class is None:
        return
    whole = validation_classes(facts.train_classes, recipe["validation"])
    if "val" in chosen and not (facts.own_validation or whole) and facts.largest_class < 4:
        yield (
            f"{where}: selections: val takes two images of a class and leaves two, but no class of "
            f"{dataset} to train on has four; leave val out of selections"
        )
        return
    from dmlbench.config.variation import constant  # with pandas, which jobs do not need

    index = split_images(dataset, facts, images, recipe)
    for name in chosen:
        if why := constant(parts[name], index):
            remedy = f"add images, or leave {name} out of selections"
            yield f"{where}: selections: {name}: {why}; {remedy}"


def batch_problems(
    dataset: str, facts: DatasetFacts, recipe: dict, sampler: dict, names: str
) -> Iterator[str]:
    """Batches that cannot be composed."""
    batch, per_class, classes = recipe["batch_size"], sampler["per_class"], facts.train_classes
    if classes < 2:
        yield f"{names}: {dataset} has {classes} classes to train on; two are needed"
        return
    if sampler["positive"] and facts.largest_class == 1:
        yield (
            f"{names}: a positive is another image of the class, but each class of {dataset} to "
            "train on has one image; take a loss on whole batches"
        )
    if per_class is None:
        return
    if not facts.own_validation:
        classes -= validation_classes(classes, recipe["validation"])
    if batch % per_class:
        yield f"{names}: batch_size {batch} is no multiple of per_class {per_class}"
    elif batch // per_class > classes:
        yield (
            f"{names}: batch_size {batch} with per_class {per_class} needs "
            f"{batch // per_class} classes, but {dataset} has {classes} to train on; "
            f"raise per_class to {-(-batch // classes)} or more"
        )
    elif batch // per_class < 2:
        yield f"{names}: a batch of one class has no negatives; lower per_class below {batch}"


def rate_problems(recipe: dict, loss: dict, made: Any, names: str) -> Iterator[str]:
    """A rate of a loss's own parameters that is not above the one that a schedule comes down to.

    ``made`` is the loss that the config describes as ``loss``.
    """
    lowest = recipe["schedule"]["min_lr"]
    groups = [{"params": [*getattr(made, "parameters", tuple)()], "lr": loss.get("loss_lr")}]
    if hasattr(made, "parameter_groups"):
        groups = made.parameter_groups()
    for rate in sorted({group.get("lr") or 0.0 for group in groups if group["params"]} - {0.0}):
        if rate <= lowest:
            yield (
                f"{names}: schedule.min_lr {lowest:g} is not below {rate:g}, the rate of the "
                "loss's parameters"
            )


def method_problems(recipe: dict, loss: dict, sampler: dict, names: str) -> Iterator[str]:
    """A loss and a sampler that do not fit, or a sampler that the embedding does not allow."""
    taken, name = takes(loss), loss["type"]
    chooses = bool(sampler["positive"] or sampler["miner"])
    if taken == "tuples" and not chooses:
        yield (
            f"{names}: {name} needs positives and negatives, which this sampler does not "
            "choose; give it a sampler with positive and negative"
        )
    if taken == "batch" and chooses:
        yield (
            f"{names}: {name} takes whole batches and no tuples; give it sampler none, or "
            "one with per_class only"
        )
    yield from nested_problems(loss, names)
    lengths = [each["type"] for each in with_inner(loss) if facts_of(each).get("needs_lengths")]
    if recipe["normalize"] is True and lengths:
        yield (
            f"{names}: {lengths[0]} needs the lengths of embeddings, but the recipe has "
            "normalize: true; take normalize: evaluation"
        )
    if not sampler["negative"]:
        return
    chosen = sampler["negative"]
    if chosen.get("cutoff", 0) >= chosen.get("upper_cutoff", float("inf")):
        yield (
            f"{names}: cutoff {chosen['cutoff']} is not below upper_cutoff "
            f"{chosen['upper_cutoff']}; all weights would be equal"
        )
    negative = entry("negative", chosen["type"]).facts
    if negative.get("needs_normalized") and recipe["normalize"] is not True:
        yield (
            f"{names}: '{chosen['type']}' negatives are defined on the unit sphere, but the "
            f"recipe has normalize: {str(recipe['normalize']).lower()}"
        )
    if negative.get("chooses") == "set" and needs_triplets(loss):
        yield (
            f"{names}: {name} needs single triplets here, but '{chosen['type']}' "
            "negatives are sets; take negatives that choose one"
        )
