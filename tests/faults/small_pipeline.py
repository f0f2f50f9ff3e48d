"""The smallest pipeline, its steps by hand, and what a step may leave when something goes wrong."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from conftest import ROOT, SCRIPTS
from PIL import Image

NAME = "base"
DATA = "data/prepared/mine/original"
TRAINED = "mine/tiny/triplet/easy/seed0"
CONTROL = "mine/tiny/random-embedding/none/seed0"
RESULTS = f"results/{NAME}"
RUN = f"{RESULTS}/runs/{TRAINED}"
CHECKPOINTS = f"{RESULTS}/checkpoints/{TRAINED}"
SUMMARY = f"{RESULTS}/summary"
CONFIG = f"{RESULTS}/config.json"

#: Six classes of six images; a network that is trained in no time.
BASE = {
    "name": NAME,
    "seeds": [0],
    "datasets": {"mine": {"folder": "images"}},
    "recipes": {
        "tiny": {
            "backbone": "small_cnn",
            "widths": [4],
            "embedding_dim": 4,
            "image_size": 8,
            "batch_size": 6,
            "epochs": 2,
            "optimizer": {"name": "adam", "lr": 1.0e-3},
        }
    },
    "losses": {"triplet": {"type": "triplet"}},
    "samplers": {"easy": {"per_class": 2, "positive": "easy", "negative": "random"}},
    "experiments": {
        "mine": {
            "dataset": "mine",
            "recipe": "tiny",
            "methods": [{"loss": "triplet", "sampler": "easy"}],
        }
    },
    "controls": ["random"],
    "evaluation": {"recall_at": [1, 2], "nmi_plus": 2, "kmeans_seeds": [0]},
    "resources": {"train": {"threads": 1}, "embed": {"threads": 1}, "evaluate": {"threads": 1}},
}

_CONFIG = {"config": CONFIG, "log": None}
_TRAINING = {"checkpoint_every": 1e-9, "time_budget": None, "wait": 1.0}
#: What each step is called with, in the order of the pipeline; controls and summaries beside it.
OPTIONS: dict[str, dict] = {
    "plan": {"config": "config.yaml", "out": RESULTS, "log": None},
    "prepare": {
        "dataset": "mine",
        "folder": json.dumps(BASE["datasets"]["mine"]),
        "table": None,
        "raw": [],
        "source": None,
        "checksums": None,
        "store": "original",
        "threads": 1,
        "out": DATA,
        "log": None,
    },
    "duplicates": {"folder": DATA, "out": f"{DATA}/duplicates.parquet", "threads": 1, "log": None},
    "summarise": {
        "dataset": "mine",
        "folder": DATA,
        "out": f"{DATA}/summary.txt",
        "sheet": f"{DATA}/images.png",
        "log": None,
    },
    "train": _CONFIG | _TRAINING | {"run": [TRAINED], "log": f"{RESULTS}/logs/train/{TRAINED}.log"},
    "embed": _CONFIG | {"run": [TRAINED], "pairs": None},
    "control": _CONFIG | {"run": CONTROL, "pairs": None},
    "evaluate": _CONFIG | {"run": [TRAINED]},
    "evaluate_control": _CONFIG | {"run": [CONTROL]},
    "project": _CONFIG | {"run": TRAINED},
    "illustrate": _CONFIG | {"run": TRAINED},
    "check": _CONFIG
    | {"results": RESULTS, "out": f"{SUMMARY}/check.json", "ledger": f"{SUMMARY}/ledger.csv"},
    "collect": _CONFIG,
    "tables": _CONFIG | {"experiment": "mine", "overview": None},
    "overview": _CONFIG | {"experiment": None, "overview": "leaderboard"},
    "cost": _CONFIG | {"experiment": None, "overview": "cost"},
    "figures": _CONFIG | {"experiment": "mine", "kind": None, "overall": False},
    "pages": _CONFIG,
    "means": _CONFIG,
}
#: Steps that are another one's with other options.
_SAME = {"evaluate_control": "evaluate", "overview": "tables", "cost": "tables"}


@dataclass
class Done:
    """A step that has ended: its exit code, or -N by signal N, and what it said."""

    code: int
    said: str

    @property
    def errors(self) -> list[str]:
        """The lines that tell a user's mistake."""
        return re.findall(r"^[\d:]+ error: (.*)$", self.said, re.MULTILINE)


class Stepper:
    """Does steps in a folder, each in a copy of one process; see :mod:`stepper`."""

    def __init__(
        self, environment: dict[str, str] | None = None, command: tuple[str, ...] = ()
    ) -> None:
        """``command`` is what starts the process, such as strace."""
        search = [str(SCRIPTS), str(ROOT / "tests" / "unit"), os.environ.get("PYTHONPATH", "")]
        quiet = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(search), "COLUMNS": "100"}
        command = [*command, sys.executable, str(Path(__file__).with_name("stepper.py"))]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **quiet, **(environment or {})},
        )
        self._answer()

    def begin(self, folder: Path, step: str, *, how: dict | None = None, **options: object) -> int:
        """Start a step and return the number of its process; :meth:`end` waits for it."""
        given = {k: str(v) if isinstance(v, Path) else v for k, v in options.items()}
        asked = {"folder": str(folder), "step": _SAME.get(step, step), **(how or {})}
        asked["options"] = OPTIONS.get(step, {}) | given
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._answer()["process"]

    def end(self) -> Done:
        """Wait for the step that was begun."""
        return Done(**self._answer())

    def do(self, folder: Path, step: str, *, how: dict | None = None, **options: object) -> Done:
        """A step from beginning to end."""
        self.begin(folder, step, how=how, **options)
        return self.end()

    @property
    def process(self) -> int:
        """The number of the process that steps are copies of."""
        return self._process.pid

    def close(self) -> None:
        # Said, as a worker process that another test left may hold the pipe open, too.
        self._process.stdin.write("null\n")
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        assert line, "the stepper has ended"
        return json.loads(line)


def make_images(folder: Path, classes: int = 6, each: int = 6, seed: int = 0) -> None:
    """Noise, in as many class folders."""
    rng = np.random.default_rng(seed)
    for label in range(classes):
        place = folder / f"class{label}"
        place.mkdir(parents=True)
        for number in range(each):
            noise = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(place / f"{number}.png")


def begin_pipeline(folder: Path, **changes: object) -> None:
    """Images and config of the smallest pipeline, in an empty folder."""
    make_images(folder / "images")
    (folder / "config.yaml").write_text(yaml.safe_dump(BASE | changes))


def files(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file below ``folder``, hidden ones too, by path; no logs."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "logs" not in path.parts and path.suffix != ".lock"
    }


def half_written(folder: Path) -> list[str]:
    """Temporary files that somebody has left."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob(".tmp-*"))
