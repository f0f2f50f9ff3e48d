"""From a file, or from the dict that Snakemake merged, to a plan; or to one line per mistake."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dmlbench.config.models import Benchmark
from dmlbench.config.plan import Plan
from dmlbench.config.planning import build_plan
from dmlbench.errors import ConfigError
from dmlbench.plugins.messages import describe


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key written twice instead of keeping the last."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict:
    seen: set = set()
    for key_node, _ in node.value:
        key, line = key_node.value, key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"{loader.name}: line {line}: a key must be a word")
        if key in seen:
            raise ConfigError(f"{loader.name}: line {line}: key '{key}' is written twice")
        seen.add(key)
    loader.flatten_mapping(node)  # merge keys: <<: *anchor
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:map", _unique_mapping)


def read_config(path: str | Path) -> Any:
    """What a YAML or JSON file holds, not yet validated.

    Raises:
        ConfigError: The file is missing, is not YAML, or has a key twice.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8") as stream:
            return yaml.load(stream, _UniqueKeyLoader)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); is the path right?"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from None


def load_config(path: str | Path) -> Plan:
    """Read and validate a config file.

    Raises:
        ConfigError: The file cannot be read or holds mistakes; one line for each.
    """
    return resolve_config(read_config(path), str(path))


def resolve_config(data: Any, source: str) -> Plan:
    """Validate config ``data`` that came from ``source`` (named in messages).

    Raises:
        ConfigError: One line for each mistake, with section, key, value and nearest valid key.
    """
    if not isinstance(data, dict) or not data:
        raise ConfigError(f"{source}: holds no keys; start from configs/demo.yaml")
    if lines := [f"{source}: {line}" for line in _not_finite(data)]:
        raise ConfigError("\n".join(lines))
    try:
        benchmark = Benchmark.model_validate(data)
    except ValidationError as error:
        lines = [f"{source}: {describe(e, Benchmark)}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from None
    return build_plan(benchmark, source)


def _not_finite(value: Any, where: str = "") -> Iterator[str]:
    """Infinities and NaN, wherever they stand: JSON has none, and no argument means them."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: should be a finite number (got {value})"
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, item in items:
        yield from _not_finite(item, f"{where}.{key}" if where else str(key))


def json_schema() -> str:
    """The JSON schema of a config file, for editors."""
    schema = Benchmark.model_json_schema()
    schema["title"] = "dmlbench config"
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
