"""Each rule of the checker refuses results that were doctored to break it, and it alone."""

import json
import math
import os
import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, error_lines, run_script
from made_results import make_results, share

from dmlbench import paths
from dmlbench.checking.check import check, refuse, rules, words
from dmlbench.checking.results import PART, Results
from dmlbench.config import RANDOM, resolve_config
from dmlbench.errors import DataError
from dmlbench.files import checksum_of
from dmlbench.records import SEAL, sealed
from dmlbench.seeding import derive_seed

RUN = "digits_even_odd/digits_8d/triplet/eps/seed0"
METRICS, RECORD, HISTORY = paths.METRICS_FILE, "run.json", "history.csv"


@pytest.fixture
def plan(smoke_config):
    return resolve_config(smoke_config, "test")


@pytest.fixture
def folder(plan, tmp_path):
    make_results(plan, tmp_path / "x")
    return tmp_path / "x"


def breaches(plan, folder):
    return check(Results.read(plan, folder))


def doctored(folder, run, name, change):
    """Rewrite one file of a run by ``change``, as if its job had written it so."""
    path = paths.run_in(folder, run) / name
    if name == HISTORY:
        change(pd.read_csv(path)).to_csv(path, index=False)
        doctored(folder, run, RECORD, set_in("outputs", HISTORY, checksum_of(path)))
        return
    content = json.loads(path.read_text())
    change(content)
    content.pop(SEAL, None)
    path.write_text(json.dumps(sealed(content)))


def of_metric(content, metric, k=None):
    return next(
        r for r in content["metrics"] if r["metric"] == metric and (k is None or r["k"] == k)
    )


def test_results_that_hold_every_rule_pass(plan, folder):
    assert breaches(plan, folder) == []
    assert len(rules()) == 23


def test_kinds_that_training_and_test_share_by_design_break_no_rule(smoke_config, tmp_path):
    smoke_config["experiments"]["even_odd"]["dataset"] = "sop"
    smoke_config["recipes"]["digits_8d"]["image_size"] = 8
    plan = resolve_config(smoke_config, "test")
    make_results(plan, tmp_path)
    runs = [run.id for run in plan.all_runs.values()]
    for label, told in (("super_class", []), ("product", ["R10"] * len(runs))):

        def all_trained_on(content, label=label):
            for part in content["parts"]:
                part["trained_classes"] = 12 * (part["label"] in (label, "super_class"))

        for run in runs:
            doctored(tmp_path, run, METRICS, all_trained_on)
        assert [breach["rule"] for breach in breaches(plan, tmp_path)] == told


def set_in(*keys):
    *way, last, value = keys

    def change(content):
        for key in way:
            content = content[key]
        content[last] = value

    return change


def other_settings(content):
    content["run"]["recipe"]["optimizer"]["lr"] *= 2


def copied_seed(plan, folder):
    outputs = json.loads((paths.run_in(folder, RUN) / RECORD).read_text())["outputs"]

    def change(content):
        content["outputs"] |= {name: outputs[name] for name in outputs if name != HISTORY}

    doctored(folder, RUN.replace("seed0", "seed1"), RECORD, change)


def leak(plan, folder):
    random = next(r for r in plan.all_runs.values() if r.loss == RANDOM)

    def change(content):
        for row in content["metrics"]:
            if row["metric"] == "recall":
                row["value"] = share(content, row, 0.99)

    doctored(folder, random.id, METRICS, change)


def remove_run(plan, folder):
    (paths.run_in(folder, RUN) / METRICS).unlink()


def trained_on(content):
    part = next(p for p in content["parts"] if p["subset"] == "unseen")
    part["trained_classes"] = 2


def fewer_queries(content):
    part, vectors = content["parts"][0], content["vectors"]
    part["queries"], part["gallery"] = part["queries"] - 10, part["gallery"] - 10
    for found in vectors:
        if all(found[key] == part[key] for key in PART):
            found["vectors"] -= 10
    for row in content["metrics"]:
        if row["metric"] == "recall":
            row["value"] = share(content, row, row["value"])


def left_out(content):
    fewer_queries(content)
    content["parts"][0]["held_out"] = 10


def raised_by_hand(plan, folder):
    """What an editor does: another number, the file's time kept."""
    path = paths.run_in(folder, RUN) / METRICS
    content, times = json.loads(path.read_text()), path.stat()
    part = content["parts"][0]
    for row in content["metrics"]:
        if row["metric"] == "recall" and all(row[key] == part[key] for key in PART):
            row["value"] += 1 / part["queries"]
    path.write_text(json.dumps(content))
    os.utime(path, (times.st_atime, times.st_mtime))


