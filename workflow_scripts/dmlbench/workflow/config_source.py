"""Which config file the results of a name belong to: two files of one name would mix theirs."""

import json
import os
from pathlib import Path

from dmlbench import paths
from dmlbench.config import read_config
from dmlbench.errors import ConfigError, UserError
from dmlbench.files import write_json

_FILE = "config_source.json"


def claim(folder: Path, files: list[str], name: str, content: str) -> None:
    """Note that the results in ``folder`` are of the config ``files``, which are called ``name``.

    A file that was edited, renamed or copied without a change is the same config.

    Raises:
        UserError: Another config that is still there, with other ``content`` (as JSON), has them.
    """
    note, stored = folder / _FILE, folder / paths.CONFIG_FILE
    try:
        before = json.loads(note.read_text(encoding="utf-8"))
        same = before == files or stored.read_text(encoding="utf-8") == content
    except (OSError, ValueError):  # none, or damaged: nobody is known to have them
        before, same = [], True
    if not same and before and _still_called(before[0], name):
        raise UserError(
            f"{folder}: belongs to {', '.join(before)}, which has the same name '{name}' as "
            f"{', '.join(files)}; give one of the two another name"
        )
    write_json(note, files)


def _still_called(file: str, name: str) -> bool:
    if not os.path.isfile(file):
        return False
    try:
        config = read_config(Path(file))
    except ConfigError:
        return False
    return isinstance(config, dict) and config.get("name") == name
