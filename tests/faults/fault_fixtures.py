"""The smallest pipeline, finished once; and one process that does all its steps."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_pipeline import OPTIONS, Stepper, begin_pipeline


@pytest.fixture(scope="session")
def stepper() -> Iterator[Stepper]:
    """Does steps of the pipeline; see :class:`small_pipeline.Stepper`."""
    made = Stepper()
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
