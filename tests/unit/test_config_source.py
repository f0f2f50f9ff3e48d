"""Two configs of one name do not replace each other's results."""

import json

import pytest

from dmlbench.errors import UserError
from dmlbench.files import write_text
from dmlbench.workflow.config_source import claim


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("name: mine\n")
    claim(tmp_path / "results/mine", ["a.yaml"], "mine", "A")
    write_text(tmp_path / "results/mine/config.json", "A")
    return tmp_path / "results/mine"


def test_another_config_of_the_same_name_is_refused(results):
    with pytest.raises(UserError, match=r"belongs to a\.yaml.* same name 'mine' as b\.yaml"):
        claim(results, ["b.yaml"], "mine", "B")
    claim(results, ["a.yaml"], "mine", "A")  # it has kept them


@pytest.mark.parametrize("text", ["", "null", "{}", '{"a.yaml": 1}', "[5]", "[[]]"])
def test_a_damaged_note_of_whose_they_are_is_written_anew(results, text):
    (results / "config_source.json").write_text(text)
    claim(results, ["b.yaml"], "mine", "B")
    assert json.loads((results / "config_source.json").read_text()) == ["b.yaml"]


def test_an_edited_config_goes_on(results):
    claim(results, ["a.yaml"], "mine", "edited")


def test_a_copy_without_a_change_goes_on(results):
    claim(results, ["b.yaml"], "mine", "A")


@pytest.mark.parametrize("text", [None, "name: other\n", "{"])
def test_a_renamed_config_goes_on(results, tmp_path, text):
    (tmp_path / "a.yaml").unlink()
    if text:
        (tmp_path / "a.yaml").write_text(text)
    claim(results, ["b.yaml"], "mine", "B")
