"""Reading Parquet files row by row, within bounds; such files hold no code."""

from collections.abc import Iterator
from pathlib import Path

from dmlbench.data.expansion import HARMLESS_BYTES, Expansion
from dmlbench.errors import DataError

#: Unpacked bytes for each packed one. Encoded images hardly grow at all.
_RATIO = 10


def read_rows(path: Path, columns: list[str]) -> Iterator[dict]:
    """Yield the rows of a Parquet file, each as a dict of ``columns``.

    What a group of rows unpacks to, its header says: the absurd is refused before it is decoded.
    Rows are then decoded one at a time, since a file of a few kB may say that one large value comes
    in every row; 32 at a time would hardly be faster.

    Raises:
        DataError: It is damaged, lacks a column, or unpacks to absurdly much.
    """
    import pyarrow
    import pyarrow.parquet

    expansion = Expansion(path)
    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            if missing := sorted(set(columns) - set(file.schema_arrow.names)):
                raise DataError(f"{path}: has no column {' or '.join(missing)}")
            for number in range(file.num_row_groups):
                _check_size(file.metadata.row_group(number), columns, expansion)
                for batch in file.iter_batches(1, row_groups=[number], columns=columns):
                    expansion.add(batch.nbytes)
                    yield from batch.to_pylist()
    except (FileNotFoundError, PermissionError):
        raise
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise DataError(
            f"{path}: a damaged Parquet file ({' '.join(str(error).split())})"
        ) from None


def _check_size(group, columns: list[str], expansion: Expansion) -> None:
    """Look at what the columns of a group of rows unpack to, as the header says.

    Args:
        group: A ``pyarrow.parquet.RowGroupMetaData``.
        columns: Names of the columns that are read, nested ones by their first part.
        expansion: Refuses what is absurd.

    Raises:
        DataError: That is absurd.
    """
    chunks = [group.column(number) for number in range(group.num_columns)]
    wanted = [chunk for chunk in chunks if chunk.path_in_schema.partition(".")[0] in columns]
    size = sum(chunk.total_uncompressed_size for chunk in wanted)
    # No more than the file has, whatever the header says.
    packed = min(sum(chunk.total_compressed_size for chunk in wanted), expansion.packed)
    if size < 0 or size > max(HARMLESS_BYTES, _RATIO * packed):
        expansion.refuse(f"unpacks {packed:,} bytes to {size:,}")
