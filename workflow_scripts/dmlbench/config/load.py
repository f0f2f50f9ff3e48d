"""From files, or from what Snakemake was given, to a plan; or to one line for each mistake."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from dmlbench import paths
from dmlbench.config.models import Benchmark
from dmlbench.config.plan import Plan
from dmlbench.config.planning import build_plan
from dmlbench.config.stored_plan import read_plan
from dmlbench.errors import ConfigError
from dmlbench.plugins.messages import describe

_PLAIN = (dict, list, str, int, float, type(None))  # a bool is an int


def read_config(path: str | Path) -> Any:
    """What a YAML 1.2 or JSON file holds, not yet validated.

    Raises:
        ConfigError: The file is missing, is not YAML, or has a key twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        return _parse(text)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); is the path right?"
        ) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path}: {line}{error.problem}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from None


def _parse(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def merge_configs(files: Sequence[str | Path], overrides: Mapping[str, Any]) -> dict:
    """The sections of several files, later ones over earlier ones, with single keys on top.

    Snakemake merges likewise, but reads YAML 1.1, where ``no`` is no text and ``1e-3`` no number.

    Args:
        files: Config files; paths are named in messages as they are given here.
        overrides: What ``--config key=value`` says; Snakemake leaves inner values as text.

    Raises:
        ConfigError: A file cannot be read, or holds no keys.
    """
    merged: Any = {}
    for file in files:
        data = read_config(file)
        if not isinstance(data, dict):
            raise ConfigError(f"{file}: holds no keys; start from configs/demo.yaml")
        merged = merge(merged, data)
    return merge(merged, _typed(dict(overrides)))


def merge(section: Any, given: Any) -> Any:
    """``section`` with the values of ``given`` on top; other keys of inner sections are kept."""
    if not isinstance(section, dict) or not isinstance(given, dict):
        return given
    return section | {key: merge(section.get(key), value) for key, value in given.items()}


def _typed(value: Any) -> Any:
    """``value`` with numbers and booleans in the place of text that YAML reads as such."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        read = _parse(value)
    except YAMLError:
        return value
    return read if isinstance(read, bool | int | float) or value == "null" else value


def load_config(path: str | Path) -> Plan:
    """Read and validate a config file; the plan stored beside a ``config.json`` is taken as it is.

    Raises:
        ConfigError: The file cannot be read or holds mistakes; one line for each.
    """
    path = Path(path)
    data = read_config(path)
    stored = path.with_name(paths.PLAN_FILE)
    if path.name == paths.CONFIG_FILE and stored.exists():
        return read_plan(stored, validate(data, str(path)))
    return resolve_config(data, str(path))


def resolve_config(data: Any, source: str) -> Plan:
    """Validate config ``data`` that came from ``source`` (named in messages); make its plan.

    The classes that it names are imported, and PyTorch with them.

    Raises:
        ConfigError: One line for each mistake, with section, key, value and nearest valid key.
    """
    return build_plan(validate(data, source), source)


def validate(data: Any, source: str) -> Benchmark:
    """Check the sections of a config, each by itself. Nothing heavy is imported.

    Raises:
        ConfigError: One line for each mistake.
    """
    if not isinstance(data, dict) or not data:
        raise ConfigError(f"{source}: holds no keys; start from configs/demo.yaml")
    if lines := [f"{source}: {line}" for line in _not_plain(data)]:
        raise ConfigError("\n".join(lines))
    try:
        return Benchmark.model_validate(data)
    except ValidationError as error:
        lines = [f"{source}: {describe(e, Benchmark)}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _not_plain(value: Any, where: str = "") -> Iterator[str]:
    """What JSON has not, wherever it stands: infinities, NaN, dates, and keys that are no words."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: should be a finite number (got {value})"
    if not isinstance(value, _PLAIN):
        yield f"{where}: should be text, a number, a list or keys; put quotes around {value}"
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, item in items:
        if not isinstance(key, str | int):
            yield f"{where or 'top level'}: a key must be a word (got {key!r})"
        yield from _not_plain(item, f"{where}.{key}" if where else str(key))


def json_schema() -> str:
    """The JSON schema of a config file, for editors."""
    schema = Benchmark.model_json_schema()
    schema["title"] = "dmlbench config"
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
