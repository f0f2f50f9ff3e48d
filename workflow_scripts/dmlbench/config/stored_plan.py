"""The plan as a file beside the results: made once, by the process that plans; read by every job.

It holds what is looked up in classes that take PyTorch to import. It names no place of this machine
and is kept with the results.
"""

import hashlib
import json
from pathlib import Path

from dmlbench import paths
from dmlbench.config.models import Benchmark
from dmlbench.config.plan import Plan, Swept
from dmlbench.config.run import Run
from dmlbench.errors import ConfigError
from dmlbench.files import write_text


def write_plan(plan: Plan, folder: Path) -> None:
    """Write ``config.json`` and ``plan.json``."""
    stored = {
        "config": _hash(plan.benchmark),
        "recipes": plan.recipes,
        "losses": plan.losses,
        "samplers": plan.samplers,
        "methods": plan.methods,
        "swept": [[method, s.base, s.settings] for method, s in plan.swept.items()],
        "controls": {
            experiment: {kind: list(run.__dict__.values()) for kind, run in runs.items()}
            for experiment, runs in plan.controls.items()
        },
        "classes": plan.classes,
    }
    write_text(folder / paths.PLAN_FILE, json.dumps(stored, indent=1) + "\n")
    write_text(folder / paths.CONFIG_FILE, plan.as_json())


def read_plan(file: Path, benchmark: Benchmark) -> Plan:
    """The stored plan of ``benchmark``, the config at hand.

    Raises:
        ConfigError: There is none, or it is that of another config.
    """
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        made_for = stored["config"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{file}: holds no plan ({type(error).__name__}); Snakemake writes it before the first "
            "job: start it again"
        ) from None
    if made_for != _hash(benchmark):
        raise ConfigError(
            f"{file}: is not the plan of the config at hand: the config changed after Snakemake "
            "had started, or another config has the same name; start Snakemake again"
        )
    return Plan(
        benchmark,
        recipes=stored["recipes"],
        losses=stored["losses"],
        samplers=stored["samplers"],
        methods={e: [tuple(m) for m in methods] for e, methods in stored["methods"].items()},
        swept={tuple(m): Swept(tuple(base), changes) for m, base, changes in stored["swept"]},
        controls={
            experiment: {kind: Run(*values) for kind, values in runs.items()}
            for experiment, runs in stored["controls"].items()
        },
        classes=stored["classes"],
    )


def _hash(benchmark: Benchmark) -> str:
    return hashlib.sha256(benchmark.as_json().encode()).hexdigest()[:16]
