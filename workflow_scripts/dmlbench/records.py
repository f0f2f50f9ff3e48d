"""What jobs wrote, known again: JSON by its form and seal, tables by whose they are."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from dmlbench.errors import DataError
from dmlbench.files import DAMAGED, naming, read_parquet, write_parquet

if TYPE_CHECKING:
    import pandas as pd

#: The key of a sealed file that holds the hash of all its others.
SEAL = "seal"
#: The attribute of a table that says whose it is.
_OF = "of"


def read_json(file: Path, remedy: str, form: TypeAdapter | None = None) -> Any:
    """The content of a JSON file; it may hold more than its ``form`` asks for.

    Raises:
        DataError: It is no JSON, or of another form: names the file, the place in it, and the
            ``remedy``.
        FileNotFoundError: There is none.
    """
    try:
        with naming(file):
            content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file}: damaged ({error}); {remedy}") from None
    if form:
        check_form(form, content, file, remedy)
    return content


def check_form(form: TypeAdapter, content: object, file: Path, remedy: str) -> None:
    """Raise DataError, as :func:`read_json` does, where ``content`` is of another form."""
    try:
        form.validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "top level"
        raise DataError(f"{file}: {where}: {first['msg'].lower()}; {remedy}") from None


def sealed(content: dict) -> dict:
    """``content`` for a JSON file, with the hash of all that is in it: its seal.

    It tells a file that was altered by hand. It is no proof against somebody who knows it.
    """
    return content | {SEAL: _hash_of(content)}


def is_sealed(content: dict) -> bool:
    """Whether the content of a JSON file is what :func:`sealed` made."""
    return content.get(SEAL) == _hash_of({k: v for k, v in content.items() if k != SEAL})


def write_table(path: Path, table: "pd.DataFrame", of: str) -> None:
    """Write ``table`` as :func:`dmlbench.files.write_parquet` does, with whose it is beside it.

    ``of`` is the hash of what it was made from, such as the images of a dataset.
    """
    marked = table.copy(deep=False)
    marked.attrs = {**table.attrs, _OF: of}
    write_parquet(path, marked)


def read_table(path: Path | str, of: str, columns: list[str] | None = None) -> "pd.DataFrame":
    """The table that :func:`write_table` wrote to ``path``, or some of its ``columns``.

    Raises:
        DataError: It is damaged, or not ``of`` this: of another run or other images, by its name.
    """
    table = read_parquet(path, columns)
    if table.attrs.pop(_OF, None) != of:
        raise DataError(f"{path}: was made from other images or settings; {DAMAGED}")
    return table


def _hash_of(content: dict) -> str:
    # As it is read back: keys that are numbers are texts then, and sorted as such.
    as_read = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()
