"""Files of pretrained weights."""

from functools import lru_cache
from pathlib import Path

from dmlbench.files import WEIGHT_FILES, checksum_of


def weights_hash(weights: str) -> str | None:
    """The SHA-256 of a file of weights; None of weights that have a name, or are not there."""
    file = Path(weights)
    if not weights.endswith(WEIGHT_FILES) or not file.is_file():
        return None
    about = file.stat()
    return _sha256(file, about.st_mtime_ns, about.st_size)


@lru_cache
def _sha256(file: Path, *about: int) -> str:
    return checksum_of(file)
