"""One cluster for all tests of this folder, local runs that theirs must equal, and checkouts."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import run_snakemake
from private_slurm import PrivateSlurm, has_accounting, missing
from slurm_case import RUNS, Case, checkout, metrics, trained


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = missing()
    for item in items:
        if reason and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"no Slurm: {reason}"))


@pytest.fixture(scope="session")
def slurm():
    """A running cluster."""
    # Its sockets need short paths, which pytest's own folders are not.
    cluster = PrivateSlurm(Path(tempfile.mkdtemp(prefix="dmlbench-slurm-")), has_accounting())
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def local(tmp_path_factory) -> Path:
    """All runs of the config, made without Slurm."""
    folder = checkout(tmp_path_factory.mktemp("local"))
    done = run_snakemake(
        "-c2", *map(metrics, RUNS), "--configfile", "test.yaml", cwd=folder, root=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@contextmanager
def cases(cluster: PrivateSlurm, folders: pytest.TempPathFactory) -> Iterator[Callable[..., Case]]:
    """Yield what makes checkouts; end what runs in them."""
    made = []

    def make(local: Path | None = None, **resources: dict) -> Case:
        """A checkout; ``resources`` is that section of its config."""
        made.append(Case(checkout(folders.mktemp("case")), cluster, local, resources))
        return made[-1]

    try:
        yield make
    finally:
        for case in made:
            case.end()


@pytest.fixture(scope="module")
def new_case(slurm, tmp_path_factory):
    """Makes checkouts."""
    with cases(slurm, tmp_path_factory) as make:
        yield make


@pytest.fixture
def case(new_case, local) -> Case:
    """A checkout with the prepared data of the local runs."""
    return new_case(local)


@pytest.fixture(scope="session")
def limited(slurm, local, tmp_path_factory):
    """Two trainings with two minutes each, on a node of their own: a takes longer, b hangs once.

    That is minutes of waiting, so the first tests start it and the last look at it.
    """
    with cases(slurm, tmp_path_factory) as make:
        case = make(local, train={"runtime": 2})
        case.accident("pace", "a", 3)
        case.accident("pace", "b", 0.2)
        case.accident("stall", "b", 600)
        elsewhere = ("--set-resources", "train:slurm_partition=long")
        case.start(trained("a"), trained("b"), *elsewhere)
        yield case
