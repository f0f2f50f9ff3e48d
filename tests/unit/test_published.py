"""Published numbers: what stands beside a method of ours, and what only below."""

import re
from pathlib import Path
from typing import Annotated

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from made_results import gather, make_results
from pydantic import TypeAdapter, ValidationError

from dmlbench import paths
from dmlbench.config import resolve_config
from dmlbench.config.models import Choice, Sampler
from dmlbench.config.recipe import Recipe
from dmlbench.plugins.entries import entries, entry
from dmlbench.reporting import matching, published
from dmlbench.reporting.cells import cells
from dmlbench.reporting.claims import OTHER, verdicts
from dmlbench.reporting.published import Published, Row, read_published
from dmlbench.reporting.tables import write_tables

TABLES = sorted(file.stem for file in Path(published.__file__).parent.glob("*.yaml"))
PROXY_ANCHOR = "pytorch_metric_learning.losses.ProxyAnchorLoss"
CUB = ("test", "", "species")


def proxy_anchor(**changes):
    """The config of Proxy-Anchor on CUB with the settings of its README, but for ``changes``.

    Their keys are those of ``settings``.
    """
    config = {
        "name": "test",
        "seeds": [0],
        "recipes": {"pa": {"base": "r50_512_proxy_anchor", "schedule": {"every": 5}}},
        "losses": {"pa": {"type": PROXY_ANCHOR, "margin": 0.1, "alpha": 32, "loss_lr": 1.0e-2}},
        "samplers": {},
        "experiments": {
            "cub200": {
                "dataset": "cub200",
                "recipe": "pa",
                "methods": [{"loss": "pa"}],
                "published": "proxy_anchor",
            }
        },
    }
    for key, value in changes.items():
        section, *path, last = key.split(".")
        if section == "sampler":
            config["samplers"]["classes"] = {last: value}
            config["experiments"]["cub200"]["methods"][0]["sampler"] = "classes"
            continue
        place = config["recipes" if section == "recipe" else "losses"]["pa"]
        for name in path:
            place = place.setdefault(name, {})
        place[last] = value
        if value is None:
            del place[last]
    return resolve_config(config, "test")


def found_of(plan, name="Proxy-Anchor, ResNet-50"):
    (found,) = [f for f in matching.published_rows(plan, "cub200", CUB) if f.row.name == name]
    return found


def test_a_row_stands_beside_the_run_that_has_all_its_settings():
    found = found_of(proxy_anchor())
    assert found.same == [("pa", "pa", "none")]
    assert found.numbers["recall@1"] == 69.9
    # That of another network has the same loss, and is not it.
    other = found_of(proxy_anchor(), "Proxy-Anchor, BN-Inception")
    assert other.same == []
    assert "recipe.backbone" in other.other["pa", "pa", "none"]


@pytest.mark.parametrize(
    ("changes", "differ"),
    [
        ({"recipe.backbone": "resnet18"}, ["recipe.backbone"]),
        ({"recipe.weights": "none"}, ["recipe.pretraining"]),
        ({"recipe.pooling": "avg"}, ["recipe.pooling"]),
        ({"recipe.freeze": "none"}, ["recipe.freeze"]),
        ({"recipe.embedding_dim": 128}, ["recipe.embedding_dim"]),
        ({"recipe.image_size": 256}, ["recipe.image_size"]),
        ({"recipe.crop": "none"}, ["recipe.crop"]),
        ({"recipe.batch_size": 32}, ["recipe.batch_size"]),
        ({"recipe.epochs": 100}, ["recipe.epochs"]),
        ({"recipe.optimizer.name": "adam"}, ["recipe.optimizer.name"]),
        ({"recipe.optimizer.lr": 1.0e-5}, ["recipe.optimizer.lr"]),
        ({"recipe.optimizer.weight_decay": 0.01}, ["recipe.optimizer.weight_decay"]),
        ({"recipe.schedule.every": 10}, ["recipe.schedule.every"]),  # its rates on Cars196
        ({"recipe.warmup_head_epochs": 0}, ["recipe.warmup_head_epochs"]),
        ({"loss.loss_lr": 1.0e-3}, ["loss.loss_lr"]),
        ({"loss.alpha": 16}, ["loss.alpha"]),
        ({"loss.margin": None}, ["loss.margin"]),  # what is not said is not known to be equal
        ({"sampler.per_class": 4}, ["sampler.per_class"]),
        (  # as the project once held it against this row
            {"recipe.batch_size": 32, "recipe.optimizer.name": "adam", "recipe.optimizer.lr": 1e-5},
            ["recipe.optimizer.name", "recipe.batch_size", "recipe.optimizer.lr"],
        ),
    ],
)
def test_one_other_setting_keeps_a_row_away(changes, differ):
    found = found_of(proxy_anchor(**changes))
    assert found.same == []
    assert sorted(*found.other.values()) == sorted(differ)


