"""Config files, and any other YAML, as plain data: YAML 1.2, or JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode

from dmlbench.errors import ConfigError


def read_config(path: str | Path) -> Any:
    """What a YAML 1.2 or JSON file holds; a ConfigError where it is neither or has a key twice."""
    try:
        data = parse_yaml(Path(path).read_text(encoding="utf-8"))
        json.dumps(data, default=str, skipkeys=True)  # refuses an alias inside itself
        return data
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); is the path right?"
        ) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path}: {line}{error.problem}") from None
    except RecursionError:
        raise ConfigError(f"{path}: too many brackets or sections inside one another") from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from None


class _Constructor(SafeConstructor):
    """``key:`` with nothing behind it is a value forgotten; who means null writes it."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict:
        for key, value in node.value:
            if value.tag.endswith(":null") and value.value == "":
                problem = f"{key.value}: has no value; give one, leave the key out, or write null"
                raise MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """What YAML 1.2 text holds; a MarkedYAMLError where it is none, or a key has no value."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return yaml.load(text)


def merge_configs(files: Sequence[str | Path], overrides: Mapping[str, Any]) -> dict:
    """The sections of several files, later ones over earlier ones, with single keys on top.

    Snakemake merges likewise, but reads YAML 1.1, where ``no`` is no text and ``1e-3`` no number.
    ``overrides`` is what ``--config key=value`` says; Snakemake leaves inner values as text.

    Raises:
        ConfigError: A file cannot be read, or holds no keys.
    """
    from snakemake.utils import update_config  # takes a second

    merged: dict = {}
    for file in files:
        data = read_config(file)
        if not isinstance(data, dict):
            raise ConfigError(f"{file}: holds no keys; start from configs/demo.yaml")
        update_config(merged, data)
    update_config(merged, _typed(dict(overrides)))
    return merged


def _typed(value: Any) -> Any:
    """``value`` with numbers, booleans and null in the place of text that YAML reads as such."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        read = parse_yaml(value)
    except YAMLError:
        return value
    is_null = read is None and value.strip()  # also ~; of no text YAML makes null too
    return read if isinstance(read, bool | int | float) or is_null else value
