"""Which config file the results of a name belong to: two files of one name would mix theirs."""

import os
from pathlib import Path

from pydantic import TypeAdapter

from dmlbench import paths
from dmlbench.config import read_config
from dmlbench.errors import ConfigError, DataError, UserError
from dmlbench.files import write_json
from dmlbench.records import read_json

_FILE = "config_source.json"
_NOTE_FORM = TypeAdapter(list[str])


def check_owner(folder: Path, files: list[str], name: str, content: str) -> None:
    """Refuse a config whose ``name`` another one has, in whose place its results would come.

    A file that was edited, renamed or copied without a change is the same config.

    Args:
        folder: Where the results of this name lie.
        files: The config's files.
        content: All of it, as JSON.

    Raises:
        UserError: Another config that is still there, with other ``content``, has them.
    """
    note, stored = folder / _FILE, folder / paths.CONFIG_FILE
    try:
        before = read_json(note, "it is written anew", _NOTE_FORM)
        same = before == files or stored.read_text(encoding="utf-8") == content
    except (OSError, ValueError, DataError):  # none, or damaged: nobody is known to have them
        before, same = [], True
    if not same and before and _still_called(before[0], name):
        raise UserError(
            f"{folder}: belongs to {', '.join(before)}, which has the same name '{name}' as "
            f"{', '.join(files)}; give one of the two another name"
        )


def claim(folder: Path, files: list[str], name: str, content: str) -> None:
    """Note that the results in ``folder`` are of this config; see :func:`check_owner`."""
    check_owner(folder, files, name, content)
    write_json(folder / _FILE, files)


def _still_called(file: str, name: str) -> bool:
    if not os.path.isfile(file):
        return False
    try:
        config = read_config(Path(file))
    except ConfigError:
        return False
    return isinstance(config, dict) and config.get("name") == name
