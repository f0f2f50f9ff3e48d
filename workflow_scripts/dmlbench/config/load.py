"""From a config to a plan, or to one line for each mistake; and the plan as a stored file.

The plan is made once, by the process that plans, which imports PyTorch to look into classes. Every
job reads ``plan.json``. It names no place of this machine.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from dmlbench import paths
from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.config.models import Benchmark
from dmlbench.config.plan import Plan, Run, Swept
from dmlbench.config.planning import build_plan
from dmlbench.config.read_yaml import read_config
from dmlbench.config.sections import sound
from dmlbench.errors import ConfigError
from dmlbench.files import naming, write_text

#: Fields of a plan that are stored as they are.
_STORED = ("recipes", "losses", "samplers", "methods", "classes")


def load_config(path: str | Path) -> Plan:
    """The plan of a config file, or that stored beside a ``config.json``.

    A ConfigError as of :func:`resolve_config`, or where the file cannot be read.
    """
    path = Path(path)
    if path.name == paths.CONFIG_FILE and path.with_name(paths.PLAN_FILE).exists():
        return read_plan(path)
    return resolve_config(read_config(path), str(path))


def resolve_config(data: Any, source: str) -> Plan:
    """Validate config ``data`` and make its plan; ``source`` is named in messages.

    A ConfigError has a line for each mistake, with section, key, value and nearest valid key.
    """
    found = sound(_has_keys(data, source))
    plan, problems = build_plan(found.benchmark, found.left_out)
    _refuse([*found.problems, *problems], source)
    return plan


def validate(data: Any, source: str) -> Benchmark:
    """Check the sections of a config, each by itself; see :func:`resolve_config`."""
    found = sound(_has_keys(data, source))
    _refuse(found.problems, source)
    return found.benchmark


def _has_keys(data: Any, source: str) -> dict:
    if not isinstance(data, dict) or not data:
        raise ConfigError(f"{source}: holds no keys; start from configs/demo.yaml")
    return data


def _refuse(problems: list[str], source: str) -> None:
    if problems:
        raise ConfigError("\n".join(f"{source}: {line}" for line in dict.fromkeys(problems)))


def write_plan(plan: Plan, folder: Path) -> None:
    """Write ``config.json`` and ``plan.json``."""
    stored = {"config": _hash(plan.benchmark), **{key: getattr(plan, key) for key in _STORED}}
    stored["swept"] = [[method, s.base, s.settings] for method, s in plan.swept.items()]
    if plan.vectors:
        stored["vectors"] = plan.vectors
    if plan.own:
        stored["own"] = {name: facts.model_dump() for name, facts in plan.own.items()}
    stored["controls"] = {
        experiment: {kind: list(run.__dict__.values()) for kind, run in runs.items()}
        for experiment, runs in plan.controls.items()
    }
    stored["sha256"] = _hash_of(stored)
    write_text(folder / paths.PLAN_FILE, json.dumps(stored, indent=1) + "\n")
    write_text(folder / paths.CONFIG_FILE, plan.benchmark.as_json())


def read_plan(config: Path) -> Plan:
    """The plan stored beside a ``config.json``; the file that the user wrote is not looked at.

    Raises:
        ConfigError: It is missing or damaged, or does not belong to this ``config.json``.
    """
    file = config.with_name(paths.PLAN_FILE)
    try:
        # No YAML reader: it takes a hundred times as long, in every job.
        benchmark = validate(json.loads(config.read_text(encoding="utf-8")), str(config))
        with naming(file):
            stored = json.loads(file.read_text(encoding="utf-8"))
        if stored.pop("sha256") != _hash_of(stored):
            raise ValueError("another hash")
        if stored["config"] != _hash(benchmark):
            raise ConfigError(
                f"{file}: is not the plan of the config.json beside it; start Snakemake again, "
                "which writes both"
            )
        plan = Plan(benchmark, **{key: stored[key] for key in _STORED})
        plan.methods = {e: [tuple(m) for m in methods] for e, methods in plan.methods.items()}
        plan.swept = {tuple(m): Swept(tuple(base), changed) for m, base, changed in stored["swept"]}
        plan.vectors = stored.get("vectors", {})
        plan.own = {n: DatasetFacts(**facts) for n, facts in stored.get("own", {}).items()}
        plan.controls = {
            experiment: {kind: Run(*values) for kind, values in runs.items()}
            for experiment, runs in stored["controls"].items()
        }
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{file}: holds no plan ({type(error).__name__}); Snakemake writes it before the first "
            "job: start it again"
        ) from None
    return plan


def _hash_of(stored: dict) -> str:
    return hashlib.sha256(json.dumps(stored).encode()).hexdigest()


def _hash(benchmark: Benchmark) -> str:
    return hashlib.sha256(benchmark.as_json().encode()).hexdigest()[:16]


def json_schema() -> str:
    """The JSON schema of a config file, for editors."""
    schema = Benchmark.model_json_schema()
    schema["title"] = "dmlbench config"
    recipe = schema["$defs"]["Recipe"]  # a base has the keys that are needed
    recipe["anyOf"] = [{"required": recipe.pop("required")}, {"required": ["base"]}]
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
