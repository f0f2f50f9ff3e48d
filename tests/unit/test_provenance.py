"""Which steps a change of one source file has done again."""

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest
from conftest import ROOT, SCRIPTS

from dmlbench.config import load_config
from dmlbench.workflow import provenance

SINGLE = ("check",)
STEPS = {
    "embed": ("trained", "control"),
    "data": ("pairs", "duplicates", "summarise"),
    "measure": ("evaluate", "project", "illustrate", "roc"),
    "report": ("collect", "tables", "figures", "pages", "pdf", "means"),
}
#: Of no step: they say what is planned, or run beside the steps.
BESIDE = {
    "dmlbench.checking.__init__", "dmlbench.reporting.power", "dmlbench.reporting.status",
    "dmlbench.training.rehearsal", "dmlbench.workflow.estimate", "dmlbench.workflow.file_records",
}  # fmt: skip
EVALUATED = {"evaluate", "illustrate", "roc"}
REPORT = set(STEPS["report"])
DRAWN = {"figures", "pages", "pdf"}
#: What is done again once a module has changed, besides what is made from that.
AGAIN = {
    "seeding": {"train", "trained", "control", "check", "summarise", "project"} | EVALUATED,
    # Metrics register their labels where they are computed, and tables and pages print those.
    "neighbours.knn": {"train", "project", "check", "evaluate", "illustrate"}
    | REPORT - {"collect", "means"},
    "samplers.batch": {"train"},
    "data.splits": {"train", "trained", "control", "project"} | EVALUATED,
    "data.store": {"train", "trained", "control", "summarise", "pairs", "duplicates", "project"}
    | EVALUATED
    | DRAWN,
    "data.verification_pairs": {"pairs", "project"} | EVALUATED,
    "config.archive_table": set(),
    "data.prepare": {"prepare", "duplicates"},
    "data.datasets.digits": {"prepare", "train"},
    "data.datasets.mnist": set(),
    "data.folder": set(),
    "data.download": set(),
    "losses.base": {"train"},
    "losses.triplet": {"train"},
    "losses.contrastive": set(),
    "samplers.sampler": {"train"},
    "models.embedder": {"train", "trained", "control"},
    "training.loop": {"train"},
    "training.checkpoint": set(),
    "training.run_lock": set(),
    "evaluation.embeddings": {"trained", "control", "project"} | EVALUATED,
    "checking.number_rules": {"check"},
    "records": {"check"},
    "workflow.job_records": {"check"},
    "workflow.preflight": set(),
    "__init__": {"evaluate", "check"} | REPORT,
    "reporting.names": REPORT,
    "reporting.draw_figures": DRAWN,
    "reporting.figures.roc": DRAWN,
    "cli": set(),
    "paths": set(),
    "errors": set(),
}


@pytest.fixture(scope="module")
def run():
    plan = load_config(ROOT / "configs" / "smoke.yaml")
    (one,) = [run for run in plan.experiment_runs("even_odd") if run.sampler == "eps"][:1]
    return one.dataset, plan.sources(one)


def codes(run) -> dict[str, str]:
    """The code of every step by its name."""
    for cached in vars(provenance).values():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()
    dataset, sources = run
    found = {step: provenance.step_code(step) for step in SINGLE}
    found |= {step: provenance.step_code(s, step) for s, steps in STEPS.items() for step in steps}
    found["train"] = provenance.training_code(dataset, sources)
    return found | {"prepare": provenance.data_code(dataset)}


@contextmanager
def copied(copy):
    """A copy of the library and its scripts in ``copy``, whose code is what is hashed."""
    shutil.copytree(SCRIPTS, copy, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "SCRIPTS", copy)
        patch.setattr(provenance, "PACKAGE", copy / "dmlbench")
        yield


@pytest.fixture(scope="module")
def again(run, tmp_path_factory) -> dict[str, set[str]]:
    """For each module of a copy of the library: the steps whose code a changed line changes."""
    copy = tmp_path_factory.mktemp("copy")
    with copied(copy):
        before, found = codes(run), {}
        for file in sorted((copy / "dmlbench").rglob("*.py")):
            text = file.read_text()
            file.write_text(text + "# another\n")
            after = codes(run)
            file.write_text(text)
            name = ".".join(file.relative_to(copy).with_suffix("").parts)
            found[name] = {step for step in before if after[step] != before[step]}
    codes(run)
    return found


@pytest.mark.parametrize("module", AGAIN)
def test_a_changed_module_has_exactly_these_steps_done_again(again, module):
    assert again[f"dmlbench.{module}"] == AGAIN[module]


