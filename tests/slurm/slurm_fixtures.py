"""One cluster for all tests of this folder, local runs that theirs must equal, and checkouts."""

import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from conftest import run_snakemake
from private_slurm import PrivateSlurm, has_accounting, missing
from slurm_case import RUNS, Case, checkout, metrics


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


@pytest.fixture(scope="module")
def new_case(slurm, tmp_path_factory):
    """Makes checkouts; ends what a failed test left running in them."""
    made = []

    def make(local: Path | None = None, **resources: dict) -> Case:
        """A checkout; ``resources`` is that section of its config."""
        made.append(Case(checkout(tmp_path_factory.mktemp("case")), slurm, local, resources))
        return made[-1]

    yield make
    for case in made:
        for process in case.running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        for job in case.jobs(""):
            subprocess.run(["scancel", job["id"]], env=slurm.environment, check=False)


@pytest.fixture
def case(new_case, local) -> Case:
    """A checkout with the prepared data of the local runs."""
    return new_case(local)
