"""Coarse and fine labels side by side: how well training on the one tells the other apart."""

import pandas as pd

from dmlbench.config import Plan
from dmlbench.evaluation.metric import find_measure
from dmlbench.reporting import names
from dmlbench.reporting.cells import BLOCK, COLUMN, count, over_lines, values_of
from dmlbench.reporting.formats import Cell, Table, render_notes

#: What is shown of both labels, and what is measured of the finer one inside the other.
_OF_BOTH = ("recall", "map_at_r")
_INSIDE = ("h_ap", "same_sub_label", "same_sub_label_chance")


def hierarchy_tables(plan: Plan, experiment: str, metrics: pd.DataFrame, gaps: str) -> list[Table]:
    """A table for each coarse label of the experiment's dataset, where its H-AP was measured.

    Methods down; across, Recall at the least K and MAP@R of the coarse and of the fine label, then
    H-AP and the share of nearest neighbours within the class that have the finer label.
    """
    dataset = plan.benchmark.experiments[experiment].dataset
    mine, tables = values_of(plan, experiment, metrics), []
    for coarse, fine in plan.facts(dataset).sub_labels.items():
        if not ((mine["metric"] == "h_ap") & (mine["label"] == coarse)).any():
            continue
        shown = over_lines(plan, experiment, _shown(plan, mine, coarse, fine))
        blocks = {
            f"{names.part(split, subset, '')}, {names.SELECTIONS[selection]}": _block(rows)
            for (selection, split, subset), rows in shown.groupby(BLOCK[:-1], sort=False)
        }
        title = f"{names.title(plan, experiment)}: {fine} inside {coarse}"
        notes = render_notes("hierarchy.txt.j2", partial=gaps, coarse=coarse, fine=fine)
        tables.append(Table(title, notes, f"{experiment}-{coarse}-{fine}", blocks))
    return tables


def _shown(plan: Plan, mine: pd.DataFrame, coarse: str, fine: str) -> pd.DataFrame:
    """The values that the table shows, in percent and in the order of its columns."""
    first = (mine["metric"] != "recall") | (mine["k"] == min(plan.benchmark.evaluation.recall_at))
    wanted = [(metric, label) for metric in _OF_BOTH for label in (coarse, fine)]
    wanted += [(metric, coarse) for metric in _INSIDE]
    places = {key: place for place, key in enumerate(wanted)}
    place = [places.get(key) for key in zip(mine["metric"], mine["label"], strict=True)]
    shown = mine.assign(place=place, value=100 * mine["value"])
    shown = shown[first & shown["place"].notna()]
    return shown.sort_values("place", kind="stable").drop(columns="place")


def _block(rows: pd.DataFrame) -> pd.DataFrame:
    """Methods down, controls below, metrics across."""
    lines: dict[str, dict[str, Cell]] = {}
    for one in rows.to_dict("records"):
        measure = find_measure(*(one[key] for key in COLUMN))
        head = measure.label if one["metric"] in _INSIDE else f"{measure.label}, {one['label']}"
        note = count(one["n"], one["planned"])
        cell = Cell(one["mean"], one["half_width"], measure.decimals, note=note)
        lines.setdefault(one["method"], {})[head] = cell
    return pd.DataFrame.from_dict(lines, orient="index")