def file_change(run, name, change):
    return lambda plan, folder: doctored(folder, run, name, change)


def lower_at_10(content):
    change = 10 / content["parts"][0]["queries"]
    of_metric(content, "recall", 10)["value"] = of_metric(content, "recall", 1)["value"] - change


def two_points_more(content):
    of_metric(content, "recall", 10)["value"] += 0.02


def drop_last_epoch(history):
    # The steps of the missing epoch go to the others: the budget is another rule's.
    shorter = history.iloc[:-1].copy()
    shorter["steps"] = shorter["steps"].astype(float)
    shorter.loc[0, "steps"] += history["steps"].iloc[-1]
    return shorter


def nothing_to_find(content):
    part = next(p for p in content["parts"] if p["queries"] == 363)
    part.update(unmatched=1, copies=362, fixed=363)


DOCTORED = {
    "R01": (remove_run, "missing: trained, not measured yet", "run the pipeline to the end"),
    "R02": (
        file_change(RUN, METRICS, set_in("benchmark_version", "0.9")),
        "version 0.9",
        "rescore",
    ),
    "R03": (file_change(RUN, RECORD, other_settings), "other settings", "train it again"),
    "R04": (copied_seed, "has the same trained weights as", "train it again"),
    "R05": (
        file_change(RUN, METRICS, set_in("data", "another")),
        "other data",
        "evaluate it again",
    ),
    "R06": (
        file_change(RUN, RECORD, set_in("files", "dmlbench.training.loop", "bb")),
        "another dmlbench.training.loop than",
        "train it again",
    ),
    "R07": (
        file_change(RUN, METRICS, set_in("evaluation", "kmeans_restarts", 99)),
        "evaluation.kmeans_restarts",
        "evaluate it again",
    ),
    "R08": (
        file_change(RUN, RECORD, set_in("initial_weights", "others")),
        "started from other weights than",
        "train it again",
    ),
    "R09": (
        file_change(RUN, HISTORY, lambda h: h.assign(steps=h["steps"] + 5)),
        "number of steps 75, but 60",
        "train it again",
    ),
    "R10": (file_change(RUN, METRICS, trained_on), "2 of 6 classes were trained on", "prepare"),
    "R11": (file_change(RUN, METRICS, fewer_queries), "should be 363 in 362", "evaluate it again"),
    "R12": (
        file_change(RUN, METRICS, lambda c: of_metric(c, "nmi").update(value=math.nan)),
        "nmi is nan",
        "evaluate it again",
    ),
    "R13": (
        file_change(RUN, METRICS, lambda c: c["vectors"][0].update(longest=1.5)),
        "lengths 1 to 1.5",
        "embed it again",
    ),
    "R14": (file_change(RUN, METRICS, lower_at_10), "is lower than before", "evaluate it again"),
    "R15": (file_change(RUN, HISTORY, drop_last_epoch), "ends at epoch 2 of 3", "train it again"),
    "R16": (leak, "R@1 0.990, chance is 0.164", "report this bug"),
    "R17": (
        file_change(RUN, METRICS, lambda c: c["metrics"].append(dict(c["metrics"][0]))),
        "is there twice",
        "evaluate it again",
    ),
    "R18": (
        file_change(RUN, HISTORY, lambda h: h.assign(active_tuples=0.0)),
        "learnt nothing: no tuple was active in any step",
        "leaves something to learn",
    ),
    "R19": (file_change(RUN, METRICS, two_points_more), "of 363 queries", "evaluate it again"),
    "R20": (raised_by_hand, "metrics.json was changed after it was written", "evaluate it again"),
    "R21": (
        file_change(RUN, METRICS, nothing_to_find),
        "test seen digit: is the same for all embeddings: of 363 queries 1 have no match",
        "measure another label column or split",
    ),
    "R22": (
        file_change(RUN, RECORD, set_in("moved", 0.0)),
        "learnt nothing: the weights have not moved",
        "raise the learning rate",
    ),
    "R23": (
        file_change(RUN, METRICS, lambda c: c["vectors"][0].update(one_point=True)),
        "collapsed: all embeddings lie on one point",
        "set partial: true",
    ),
}