def test_what_a_run_has_besides_does_not_keep_a_row_away():
    assert found_of(proxy_anchor(**{"recipe.precision": "bfloat16"})).same


def test_a_choice_and_a_loss_inside_another_are_compared_too(smoke_config):
    smoke_config["losses"]["triplet"] = {"type": "trimmed", "loss": {"type": "triplet"}}
    plan = resolve_config(smoke_config, "test")
    (method,) = [m for m in plan.methods["even_odd"] if m[2] == "eps"]
    same = {"loss.loss.type": "triplet", "loss.loss.margin": 0.2, "sampler.positive.type": "easy"}
    assert matching.differing(plan, method, same) == []
    other = {"loss.loss.type": "margin", "loss.loss.beta": 1.2, "sampler.positive.type": "random"}
    assert matching.differing(plan, method, other) == list(other)
    plan.losses["triplet"] = {"type": "sum", "losses": [{"type": "margin"}, {"type": "triplet"}]}
    listed = {"loss.losses.1.type": "triplet"}
    assert matching.differing(plan, method, listed) == []
    assert matching.differing(plan, method, {"loss.losses.2.type": "triplet"}) != []


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("batch_size", "'batch_size' must start with recipe., loss. or sampler."),
        ("recipe", "'recipe' must start with"),
        ("recipe.batchsize", "Recipe has no key 'batchsize'; did you mean 'batch_size'?"),
        ("recipe.schedule.step", "Schedule has no key 'step'"),
        ("recipe.head.layernorm", "Head has no key 'layernorm'; did you mean 'layer_norm'?"),
        ("sampler.perclass", "Sampler has no key 'perclass'; did you mean 'per_class'?"),
    ],
)
def test_a_setting_that_no_run_can_have_is_refused(key, said):
    with pytest.raises(ValidationError, match=re.escape(said)):
        Row(name="made", settings={key: 1}, values=[])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"name": "a", "values": [1.0]}], "a: 1 values, 2 columns"),
        ([{"name": "a", "values": [1.0, 2.0]}] * 2, "a: two rows have this name"),
    ],
)
def test_a_row_that_cannot_be_printed_is_refused(rows, said):
    part = {"part": ["cub200", *CUB], "columns": ["recall@1", "recall@2"], "rows": rows}
    with pytest.raises(ValidationError, match=said):
        published.PublishedPart.model_validate(part)


@pytest.mark.parametrize("name", TABLES)
def test_what_a_table_matches_exists_with_the_options_that_it_names(name):
    table = read_published(name)
    rows = [row for part in table.parts for row in part.rows]
    claims = [*table.claims, *table.comparisons]
    alone = [match for claim in claims for match in (claim.worse, claim.better) if match]
    for match, settings in [
        *((m, table.settings_of(row)) for row in rows for m in row.match),
        *((match, {}) for match in alone),
    ]:
        given = {key.removeprefix("loss.") for key in settings if key.startswith("loss.")}
        keys = {key.partition(".")[0] for key in {*match.options, *given}}
        assert keys <= {*entry("loss", match.loss).arguments.known, "loss_lr"}, match
        for kind in ("positive", "negative"):
            choice = getattr(match, kind)
            assert choice is None or choice in entries(kind)


@pytest.mark.parametrize("name", TABLES)
def test_a_recipe_could_have_each_value_that_a_table_names(name):
    for part in read_published(name).parts:
        for row in part.rows:
            for key, value in read_published(name).settings_of(row).items():
                section, *outer, last = key.split(".")
                model = {"recipe": Recipe, "sampler": Sampler}.get(section, Choice)
                for inner in outer:
                    model = getattr(model.model_fields.get(inner), "annotation", Choice)
                field = getattr(model, "model_fields", {}).get(last)
                if field:  # else an option of a class
                    checked = TypeAdapter(Annotated[field.annotation, field]).validate_python(value)
                    assert checked == value or not isinstance(value, int | float | str), key


