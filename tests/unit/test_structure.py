"""The architecture holds: imports point one way, light rooms stay light."""

import ast
import re

import pytest
from conftest import ROOT, SCRIPTS

from dmlbench.plugins.entries import entries
from dmlbench.plugins.registry import REGISTRIES

PACKAGE = SCRIPTS / "dmlbench"
BASE = {
    "errors", "files", "knn", "paths", "progress", "seeding", "tensors", "version",
}  # fmt: skip
MAY_IMPORT = {
    "plugins": set(),
    "config": {"plugins"},
    "workflow": {"config", "plugins"},
    "data": {"config", "plugins"},
    "losses": {"config", "plugins", "samplers"},
    "samplers": {"config", "plugins"},
    "models": {"config", "data"},
    "training": {"config", "workflow", "data", "losses", "samplers", "models"},
    "evaluation": {"config", "workflow", "data"},
    "checking": {"config", "workflow"},
    "reporting": {"config", "plugins", "workflow", "checking", "data"},
}


def imports_of(file):
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from names


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_one_way(room):
    place = PACKAGE / room
    files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    for file in files:
        rooms = {n.split(".")[1] for n in imports_of(file) if n.startswith("dmlbench.")}
        wrong = rooms - BASE - MAY_IMPORT[room] - {room, "__version__"}
        assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"


@pytest.mark.parametrize("room", ["checking", "evaluation", "reporting"])
def test_rooms_without_torch(room):
    # One figure puts its thumbnails together with torchvision, inside the function that draws.
    allowed = PACKAGE / "reporting" / "figures" / "nearest_neighbours.py"
    for file in (PACKAGE / room).rglob("*.py"):
        if file != allowed:
            assert not {n for n in imports_of(file) if n.split(".")[0] == "torch"}, file


def test_every_registered_class_has_a_docstring():
    for kind in REGISTRIES:
        for entry in entries(kind).values():
            assert entry.summary, f"{entry.name} in {entry.cls.__module__} has no docstring"


def test_the_list_of_methods_names_every_loss_and_choice():
    text = (ROOT / "docs" / "methods.md").read_text()
    for kind in ("loss", "positive", "negative"):
        missing = [name for name in entries(kind) if f"| `{name}` |" not in text]
        assert not missing, f"docs/methods.md lacks {kind} {missing}"


def test_every_rule_has_what_a_scheduler_and_a_reader_need():
    for file in (ROOT / "rules").glob("*.smk"):
        parts = re.split(r"(?=^ *(?:use )?rule\b[^\n]*:$)", file.read_text(), flags=re.M)[1:]
        for rule in parts:
            name = rule.split(":")[0]
            assert "message:" in rule, name
            inherits = rule.startswith("use rule")
            needed = ["log:", "benchmark:"] if inherits or "shell:" in rule else []
            needed += ["threads:", "**asked("] if "shell:" in rule else []
            for directive in needed:
                assert directive in rule, f"{name} lacks {directive}"


def test_lock_pins_with_hashes_and_names_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    assert len(blocks) > 100
    assert all("==" in b and "--hash=sha256:" in b for b in blocks)


def test_conda_environment_pins_what_the_lock_pins():
    text = (ROOT / "requirements.lock").read_text()
    environment = (SCRIPTS / "envs" / "dmlbench.yaml").read_text()
    pins = re.findall(r"- ([a-z0-9-]+)==([\d.]+)", environment)
    assert len(pins) >= 10
    for name, version in pins:
        assert f"\n{name}=={version} " in f"\n{text}", f"{name}=={version} is not in the lock"


def test_readme_shows_the_tables_as_they_came_out():
    readme = (ROOT / "README.md").read_text()
    made = ("mnist/tables/mnist_even_odd.md", "omniglot/tables/omniglot.md")
    tables = "".join((ROOT / "results" / file).read_text() for file in made)
    shown = [
        line for line in readme.splitlines() if re.match(r"\| (Triplet|Margin|MS|Untrained)", line)
    ]
    assert len(shown) == 2 * 3 + 7
    assert all(f"\n{line}\n" in tables for line in shown)
