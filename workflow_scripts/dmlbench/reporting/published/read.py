"""Reading published numbers."""

from pathlib import Path

import yaml


def read_published(name: str) -> dict:
    """The published table ``name`` (a file beside this one)."""
    file = Path(__file__).with_name(f"{name}.yaml")
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def published_value(
    table: dict, loss: dict, sampler: dict, part: tuple[str, str], metric: str
) -> float | None:
    """The published percentage for a method and a metric, or None where there is none.

    Args:
        table: What :func:`read_published` gave.
        loss: The resolved loss entry.
        sampler: The resolved sampler entry.
        part: Subset and label column.
        metric: Such as ``recall@1``.
    """
    choices = {kind: (sampler[kind] or {}).get("type") for kind in ("positive", "negative")}
    mine = {"loss": loss["type"], **choices}
    for row in table["methods"]:
        if row["match"] == mine:
            return row["values"].get(f"{part[0]}/{part[1]}/{metric}")
    return None