def test_rows_that_two_sources_list_agree():
    numbers = {}
    for name in TABLES:
        for part in read_published(name).parts:
            for row in part.rows:
                numbers[name, part.part[0], row.name] = part.numbers(row)["recall@1"]
    hier, code = "MS, BN-Inception, 512", "MS, BN-Inception"
    assert numbers["hier_table", "cub200", hier] == numbers["multi_similarity_code", "cub200", code]
    presets = yaml.safe_load((ROOT / "workflow_scripts/dmlbench/config/presets.yaml").read_text())
    reached = {p["reaches"] for p in presets.values() if "/" in p["reaches"]}
    assert len(reached) >= 6
    pairs = {
        (value, numbers.get((table, "cars196", row)))
        for (table, dataset, row), value in numbers.items()
        if dataset == "cub200"
    }
    for text in reached:
        both = tuple(map(float, re.match(r"([\d.]+) / ([\d.]+)", text).groups()))
        assert both in pairs, f"presets.yaml: no published row has {text}"


def body_and_embedding(**settings):
    part = {
        "part": ["digits_even_odd", "test", "seen", "digit"],
        "columns": ["recall@1"],
        "rows": [
            {"name": "of the head", "values": [50.0], "settings": settings},
            {"name": "of the body", "values": [60.0], "features": "body", "selection": "last"},
        ],
    }
    for row in part["rows"]:
        row["match"] = [{"loss": "triplet", "positive": "easy", "negative": "random"}]
    about = {"paper": "Made", "title": "Made", "table": "Table", "datasets": ["digits_even_odd"]}
    about |= {"protocol": {"selection": "test_max"}, "unsaid": "all", "parts": [part]}
    return Published.model_validate(about)


@pytest.fixture
def made_runs(smoke_config, tmp_path, monkeypatch):
    """A function: the plan of made runs, and their metrics, also of the body if asked for."""

    def make(table, body):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(matching, "published_of", lambda *_: [table])
        plan = resolve_config(smoke_config, "test")
        make_results(plan, tmp_path / paths.results("smoke"))
        metrics = gather(plan)
        of_body = metrics.assign(selection=metrics["selection"].map(paths.body_of))
        return plan, pd.concat([metrics, of_body]) if body else metrics

    return make


def test_a_number_of_the_body_stands_beside_the_body_only(made_runs):
    plan, metrics = made_runs(body_and_embedding(), body=True)
    table = cells(plan, "even_odd", metrics)
    mine = table[(table["sampler"] == "eps") & (table["metric"] == "recall") & (table["k"] == 1)]
    mine = mine[(mine["subset"] == "seen") & (mine["control"] == "")]
    beside = mine.set_index("selection")["published"].to_dict()
    assert len(beside) == 6
    for selection, value in beside.items():
        assert value == (60.0 if selection.endswith("_body") else 50.0)


def test_where_the_body_is_not_measured_its_number_stands_below(made_runs):
    plan, _ = made_runs(body_and_embedding(), body=False)
    write_tables(plan, "even_odd")
    text = paths.local(paths.table("smoke", "even_odd", "md")).read_text()
    below = text.split("published, not run here: Made, Table")[1]
    assert re.search(r"of the body +\| 60\.0", below)
    assert "of the head" not in text


def test_a_row_with_other_settings_stands_below_and_the_caption_says_why(made_runs):
    table = body_and_embedding(**{"recipe.batch_size": 64, "loss.margin": 0.5})
    plan, _ = made_runs(table, body=False)
    write_tables(plan, "even_odd")
    for suffix in ("md", "tex"):
        text = paths.local(paths.table("smoke", "even_odd", suffix)).read_text()
        text = text.replace(r"\_", "_").replace(r"\allowbreak{}", "")
        assert re.search(r"of the head +[|&] 50\.0", text)
        assert "Made, Table (recipe.batch_size, loss.margin). Compare the differences" in text


def test_a_verdict_is_given_at_the_rows_own_epoch_and_features(made_runs, monkeypatch):
    table = body_and_embedding(**{"recipe.batch_size": 64})
    monkeypatch.setattr(published, "read_published", lambda _: table)
    plan, metrics = made_runs(table, body=True)
    plan.benchmark.experiments["even_odd"].published.append("eps_table1")  # stands for the made one
    found = verdicts(plan, metrics)
    mine = found[found["experiment"] == "even_odd"].set_index("claim")
    assert mine.loc["of the head", ["selection", "verdict"]].tolist() == ["test_max", OTHER]
    assert mine.loc["of the body", "selection"] == "last_body"
    assert mine.loc["of the body", "verdict"] != OTHER
