"""The smallest pipeline, finished once; and one process that does all its steps."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_pipeline import OPTIONS, Stepper, begin_pipeline


@pytest.fixture(scope="session")
def failing_calls(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The library made from failing_calls.c; None where there is no compiler."""
    if not sys.platform.startswith("linux") or shutil.which("gcc") is None:
        return None
    made = tmp_path_factory.mktemp("library") / "failing_calls.so"
    source = Path(__file__).with_name("failing_calls.c")
    command = ["gcc", "-shared", "-fPIC", "-O2", "-o", made, source, "-ldl"]
    subprocess.run(command, check=True)
    return made


@pytest.fixture(scope="session")
def stepper(failing_calls: Path | None) -> Iterator[Stepper]:
    """Does steps of the pipeline; see :class:`small_pipeline.Stepper`."""
    made = Stepper({"LD_PRELOAD": str(failing_calls)} if failing_calls else {})
    yield made
    made.close()


@pytest.fixture(scope="session")
def finished(stepper: Stepper, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest pipeline with all its files; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    begin_pipeline(folder)
    for step in OPTIONS:
        done = stepper.do(folder, step)
        assert done.code == 0, f"{step}: {done.said}"
    return folder


@pytest.fixture
def work(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished pipeline, to be spoilt."""
    folder = tmp_path / "work"
    shutil.copytree(finished, folder)
    return folder