@pytest.mark.parametrize("rule", sorted(DOCTORED))
def test_doctored_results_break_one_rule_which_names_run_and_remedy(plan, folder, rule):
    change, what, remedy = DOCTORED[rule]
    change(plan, folder)
    found = breaches(plan, folder)
    assert {b["rule"] for b in found} == {rule}, words(found)
    lines = words(found)
    assert any(what in line for line in lines), lines
    assert all(remedy in line for line in lines)
    assert all(re.match(rf"{rule} digits_even_odd/\S+/seed\d: ", line) for line in lines)
    with pytest.raises(DataError, match=rule):
        refuse(found)


def test_every_rule_has_doctored_results():
    assert set(DOCTORED) == set(rules())


@pytest.mark.parametrize(
    ("run", "name", "change", "rule"),
    [
        (RUN, METRICS, set_in("fingerprint", "0" * 16), "R03"),
        (RUN, METRICS, set_in("code", "other"), "R06"),
        (RUN, METRICS, lambda c: c["metrics"].remove(of_metric(c, "recall", 5)), "R17"),
        (RUN, METRICS, lambda c: c["vectors"][0].update(dimension=9), "R13"),
        (RUN, METRICS, lambda c: c["vectors"][0].update(vectors=9), "R13"),
        (RUN, METRICS, lambda c: of_metric(c, "nmi").update(value=1.2), "R12"),
        (RUN, METRICS, lambda c: of_metric(c, "nmi").update(value=None), "R12"),
        (RUN, HISTORY, lambda h: h.assign(loss=np.nan), "R12"),
        (RUN, RECORD, set_in("selected_epochs", "last", 2), "R15"),
        (RUN, METRICS, lambda c: c["metrics"].remove(of_metric(c, "mrr")), "R17"),
        (RUN, METRICS, lambda c: c["metrics"].append(of_metric(c, "mrr") | {"k": 3}), "R17"),
        (RUN, METRICS, lambda c: of_metric(c, "mrr").update(selection="oracle"), "R17"),
        (RUN, METRICS, lambda c: c["vectors"].clear(), "R13"),
        (RUN, METRICS, lambda c: of_metric(c, "ami").update(value=1.7), "R12"),
        (RUN, METRICS, left_out, "R11"),
    ],
)
def test_other_ways_to_break_a_rule(plan, folder, run, name, change, rule):
    doctored(folder, run, name, change)
    assert {b["rule"] for b in breaches(plan, folder)} == {rule}


OTHER = RUN.replace("eps", "random")


@pytest.mark.parametrize(
    ("mine", "theirs", "told"),
    [
        ({"my_losses": "aa"}, {"my_losses": "bb"}, "another my_losses than"),
        ({"mine.losses": "aa"}, {"theirs.losses": "bb"}, None),
        ({"my_losses": "aa", "my_miners": "cc"}, {"my_losses": "aa", "my_choices": "dd"}, None),
        ({"my_losses": "aa"}, {}, None),
        # A loss of a library in one run and a miner of it in another.
        ({"torch-losses 2.0": "torch-losses 2.0"}, {"torch-losses 2.0": "torch-losses 2.0"}, None),
        ({"torch-losses 2.0": "torch-losses 2.0"}, {"my_losses": "aa"}, None),
        (
            {"torch-losses 2.0": "torch-losses 2.0"},
            {"torch-losses 2.1": "torch-losses 2.1"},
            "another torch-losses than",
        ),
    ],
)
def test_own_modules_and_packages_are_compared_where_both_runs_use_them(
    plan, folder, mine, theirs, told
):
    for run, files in ((RUN, mine), (OTHER, theirs)):
        doctored(folder, run, RECORD, lambda c, f=files: c["files"].update(f))
    found = breaches(plan, folder)
    assert {b["rule"] for b in found} == ({"R06"} if told else set())
    assert all(told in b["what"] for b in found)


@pytest.mark.parametrize("metric", ["eer", "auc", "tar_at_far_0.01", "nmi_geometric"])
def test_shares_are_known_by_their_names(plan, folder, metric):
    for run in plan.all_runs:
        add = {"metric": metric, "value": 1.7 if run == RUN else 1.0}
        doctored(
            folder, run, METRICS, lambda c, add=add: c["metrics"].append(c["metrics"][0] | add)
        )
    assert [(b["rule"], b["run"]) for b in breaches(plan, folder) if b["rule"] != "R17"] == [
        ("R12", RUN)
    ]


