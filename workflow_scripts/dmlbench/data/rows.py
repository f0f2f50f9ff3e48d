"""Reading Parquet files row by row, within bounds; such files hold no code."""

from collections.abc import Iterator
from pathlib import Path

from dmlbench.data.expansion import Expansion
from dmlbench.errors import DataError

#: Rows in memory at a time.
_ROWS = 32


def read_rows(path: Path, columns: list[str]) -> Iterator[dict]:
    """Yield the rows of a Parquet file, each as a dict of ``columns``.

    Raises:
        DataError: It is damaged, lacks a column, or unpacks to absurdly much.
    """
    import pyarrow
    import pyarrow.parquet

    expansion = Expansion(path)
    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
            if missing := sorted(set(columns) - set(file.schema_arrow.names)):
                raise DataError(f"{path}: has no column {' or '.join(missing)}")
            for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
                expansion.add(batch.nbytes)
                yield from batch.to_pylist()
    except (FileNotFoundError, PermissionError):
        raise
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: a damaged Parquet file ({' '.join(str(error).split())})"
        ) from None
