"""The shape of the repository, besides the imports, which `make lint` looks at."""

import re
from collections import Counter

from conftest import ROOT, SCRIPTS

from dmlbench.plugins.entries import entries
from dmlbench.plugins.registry import REGISTRIES

PACKAGE = SCRIPTS / "dmlbench"


def test_the_root_of_the_library_holds_only_what_every_room_needs():
    assert len([file for file in PACKAGE.glob("*.py") if file.name != "__init__.py"]) <= 8


def test_no_two_files_of_the_library_have_one_name():
    names = [file.name for file in PACKAGE.rglob("*.py") if file.name != "__init__.py"]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_every_registered_class_has_a_docstring():
    for kind in REGISTRIES:
        for entry in entries(kind).values():
            assert entry.cls.__doc__, f"{entry.name} in {entry.cls.__module__} has no docstring"


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


def test_each_case_that_is_survived_refused_or_told_names_its_tests():
    named = re.findall(r"`(\w+/test_\w+\.py)(?:::(\w+))?", (ROOT / "docs/failures.md").read_text())
    assert len(named) > 30
    for file, test in named:
        assert f"def {test}" in (ROOT / "tests" / file).read_text()