@pytest.mark.parametrize("metric", ["nmi", "ami", "nmi_plus", "map_at_r"])
def test_a_metric_that_no_run_has_is_missed(plan, folder, metric):
    def change(content):
        content["metrics"] = [row for row in content["metrics"] if row["metric"] != metric]

    for run in plan.all_runs:
        doctored(folder, run, METRICS, change)
    found = breaches(plan, folder)
    assert {b["rule"] for b in found} == {"R17"}
    assert len(found) == len(plan.all_runs)
    assert all(f"{metric} was not measured" in b["what"] for b in found)


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        (METRICS, lambda c: c.pop("evaluation"), "metrics.json: evaluation: field required"),
        (METRICS, set_in("metrics", 0, "value", "0.5"), "metrics.0.value: input should be a valid"),
        (METRICS, set_in("parts", []), None),
        (RECORD, lambda c: c.pop("initial_weights"), "run.json: initial_weights: field required"),
        (RECORD, lambda c: c.pop("files"), "run.json: files: field required"),
    ],
)
def test_files_of_another_form_are_told_in_one_line(plan, folder, name, change, told):
    doctored(folder, RUN, name, change)
    if told is None:  # a form that fits, with nothing in it: the rules'
        assert breaches(plan, folder)
        return
    with pytest.raises(DataError, match=re.escape(told)) as refused:
        breaches(plan, folder)
    assert RUN in str(refused.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda h: h.drop(columns="steps"), "has no numbers in a column 'steps'"),
        (lambda h: h.assign(loss="much"), "has no numbers in a column 'loss'"),
    ],
)
def test_a_history_of_another_form_is_a_failed_run(plan, folder, change, told):
    doctored(folder, RUN, HISTORY, change)
    (found,) = breaches(plan, folder)
    assert (found["rule"], found["run"]) == ("R01", RUN)
    assert found["what"].startswith("failed: ")
    assert told in found["what"]


def test_a_training_that_taught_nothing_has_that_state_and_partial_leaves_it_out(plan, folder):
    """A loss of 0 in every step says so too, where a library's loss counts no tuples."""
    doctored(folder, RUN, HISTORY, lambda h: h.assign(loss=0.0, active_tuples=np.nan))
    results = Results.read(plan, folder)
    (entry,) = (e for e in results.entries if e.state != "ok")
    assert (entry.run.id, entry.state) == (RUN, "learnt nothing")
    assert entry.reason == "the loss was 0 in every step"
    assert [b["rule"] for b in check(results)] == ["R18"]
    plan.benchmark.partial = True
    assert check(results) == []
    assert entry.run not in results.measured


def test_images_that_a_training_did_not_use_are_told(plan, folder, tmp_path):
    images = {"images": 1090, "never_drawn": 12, "without_positive": 0}
    doctored(folder, RUN, RECORD, set_in("images", images))
    (note,) = (e.note for e in Results.read(plan, folder).entries if e.note)
    assert note == "of 1,090 training images 12 in no batch of any epoch"
    there = tmp_path / paths.results(plan.benchmark.name)
    there.parent.mkdir()
    folder.rename(there)
    config = paths.resolved_config(plan.benchmark.name)
    done = run_script("plan", "status", "--config", config, cwd=tmp_path)
    assert f"digits_even_odd, 1 run: {note}" in done.stdout, done.stderr


def test_some_active_tuples_are_enough(plan, folder):
    doctored(folder, RUN, HISTORY, lambda h: h.assign(active_tuples=[0.0, 0.0, 0.01]))
    assert breaches(plan, folder) == []


@pytest.mark.parametrize("content", ["{}", "[]"])
def test_metrics_without_a_version_are_of_another_one(plan, folder, content):
    (paths.run_in(folder, RUN) / METRICS).write_text(content)
    (found,) = breaches(plan, folder)
    assert (found["rule"], found["run"]) == ("R02", RUN)
    assert "version none" in found["what"]


@pytest.mark.parametrize("found", [0, 100, 363])
def test_seeds_that_find_as_much_are_no_copies(plan, folder, found):
    def alike(content):
        for row in content["metrics"]:
            row["value"] = share(content, row, found / 363)

    for seed in (0, 1):
        doctored(folder, RUN.replace("seed0", f"seed{seed}"), METRICS, alike)
    assert breaches(plan, folder) == []


@pytest.mark.parametrize(
    "change",
    [
        set_in("seconds", 1.0),
        set_in("images", {"images": 1090, "never_drawn": 0}),
        set_in("outputs", {}),
        lambda content: content.pop(SEAL),
    ],
)
def test_a_record_altered_by_hand_is_told(plan, folder, change):
    path = paths.run_in(folder, RUN) / RECORD
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    found = breaches(plan, folder)
    assert {(b["rule"], b["run"]) for b in found} == {("R20", RUN)}
    assert found[0]["what"] == "run.json was changed after it was written"
    assert found[0]["remedy"] == "delete its run.json and train it again"


