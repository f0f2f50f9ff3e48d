"""An environment that does not belong to this folder or Python is noticed by make."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

TOLD = ".venv was made for another folder or Python: it is set up anew"


@pytest.fixture
def project(tmp_path):
    """A folder with a real environment of Python alone, and scripts as pip writes them."""
    folder = tmp_path / "a project"
    for file in ("Makefile", "workflow_scripts/envs/belongs.py"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    (folder / "workflow_scripts/dmlbench").mkdir()
    (folder / "workflow_scripts/dmlbench/__init__.py").touch()
    for name in ("requirements.lock", "requirements.uv.lock"):
        (folder / name).touch()
    command = [sys.executable, "-m", "venv", "--without-pip", folder / ".venv"]
    subprocess.run(command, check=True)
    (packages,) = (folder / ".venv/lib").glob("python*/site-packages")
    (packages / "project.pth").write_text(f"{folder}/workflow_scripts\n")
    text = f"#!/bin/sh\n'''exec' '{folder}/.venv/bin/python' \"$0\" \"$@\"\n' '''\n"
    (folder / ".venv/bin/snakemake").write_text(text)
    (folder / ".venv/.ready").touch()
    return folder


def planned(folder: Path) -> str:
    """What `make setup` would do."""
    done = subprocess.run(["make", "-n", "setup"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_that_belongs_here_is_left_alone(project):
    assert TOLD not in planned(project)
    assert "venv --clear" not in planned(project)


@pytest.mark.parametrize("how", ["moved", "copied", "another Python", "no Python"])
def test_one_that_cannot_run_is_set_up_anew(project, how):
    if how == "moved":
        project = project.rename(project.with_name("moved"))
    elif how == "copied":
        project = shutil.copytree(project, project.with_name("copy"), symlinks=True)
    elif how == "another Python":
        library = next((project / ".venv/lib").glob("python*"))
        library.rename(library.with_name("python3.0"))
    else:
        (project / ".venv/bin/python").unlink()
        os.symlink("/nowhere/python3", project / ".venv/bin/python")
    assert TOLD in planned(project)
    assert "venv --clear" in planned(project)
