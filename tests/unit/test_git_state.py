"""The commit in a record is that of the code, or there is none and git's reason."""

import os
import subprocess
from pathlib import Path

import pytest

from dmlbench.workflow import git_state as module
from dmlbench.workflow.git_state import git_state

CODE = Path(module.__file__).relative_to(module.PROJECT)


def git(folder, *arguments):
    """Run git as somebody, whatever this machine's settings are."""
    who = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    command = ["git", *who, *arguments]
    done = subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout.strip()


def with_code(folder):
    (folder / CODE).parent.mkdir(parents=True)
    (folder / CODE).write_text("# code\n")
    return folder


def repository(folder):
    """A repository of what lies in a folder, and its commit."""
    folder.mkdir(exist_ok=True)
    (folder / "readme").write_text("words\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "all")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def other(tmp_path):
    """Another project's repository, and its commit."""
    return tmp_path / "other", repository(tmp_path / "other")


@pytest.mark.parametrize("ignored", [False, True])
def test_a_project_unpacked_in_another_repository_has_no_commit(other, ignored):
    outer, _ = other
    project = with_code(outer / "unpacked")
    if ignored:
        (outer / ".git/info/exclude").write_text("unpacked\n")
    reason = f"the git repository {outer} does not track this code"
    assert git_state(project) == {"commit": None, "dirty": None, "reason": reason}


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"])
def test_variables_of_git_choose_no_other_repository(tmp_path, other, monkeypatch, name):
    project = with_code(tmp_path / "project")
    commit = repository(project)
    places = {"GIT_WORK_TREE": other[0], "GIT_INDEX_FILE": other[0] / ".git/index"}
    monkeypatch.setenv(name, str(places.get(name, other[0] / ".git")))
    assert git_state(project) == {"commit": commit, "dirty": False}
    (project / CODE).write_text("# changed\n")
    assert git_state(project) == {"commit": commit, "dirty": True}


def test_results_change_nothing_and_a_folder_of_a_repository_has_its_commit(tmp_path):
    project = with_code(tmp_path / "group" / "benchmark")
    commit = repository(tmp_path / "group")
    (tmp_path / "group/paper.tex").write_text("of another folder\n")
    (project / "results").mkdir()
    (project / "results/run.json").write_text("{}\n")
    assert git_state(project) == {"commit": commit, "dirty": False}
    (project / "config.yaml").write_text("name: mine\n")
    assert git_state(project) == {"commit": commit, "dirty": True}


def test_reasons_are_in_the_words_of_git(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "nowhere").mkdir()
    assert git_state(tmp_path / "nowhere")["reason"].startswith("fatal: not a git repository")
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = git_state(tmp_path)["reason"]
    assert reason == "git cannot be run: No such file or directory"
