"""From a file, or from the dict that Snakemake merged, to a plan; or to one line per mistake."""

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dmlbench.config.build import build_plan
from dmlbench.config.messages import describe
from dmlbench.config.models import Benchmark
from dmlbench.config.plan import Plan
from dmlbench.errors import ConfigError


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key written twice instead of keeping the last."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict:
    seen: set = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise ConfigError(f"{loader.name}: line {line}: key '{key}' is written twice")
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:map", _unique_mapping)


def load_config(path: str | Path) -> Plan:
    """Read a YAML or JSON config file.

    Raises:
        ConfigError: The file is missing, is not YAML, or holds mistakes; one line for each.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8") as stream:
            data = yaml.load(stream, _UniqueKeyLoader)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); is the path right?"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from None
    return resolve_config(data, str(path))


def resolve_config(data: Any, source: str) -> Plan:
    """Validate config ``data`` that came from ``source`` (named in messages).

    Raises:
        ConfigError: One line for each mistake, with section, key, value and nearest valid key.
    """
    if not isinstance(data, dict) or not data:
        raise ConfigError(f"{source}: holds no keys; start from configs/demo.yaml")
    try:
        benchmark = Benchmark.model_validate(data)
    except ValidationError as error:
        lines = [f"{source}: {describe(e, Benchmark)}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from None
    return build_plan(benchmark, source)


def json_schema() -> str:
    """The JSON schema of a config file, for editors."""
    schema = Benchmark.model_json_schema()
    schema["title"] = "dmlbench config"
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
