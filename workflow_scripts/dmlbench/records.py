"""The record that a finished training leaves: ``run.json``."""

import json
from pathlib import Path

from dmlbench.errors import DataError


def read_record(folder: Path, fingerprint: str) -> dict:
    """The ``run.json`` of a finished run.

    Raises:
        DataError: There is none, or the run was trained with other settings than ``fingerprint``.
    """
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except OSError:
        raise DataError(f"{folder}: no run.json; this run has not finished training") from None
    if record["fingerprint"] != fingerprint:
        raise DataError(f"{folder}: was trained with other settings than the config's; train again")
    return record