def test_a_history_that_no_record_vouches_for_counts_as_altered(plan, folder):
    doctored(folder, RUN, RECORD, lambda content: content["outputs"].pop(HISTORY))
    (found,) = breaches(plan, folder)
    assert (found["rule"], found["what"]) == ("R20", "history.csv was changed after it was written")


def test_a_history_altered_by_hand_is_told(plan, folder):
    path = paths.run_in(folder, RUN) / HISTORY
    path.write_text(path.read_text().replace("0.1", "0.2"))
    (found,) = breaches(plan, folder)
    assert (found["rule"], found["what"]) == ("R20", "history.csv was changed after it was written")


@pytest.mark.parametrize(
    ("recipe", "alike"),
    [
        ({"weights": "tv_in1k", "head": {"type": "none"}}, True),
        ({"weights": "tv_in1k", "head": {"type": "linear"}}, False),
        ({"weights": "none", "head": {"type": "none"}}, False),
    ],
)
def test_seeds_may_begin_alike_where_nothing_is_random(plan, tmp_path, recipe, alike):
    for each in plan.recipes.values():
        each |= recipe
    make_results(plan, tmp_path / "x")
    for run in plan.runs:
        doctored(tmp_path / "x", run, RECORD, set_in("initial_weights", "the same"))
    assert {b["rule"] for b in breaches(plan, tmp_path / "x")} == (set() if alike else {"R04"})


def test_a_value_that_is_not_defined_needs_only_its_reason(plan, folder):
    change = {"value": None, "note": "every image is alone in its class"}
    for metric in ("nmi", "recall"):
        doctored(folder, RUN, METRICS, lambda c, m=metric: of_metric(c, m).update(change))
    assert breaches(plan, folder) == []


def test_gaps_pass_where_the_config_says_partial(smoke_config, folder):
    remove_run(None, folder)
    partial = resolve_config({**smoke_config, "partial": True}, "test")
    assert breaches(partial, folder) == []


def test_settings_changed_together_with_their_fingerprint_are_another_run(plan, folder):
    def change(content):
        content["run"]["recipe"]["epochs"] += 1
        content["fingerprint"] = f"{derive_seed(content['run']):016x}"

    doctored(folder, RUN, RECORD, change)
    (found,) = breaches(plan, folder)
    assert (found["rule"], found["run"]) == ("R01", RUN)
    assert "other settings than the config's" in found["what"]


def test_many_breaches_of_one_rule_are_counted(plan, folder):
    breach = {"rule": "R09", "run": "a", "what": "b", "remedy": "c"}
    lines = words([breach] * 50)
    assert len(lines) == 21
    assert lines[-1] == "R09: 30 more"


def test_a_strangers_folder_is_checked_alone(plan, folder, tmp_path):
    done = run_script("check", folder, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "7 runs hold all 23 rules" in done.stdout
    doctored(folder, RUN, METRICS, lower_at_10)
    out, table = tmp_path / "check.json", tmp_path / "ledger.csv"
    done = run_script("check", folder, "--out", out, "--ledger", table, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"error: R14 {RUN}: last test" in done.stderr
    (first, *_) = json.loads(out.read_text())["breaches"]
    assert (first["rule"], first["run"]) == ("R14", RUN)
    assert (pd.read_csv(table)["state"] == "ok").all()
    (folder / paths.CONFIG_FILE).unlink()
    done = run_script("check", folder, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = error_lines(done)
    assert f"{folder}: has no config.json, so nothing was run here; run the pipeline first" in line


def test_results_of_another_version_are_told_with_what_to_do(plan, folder, tmp_path):
    """Their config has keys that are gone."""
    config = json.loads((folder / paths.CONFIG_FILE).read_text()) | {"theory": {}, "simulate": 1}
    (folder / paths.CONFIG_FILE).write_text(json.dumps(config))
    done = run_script("check", folder, cwd=tmp_path)
    assert len(error_lines(done)) == 2  # of this version: each key
    for run in plan.all_runs:
        doctored(folder, run, METRICS, set_in("benchmark_version", "1.0"))
    done = run_script("check", folder, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = error_lines(done)
    assert f"{folder}: of benchmark version 1.0, whose config this version" in line
    assert "check them with the code that made them" in line


def test_the_protocol_lists_every_rule():
    text = (ROOT / "docs" / "protocol.md").read_text()
    for rule in rules().values():
        assert f"| {rule.id} | {rule.text} | {rule.since} |" in text
