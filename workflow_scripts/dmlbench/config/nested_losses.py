"""Losses inside losses: what a resolved loss takes, and what is wrong with those inside it."""

from collections.abc import Iterator
from typing import Any

from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.config.held_out import counts_left
from dmlbench.plugins.arguments import is_described
from dmlbench.plugins.entries import entry

#: Why a loss without terms cannot stand inside another, by what that one does with it.
_NO_TUPLES = {
    "terms": "it has no terms to trim",
    "sets": "it has no pairs to compare with the memory",
}


def inner_losses(loss: dict) -> Iterator[dict]:
    """The losses directly inside a resolved one: its arguments that are annotated as losses."""
    for name, argument in entry("loss", loss["type"]).arguments.known.items():
        if argument.keeps_description():
            value = loss.get(name)
            yield from filter(is_described, value if isinstance(value, list) else [value])


def with_inner(loss: dict) -> Iterator[dict]:
    """A resolved loss and all losses inside it, however deep."""
    yield loss
    for each in inner_losses(loss):
        yield from with_inner(each)


def takes(loss: dict) -> str:
    """What a resolved loss takes: ``tuples``, a ``batch`` only, or ``any``.

    Where it takes what the losses inside do, one on tuples is enough for it to need them.
    """
    own = entry("loss", loss["type"]).facts["takes"]
    inside = {takes(each) for each in inner_losses(loss)} if own == "inner" else {own}
    return next(kind for kind in ("tuples", "any", "batch") if kind in inside | {"batch"})


def needs_triplets(loss: dict) -> bool:
    """Whether a resolved loss, or one inside it, takes no sets of pairs."""
    facts = entry("loss", loss["type"]).facts
    if facts.get("needs_triplets"):
        return True
    inside = list(inner_losses(loss))
    of_terms = facts.get("inside") == "terms"
    if of_terms and any(facts_of(each).get("terms_need_triplets") for each in inside):
        return True
    return any(map(needs_triplets, inside))


def nested_problems(loss: dict, names: str) -> Iterator[str]:
    """Losses that cannot stand inside the one that they stand in."""
    outer, inside = loss["type"], facts_of(loss).get("inside")
    for each in inner_losses(loss):
        inner = each["type"]
        if inner == outer:
            yield f"{names}: {inner} inside {inner}; describe one of them"
        elif inside and facts_of(each)["takes"] != "tuples":
            yield f"{names}: {inner} is no loss on tuples: {_NO_TUPLES[inside]}"
        elif inside == "sets" and needs_triplets(each):
            yield (
                f"{names}: {inner} needs single triplets, but {outer} compares sets of pairs; take "
                "another loss inside it"
            )
        yield from nested_problems(each, names)


def recipe_refusals(
    made: Any, recipe: dict, dataset: str, facts: DatasetFacts, names: str
) -> Iterator[str]:
    """What a loss that was made, or one inside it, refuses of a resolved recipe."""
    images = counts_left(dataset, facts, None, recipe).get("train")
    steps = recipe["epochs"] * max(1, images // recipe["batch_size"]) if images else None
    for module in getattr(made, "modules", tuple)():
        refusals = getattr(module, "refusals", None)
        yield from (f"{names}: {line}" for line in (refusals(recipe, steps) if refusals else ()))


def facts_of(loss: dict) -> dict:
    """What the decorator says of a resolved loss's class."""
    return entry("loss", loss["type"]).facts