@pytest.mark.parametrize("dataset", ["mnist_even_odd", "omniglot", "cars196"])
def test_another_address_of_an_archive_changes_no_code(run, tmp_path, dataset):
    table = tmp_path / "dmlbench/data/archives.yaml"
    with copied(tmp_path):
        before = codes((dataset, run[1]))
        changed = re.sub("https://[^/]+/", "https://example.org/", table.read_text())
        assert changed != table.read_text()
        table.write_text(changed)
        assert codes((dataset, run[1])) == before
        file = tmp_path / "dmlbench/data/datasets" / f"{dataset.partition('_')[0]}.py"
        file.write_text(file.read_text() + "# another\n")
        assert codes((dataset, run[1]))["prepare"] != before["prepare"]
    codes(run)


def test_how_a_table_is_read_is_code_of_own_datasets_only(run):
    reading = {"dmlbench.data.table", "dmlbench.config.image_tables"}
    assert reading <= set(provenance.step_files("prepare", None, "dmlbench.data.folder"))
    assert reading.isdisjoint(provenance.training_files(*run))


def test_every_module_decides_something_or_is_said_to_decide_nothing(again, run):
    idle = {module for module, steps in again.items() if not steps}
    idle -= {m for m in idle if provenance.is_in(m, provenance.DECIDES_NOTHING)} | BESIDE
    # A dataset, a loss or a choice that this run does not name is of others.
    others = re.compile(
        r"dmlbench\.(data\.(datasets|listed_images|read_archive|table)|losses|samplers)\b"
    )
    assert {module for module in idle if not others.match(module)} <= {"dmlbench.__init__"}


def test_what_is_said_to_decide_nothing_exists(again):
    for name in provenance.DECIDES_NOTHING:
        assert {name, f"{name}.__init__"} & set(again), name


def test_a_training_depends_on_its_own_loss_and_names_each_file(run):
    files = provenance.training_files(*run)
    assert {"train.py", "dmlbench.losses.triplet", "dmlbench.training.loop"} <= set(files)
    assert "dmlbench.losses.margin" not in files


LOADED = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("LOADED", *(name for name in sys.modules if name.split(".")[0] == "dmlbench"))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    ["embed trained", "embed control", "check", "measure evaluate", "measure project",
     "measure illustrate", "report collect", "report tables --experiment even_odd", "report means",
     "report figures --experiment even_odd", "report pages", "train"],
)  # fmt: skip
def test_a_step_loads_nothing_that_its_code_does_not_cover(step, run, smoke_run, tmp_path):
    """Whatever way it is imported: the modules that a real step has loaded when it ends."""
    for part in ("data", "results"):
        shutil.copytree(smoke_run / part, tmp_path / part)
    script, *options = step.split()
    config = ["--config", "results/smoke/config.json"]
    one = "digits_even_odd/digits_8d/triplet/eps/seed0"
    if step == "embed control":
        one = one.replace("triplet/eps", "untrained-backbone/none")
    if script in ("embed", "measure", "train"):
        options += ["--run", one]
    if script == "train":
        (tmp_path / "results/smoke/runs" / one / "run.json").unlink()
    place = ["results/smoke"] if script == "check" else []
    command = [sys.executable, "-c", LOADED, SCRIPTS / f"{script}.py", *options, *config, *place]
    done = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.partition("LOADED ")[2].split())
    name = options[0] if script in STEPS else None
    files = provenance.training_files(*run) if script == "train" else None
    covered = set(files or provenance.step_files(script, name))
    # What reading a config loads, the registered classes among it, does not count; nor does what
    # the functions that read weights are kept beside.
    beside = {m for m in loaded if provenance.is_in(m, provenance.DECIDES_NOTHING)}
    beside |= loaded_by("import dmlbench.cli, dmlbench.config as c; c.load_config('smoke.yaml')")
    beside |= {"dmlbench", "dmlbench.data.folder", "dmlbench.data.table"}
    if script == "train":  # what it refuses before the first step
        beside |= {"dmlbench.data.measured_images"}
    if script == "embed":
        beside |= provenance.closure(["dmlbench.training.loop"])
    assert loaded - covered <= beside


def loaded_by(code: str) -> set[str]:
    """The modules of the library that some code loads."""
    shown = "print(*(n for n in sys.modules if n.split('.')[0] == 'dmlbench'))"
    command = [sys.executable, "-c", f"import sys; {code}; {shown}"]
    return set(subprocess.check_output(command, cwd=ROOT / "configs", text=True).split())
