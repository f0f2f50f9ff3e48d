"""Which config file a name belongs to, of results or of a user's own dataset.

Two files that mean something else by one name would replace what the other has made.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

from annotated_types import Len
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from dmlbench import paths
from dmlbench.config import read_config
from dmlbench.config.models import Benchmark
from dmlbench.errors import ConfigError, DataError, UserError
from dmlbench.files import write_json
from dmlbench.records import read_json

_FILE = "config_source.json"
_NOTE_FORM = TypeAdapter(
    TypedDict("_Note", {"files": Annotated[list[str], Len(min_length=1)], "content": str})
)


class _Owned(NamedTuple):
    """What a config makes under a name of its own."""

    what: str
    folder: Path
    content: str  # what the config means by the name
    is_in: Callable[[dict], bool]  # whether another config has the name


def _owned(benchmark: Benchmark) -> Iterator[_Owned]:
    name = benchmark.name
    yield _Owned(
        f"name '{name}'",
        Path(paths.results(name)),
        benchmark.as_json(),
        lambda config: config.get("name") == name,
    )
    for entry, dataset in benchmark.datasets.items():
        yield _Owned(
            f"dataset '{entry}'",
            Path(paths.OWN_CONTENT.format(dataset=entry)).parent,
            dataset.model_dump_json(),
            lambda config, entry=entry: entry in (config.get("datasets") or ()),
        )


def check_owner(benchmark: Benchmark, files: list[str]) -> None:
    """Refuse a config where another one means something else by a name of it.

    A file that was edited, renamed or copied without a change is the same config.

    Args:
        benchmark: What is in ``files``, the config's.

    Raises:
        UserError: What this config makes would come in the place of what the other has.
    """
    for owned in _owned(benchmark):
        note = owned.folder / _FILE
        try:
            before = read_json(note, "it is written anew", _NOTE_FORM)
        except (OSError, DataError):  # none, or damaged: nobody is known to have it
            continue
        same = before["files"] == files or before["content"] == owned.content
        if not same and _is_in(before["files"][0], owned.is_in):
            raise UserError(
                f"{owned.folder}: belongs to {', '.join(before['files'])}, which has the same "
                f"{owned.what} as {', '.join(files)} and means another by it; give one of the two "
                "another name"
            )


def claim(benchmark: Benchmark, files: list[str]) -> None:
    """Note that what these ``files`` name is theirs; see :func:`check_owner`."""
    check_owner(benchmark, files)
    for owned in _owned(benchmark):
        write_json(owned.folder / _FILE, {"files": files, "content": owned.content})


def _is_in(file: str, is_in: Callable[[dict], bool]) -> bool:
    if not os.path.isfile(file):
        return False
    try:
        config = read_config(Path(file))
        return isinstance(config, dict) and is_in(config)
    except (ConfigError, TypeError):  # it is no config any more
        return False
