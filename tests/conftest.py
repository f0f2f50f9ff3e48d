"""Fixtures that all tests share."""

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import settings

# No example may take longer than 0.2 s otherwise, which a busy machine does not keep.
settings.register_profile("dmlbench", deadline=None)
settings.load_profile("dmlbench")

pytest_plugins = ["slurm_fixtures", "fault_fixtures"]

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "workflow_scripts"
SHARED = ROOT.parent / "shared" / "data"


def config_with(loss: object = None, sampler: object = None) -> dict:
    """The smallest valid config, with another loss or sampler in the place of one of its own."""
    config = yaml.safe_load((ROOT / "configs" / "smoke.yaml").read_text())
    if loss:
        config["losses"]["triplet"] = loss
    if sampler:
        config["samplers"]["eps"] = sampler
    return config


@pytest.fixture
def smoke_config() -> dict:
    """The smallest valid config, as a dict to spoil."""
    return config_with()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real archives laid out as a mirror."""
    if not SHARED.is_dir():
        pytest.skip(f"no real archives: {SHARED} is absent")
    return SHARED


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory):
    """The digits of ``digits_even_odd``, prepared; not to be changed."""
    from dmlbench.data.dataset import get_dataset
    from dmlbench.data.prepare import prepare
    from dmlbench.data.store import ImageStore

    folder = tmp_path_factory.mktemp("digits")
    prepare(get_dataset("digits_even_odd"), {}, folder)
    return ImageStore(folder)


@pytest.fixture
def one_thread():
    """Small layers take longer with more, where other tests run beside them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run_script(name: str, *arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """Run one of the workflow's scripts as a user would."""
    command = [sys.executable, SCRIPTS / f"{name}.py", *arguments]
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=cwd)


def run_snakemake(
    *arguments: object, cwd: Path = ROOT, root: Path = ROOT
) -> subprocess.CompletedProcess:
    """Run Snakemake on the Snakefile of the repository or a copy, by default as from its root."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", root / "Snakefile", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
    return subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, cwd=cwd, env=environment
    )


def job_counts(output: str) -> dict[str, int]:
    """The job table of a dry run."""
    lines = output[output.index("Job stats:") :].splitlines()[3:]
    counts = {}
    for line in lines:
        parts = line.split()
        if len(parts) != 2 or not parts[1].isdigit():
            break
        counts[parts[0]] = int(parts[1])
    return counts


@pytest.fixture(scope="session")
def smoke_file() -> Path:
    """The smoke config."""
    return ROOT / "configs" / "smoke.yaml"


@pytest.fixture(scope="session")
def smoke_run(smoke_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One real run of the smoke config, which all workers share; not to be changed."""
    base = tmp_path_factory.getbasetemp()
    # As deep as tests' own folders: the way from there to the scripts is part of each command.
    shared = base.parent / "shared" if "PYTEST_XDIST_WORKER" in os.environ else base
    shared.mkdir(exist_ok=True)
    folder = shared / "smoke"
    with (shared / "smoke.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second finds it made
        if not folder.exists():
            done = run_snakemake("-c2", "all", "--configfile", smoke_file, "--directory", folder)
            assert done.returncode == 0, done.stdout + done.stderr
            # Tests go on with configs of their own, by the same name.
            (folder / "results/smoke/config_source.json").unlink()
    return folder


def error_lines(done: subprocess.CompletedProcess) -> list[str]:
    """The lines that tell a user's mistake."""
    return [line for line in done.stderr.splitlines() if re.match(r"[\d:]+ error: ", line)]
