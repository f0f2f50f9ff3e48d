"""The record that a finished training leaves: ``run.json``."""

import json
from pathlib import Path

from dmlbench.errors import DataError
from dmlbench.files import checksum_of


class DamagedRecordError(DataError):
    """A ``run.json`` that is none."""


def read_record(folder: Path, fingerprint: str) -> dict:
    """The ``run.json`` of a finished run.

    Raises:
        DataError: There is none, it is damaged (:class:`DamagedRecordError`), or the run was
            trained with other settings than ``fingerprint``.
    """
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        trained_as = record["fingerprint"]
    except OSError:
        raise DataError(f"{folder}: no run.json; this run has not finished training") from None
    except (ValueError, KeyError, TypeError):
        raise DamagedRecordError(
            f"{folder}/run.json is damaged; delete it, and train the run again"
        ) from None
    if trained_as != fingerprint:
        raise DataError(f"{folder}: was trained with other settings than the config's; train again")
    return record


def vouches(file: Path, fingerprint: str, code: str) -> bool:
    """Whether the ``run.json`` beside a training's output says that ``file`` is that training's.

    ``fingerprint`` is what the config asks for, ``code`` the hash of the training's sources
    (:func:`dmlbench.workflow.provenance.training_code`).
    """
    try:
        record = read_record(file.parent, fingerprint)
    except DataError:  # none, of another config, or damaged
        return False
    if record.get("code") != code:
        return False
    return file.name == "run.json" or record.get("outputs", {}).get(file.name) == checksum_of(file)
