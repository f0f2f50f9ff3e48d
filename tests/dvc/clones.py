"""A small repository under DVC, its clones, and what a user types in them."""

import os
import shutil
import subprocess
from pathlib import Path

import yaml
from conftest import ROOT


class Clone:
    """A working folder of the repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results" / "benchmark"
        self.config = folder / "config.yaml"

    def run(self, *command: object, fails: bool = False, **variables: str) -> str:
        """Run a command; returns all that it said."""
        done = subprocess.run(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=os.environ | variables,
        )
        assert bool(done.returncode) == fails, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def dvc(self, *arguments: object, **more) -> str:
        return self.run("dvc", *arguments, **more)

    def begin(self, *command: object) -> subprocess.Popen:
        """Start a command in a process group of its own; what it says is not kept."""
        words = [str(word) for word in command]
        nothing = subprocess.DEVNULL
        return subprocess.Popen(
            words, cwd=self.folder, stdout=nothing, stderr=nothing, start_new_session=True
        )

    def repro(self, *arguments: object, **more) -> str:
        return self.dvc("repro", "results@benchmark", *arguments, **more)

    def dry_run(self, *arguments: object) -> str:
        return self.run("snakemake", "-n", *arguments)

    def git(self, *arguments: object) -> str:
        return self.run("git", *arguments)

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def change(self, edit) -> None:
        """Let ``edit`` change the dict that is config.yaml."""
        config = yaml.safe_load(self.config.read_text())
        edit(config)
        self.config.write_text(yaml.safe_dump(config, sort_keys=False))

    def contents(self) -> dict[str, bytes]:
        """What no clock has a part in: weights and metrics of all runs, and their table."""
        files = [self.results / "tables" / "mnist_even_odd.md"]
        for pattern in ("*.safetensors", "metrics.json"):
            files += self.results.rglob(pattern)
        return {str(f.relative_to(self.results)): f.read_bytes() for f in files}

    def copy(self, folder: Path) -> "Clone":
        """The same with all that git ignores, as after days of work in it."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Clone(folder)


def small_benchmark(config: dict, mirror: Path) -> None:
    """Make configs/mnist.yaml a benchmark of one training that takes seconds."""
    config |= {"name": "benchmark", "seeds": [0], "selections": ["last"], "controls": []}
    config["recipes"]["mnist_2d"] |= {"epochs": 1, "widths": [2, 2], "validation": 0}
    experiment = config["experiments"]["mnist_even_odd"]
    del experiment["published"]
    experiment["methods"] = [{"loss": "triplet", "sampler": "random"}]
    config["evaluation"] |= {"metrics": ["recall"], "recall_at": [1]}
    config["projection"] = {"max_images": 50}
    config["data"] = {"mirror": mirror.as_uri()}


def add_loss(config: dict) -> None:
    config["losses"]["contrastive"] = {"type": "contrastive", "margin": 1.0}
    methods = config["experiments"]["mnist_even_odd"]["methods"]
    methods.append({"loss": "contrastive", "sampler": "random"})


def widen_margin(config: dict) -> None:
    config["losses"]["triplet"]["margin"] = 1.0


def repository(folder: Path, mirror: Path) -> Path:
    """This repository as it stands, with a small config.yaml, committed."""
    command = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(command, text=True).split("\0"):
        if (ROOT / name).is_file() and not name.startswith("results/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    made = Clone(folder)
    shutil.copy(folder / "configs" / "mnist.yaml", made.config)
    made.change(lambda config: small_benchmark(config, mirror))
    # It holds results of other configs.
    (folder / "dvc.lock").unlink(missing_ok=True)
    made.git("init", "--quiet")
    made.commit("a small benchmark")
    return folder


def fresh_clone(source: Path, folder: Path, remote: Path | None = None) -> Clone:
    """A clone in an empty folder, with a DVC remote or none."""
    subprocess.run(["git", "clone", "--quiet", source, folder], check=True)
    made = Clone(folder)
    if remote:
        made.dvc("remote", "add", "--local", "--default", "shared", remote)
    return made


def trainings(output: str) -> list[str]:
    """The loss of each training that Snakemake plans or starts, as its messages say."""
    lines = [line for line in output.splitlines() if ": train dataset=" in line]
    return sorted(line.partition("loss=")[2].partition(",")[0] for line in lines)
