"""What made each file: Snakemake's records of it, kept beside the results.

Snakemake records in ``.snakemake`` which parameters, code and inputs a file was made from. It
takes a file without a record, or a file that has replaced another (``dvc pull``, ``git checkout``,
a copy), for what the config asks for; and a file that is younger than what was made from it for a
changed one. So records are also kept with the files' SHA-256 and times in
:func:`dmlbench.paths.origins`, which comes along with the results. :func:`settle` says which record
and time are really a file's, before Snakemake looks.
"""

import gzip
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord
from snakemake.persistence.file import FilePersistence
from tqdm import tqdm

from dmlbench import paths
from dmlbench.errors import DataError
from dmlbench.files import checksum_of, replacing
from dmlbench.workflow.clocks import bring_back

#: Stands in the place of parameters, so that Snakemake finds them changed and says why.
UNKNOWN = "nothing is known of what made this file"
# It has a rule, by which Snakemake's report sorts, and no time, without which it is no record.
_NO_RECORD = MetadataRecord(
    record_format_version=RECORD_FORMAT_VERSION, params=[UNKNOWN], rule="unknown"
)
#: What differs between two records of one job that ran twice.
_OF_ONE_RUN = ("starttime", "endtime", "job_hash")


def snakemake_records() -> FilePersistence:
    """What Snakemake keeps of files in this folder."""
    # Without this folder it takes all records for those of an older version, and reads them.
    Path(".snakemake/incomplete").mkdir(parents=True, exist_ok=True)
    return FilePersistence()


def count_as_made(files: Iterable[str]) -> None:
    """Have Snakemake count files as whole that a job which did not end well has made."""
    snakemake = snakemake_records()
    for file in files:
        snakemake._unmark_incomplete(file)


def settle(
    path: Path,
    made: Iterable[str],
    raw: Iterable[str],
    vouched: Callable[[str], bool] = lambda file: False,
) -> None:
    """Give the files that are here the records and times of what made them.

    A file whose time is not that of its record came from elsewhere. It gets what came along for its
    content; without that, a record that has Snakemake make it anew. A file that was made again
    with the same content gets its old time, so that nothing counts as older than it. A file of the
    future gets the time of now (:func:`dmlbench.workflow.clocks.bring_back`). A file of a
    job that was interrupted is whole, as all are written so: it is treated as if it came from
    elsewhere, where Snakemake would refuse to start, or delete it.

    Args:
        path: What came along (:func:`dmlbench.paths.origins`), which is brought up to date; a
            DataError where it cannot be read.
        made: The outputs of rules that are here.
        raw: The archives that are here. Whoever reads one verifies it, so that none is unknown.
        vouched: Whether our own record says that a file is what the config asks for. A training
            that ends after its Snakemake was killed has no other.
    """
    origins = _read(path)
    came = path.stat().st_mtime if origins else 0.0
    before = dict(origins)
    snakemake = snakemake_records()
    archives = set(raw)
    files = archives | set(made)
    begun = snakemake._filter_incomplete_keys(files)
    if any(snakemake._read_locks()):  # of a Snakemake that makes them, or was killed
        files -= begun
    else:
        count_as_made(begun)
    records = _read_records(snakemake, files)
    for file, record in bring_back(records, origins, _set_time).items():
        records[file] = record
        snakemake._write_record(file, record)
    ends = {file: (record.endtime if record else None) or 0 for file, record in records.items()}
    unknown = []
    # What others were made from comes first: its time decides which time they can have.
    order = sorted(files, key=lambda file: (file not in archives, ends[file]))
    for file in tqdm(order, "what made the results", delay=5, disable=None, unit="file"):
        origin = _origin(file, records[file], origins.get(file), came, file in archives)
        if origin:
            origins[file] = origin
            _apply(file, origin, records[file], snakemake)
        elif vouched(file):
            snakemake._delete_record(file)
        elif file not in archives:
            unknown += [file] if file not in begun else []
            snakemake._write_record(file, _NO_RECORD)
    if origins != before:
        text = json.dumps(origins, sort_keys=True).encode()
        with replacing(path) as temporary:
            temporary.write_bytes(gzip.compress(text, mtime=0))
    if unknown:
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        print(f"{min(unknown)}{others}: {UNKNOWN}; out of date", file=sys.stderr)


def altered(folder: Path, name: str) -> list[Path]:
    """The files of the results ``name`` in ``folder`` that are not what jobs wrote, runs left out.

    By what came along with them (:func:`dmlbench.paths.origins`); without it, none is known.
    """
    place = Path(paths.results(name))
    known = {
        Path(file): origin
        for file, origin in _read(folder / Path(paths.origins(name)).name).items()
    }
    of_results = [
        f for f in known if f.is_relative_to(place) and not f.is_relative_to(place / "runs")
    ]
    here = {file: folder / file.relative_to(place) for file in of_results}
    return sorted(
        there
        for file, there in here.items()
        if there.is_file() and checksum_of(there) != known[file]["sha256"]
    )


def _read_records(
    snakemake: FilePersistence, files: Iterable[str]
) -> dict[str, MetadataRecord | None]:
    """Snakemake's record of each file; damaged ones, which would end it, are removed and told."""
    records, damaged = {}, []
    for file in files:
        try:
            records[file] = snakemake._read_record(file)
        except ValueError:  # bytes that are no text, or another form
            snakemake._delete_record(file)
            records[file] = None
            damaged.append(file)
    if damaged:
        print(
            f".snakemake: {len(damaged)} damaged records are removed, such as that of "
            f"{min(damaged)}; what came along with the results takes their place",
            file=sys.stderr,
        )
    return records


def _origin(
    file: str, record: MetadataRecord | None, known: dict | None, came: float, verified: bool
) -> dict | None:
    """SHA-256, time and record that a file should have; None where nobody knows.

    ``record`` is Snakemake's; ``known`` came along with the results at the time ``came``, perhaps
    of another content; a ``verified`` file needs no record.
    """
    time = os.lstat(file).st_mtime
    recorded = bool(record and record.rule and record.endtime == time)
    here = {"time": time, "record": record.model_dump() if record else None}
    if known and here.items() <= known.items():
        return known
    here["sha256"] = checksum_of(file)
    if not known or known["sha256"] != here["sha256"]:
        return here if recorded or (verified and not known) else None
    # The later of two records for the same content counts: that of a job since then, or that which
    # came with a checkout of other results.
    if not recorded or record.endtime < came:
        return known
    inputs = filter(os.path.exists, record.input)
    if any(os.lstat(each).st_mtime > known["time"] for each in inputs):
        return here
    old = known["record"] or {"endtime": known["time"]}
    times = {key: old[key] for key in _OF_ONE_RUN if key in old}
    return here | {"time": known["time"], "record": here["record"] | times}


def _apply(
    file: str, origin: dict, record: MetadataRecord | None, snakemake: FilePersistence
) -> None:
    if origin["time"] != os.lstat(file).st_mtime:
        _set_time(file, origin["time"])
    if origin["record"] and (record is None or record.model_dump() != origin["record"]):
        snakemake._write_record(file, MetadataRecord(**origin["record"]))


def _set_time(file: str, time: float) -> None:
    try:
        os.utime(file, (time, time), follow_symlinks=False)
    except PermissionError:
        raise DataError(
            f"{file}: belongs to another user, so that its time cannot be set; if DVC links it "
            "from a shared cache: dvc config --local cache.type copy, dvc checkout --relink"
        ) from None


def _read(path: Path) -> dict[str, dict]:
    if not path.exists():
        return {}
    try:
        return json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error}); delete it, or pull it again") from None
