"""A user's own table of images as a dataset."""

from collections.abc import Iterator
from pathlib import Path

from dmlbench.config.image_tables import BOX, files_of, identities, read_table
from dmlbench.config.own_images import TableDataset
from dmlbench.data.dataset import Dataset, Record


class TableImages(Dataset):
    """The images that a table names, cut to their boxes if it has some and the config wants it."""

    table: TableDataset
    damaged_image = "mend it, or take its row out of the table"
    wrong_count = "there were {expected:,} a moment ago; run again"

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        table = read_table(self.table)
        rows, labels = table.rows, self.table.labels
        files = files_of(rows["path"], table.file.parent)
        boxes = iter([None] * len(rows))
        if self.table.crop and BOX[0] in rows:
            given = rows[BOX].notna().all(axis=1)
            boxes = (
                box if there else None
                for box, there in zip(
                    rows[BOX].itertuples(index=False, name=None), given, strict=True
                )
            )
        columns = [identities(table, self.table), rows["split"], rows["role"], files, boxes]
        columns += [rows[column] for column in labels]
        for name, split, role, file, box, *classes in zip(*columns, strict=True):
            named = dict(zip(labels, classes, strict=True))
            yield Record(name, split, named, Path(file), role=role, box=box)
