"""Two configs of one name do not replace each other's results, nor each other's images."""

import json

import pytest

from dmlbench.config.models import Benchmark
from dmlbench.errors import UserError
from dmlbench.workflow.config_source import claim


@pytest.fixture
def config(tmp_path, monkeypatch, smoke_config):
    """Claims a config with changes, as the files of these names."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("name: smoke\ndatasets: {own: {folder: images}}\n")

    def claimed(file, **changes):
        claim(Benchmark.model_validate(smoke_config | changes), [file])

    claimed("a.yaml")
    return claimed


def test_another_config_of_the_same_name_is_refused(config):
    with pytest.raises(UserError, match=r"belongs to a\.yaml.* same name 'smoke' as b\.yaml"):
        config("b.yaml", seeds=[7])
    config("a.yaml")  # it has kept them


def test_another_dataset_of_the_same_name_is_refused(config):
    config("a.yaml", datasets={"own": {"folder": "images"}})
    config("b.yaml", name="other", datasets={"own": {"folder": "images"}})
    with pytest.raises(UserError, match=r"belongs to b\.yaml.* same dataset 'own' as a\.yaml"):
        config("a.yaml", datasets={"own": {"folder": "other images"}})


@pytest.mark.parametrize("text", ["", "null", "{}", '{"files": 1}', "[5]", '{"files": []}'])
def test_a_damaged_note_of_whose_they_are_is_written_anew(config, tmp_path, text):
    note = tmp_path / "results/smoke/config_source.json"
    note.write_text(text)
    config("b.yaml", seeds=[7])
    assert json.loads(note.read_text())["files"] == ["b.yaml"]


def test_an_edited_config_goes_on(config):
    config("a.yaml", seeds=[7])


def test_a_copy_without_a_change_goes_on(config):
    config("b.yaml")


@pytest.mark.parametrize("text", [None, "name: other\n", "{", "- 1", "name: [1]"])
def test_a_renamed_config_goes_on(config, tmp_path, text):
    (tmp_path / "a.yaml").unlink()
    if text:
        (tmp_path / "a.yaml").write_text(text)
    config("b.yaml", seeds=[7])
