"""What a dataset states of itself: its archives, splits, labels and published counts."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class Part(NamedTuple):
    """What is measured by itself: a split, a named part of it and a label column.

    Attributes:
        split: ``train`` or ``test``.
        subset: A part of the split; empty for all of it.
        label: The label column.
    """

    split: str
    subset: str
    label: str

    def __str__(self) -> str:
        return " ".join(filter(None, self))

    def rows(self, index):
        """The numbers of the rows of a prepared ``index`` that belong to it, as an array."""
        mask = index["split"] == self.split
        if self.subset:
            mask &= index["subset"] == self.subset
        return mask.to_numpy().nonzero()[0]


@dataclass(frozen=True)
class Archive:
    """One file to download.

    Attributes:
        source: Which upstream it belongs to, such as ``mnist``; the folder that it is kept in.
        file: Its name, upstream's.
        urls: Where it lies, in the order tried: full addresses, or folders that end in ``/``.
        bytes: Its size, where it is known.
        sha256, sha1, md5: Its checksums, as published, or as the user pinned the first one. The
            first that is known counts.
        members_sha256: The hash of its members (:func:`dmlbench.data.archives.members_sha256`),
            where an archive that was packed anew is as good.
    """

    source: str
    file: str
    urls: tuple[str, ...] = ()
    bytes: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    md5: str | None = None
    members_sha256: str | None = None

    @property
    def addresses(self) -> list[str]:
        """The full address of each of ``urls``."""
        return [url + self.file if url.endswith("/") else url for url in self.urls]

    @property
    def checksum(self) -> tuple[str, str] | None:
        """The best known checksum: its method, as hashlib calls it, and its value."""
        known = {"sha256": self.sha256, "sha1": self.sha1, "md5": self.md5}
        return next(((method, value) for method, value in known.items() if value), None)

    def pinned(self, sha256: str | None) -> "Archive":
        """The same with the user's checksum, where nobody published one."""
        return self if self.checksum else replace(self, sha256=sha256)

    def described(self) -> str:
        """Size and checksum in words."""
        size = f"{self.bytes:,} bytes, " if self.bytes is not None else ""
        return size + " ".join(self.checksum or ["no published checksum"])


class DatasetFacts(BaseModel):
    """What a registered dataset, or a folder of one's own, states of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    archives: tuple[Archive, ...] = Field(
        (), description="Its archives. Those of another source hold the same images differently."
    )
    mode: Literal["L", "RGB"] = Field(
        "RGB", description="What encoded images become: gray, or colour."
    )
    train_label: str = Field(description="The label column that training sees.")
    train_classes: int = Field(description="Classes of that column in the training split.")
    evaluations: tuple[Part, ...] = Field(
        description="What is measured. The first part of the test split selects test_max."
    )
    counts: dict[str, int] = Field(
        description="Images as split or split/subset, classes as split:column; all are asserted."
    )
    sub_labels: dict[str, str] = Field(
        {}, description="Of a label column, the finer one inside it, to see classes collapse."
    )
    pairs: dict[str, str] = Field(
        {}, description="The file of pairs of each verification protocol; x_threshold is that of x."
    )
    folds: int = Field(
        0, description="Its splits are fold1, fold2 and so on; test_fold picks the one to test on."
    )

    @property
    def sources(self) -> list[str]:
        """The sources of its archives, the preferred one first."""
        return list(dict.fromkeys(archive.source for archive in self.archives))

    def first_test(self) -> Part:
        """The part that selects the epoch of ``test_max``."""
        return next(part for part in self.evaluations if part.split == "test")
