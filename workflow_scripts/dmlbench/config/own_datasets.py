"""A user's own dataset, whichever kind: its facts, or what is wrong with it."""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.config.folders import folder_facts, image_names
from dmlbench.config.image_contents import content_of
from dmlbench.config.own_images import FolderDataset, OwnDataset
from dmlbench.errors import ConfigError
from dmlbench.files import checksum_of, local_path


def own_facts(dataset: OwnDataset) -> DatasetFacts:
    """What a registered dataset states in its decorator.

    Raises:
        ConfigError: The folder or table cannot be a dataset; a line for each kind of mistake.
    """
    if isinstance(dataset, FolderDataset):
        return folder_facts(dataset)
    # Jobs have the facts in their plan, and import no pandas for them.
    from dmlbench.config.image_tables import read_table, table_facts
    from dmlbench.config.table_checks import table_problems

    table = read_table(dataset)
    if problems := table_problems(table, dataset):
        raise ConfigError("\n".join(f"'{table.file}': {line}" for line in problems))
    return table_facts(table, dataset)


def own_records(name: str, dataset: OwnDataset, facts: DatasetFacts) -> Iterable[Any]:
    """Every image of a user's dataset ``name`` with what is known of it before it is opened
    (:class:`dmlbench.data.dataset.Record`).
    """
    # What a dataset's images are is a rule of a room above, looked up by name, as losses are.
    return import_module("dmlbench.data.folder").own_dataset(name, dataset, facts)().records({})


def own_content(dataset: OwnDataset, known: Path) -> str:
    """A hash of the images, and of the table that lists them: it changes when one of them does.

    ``known`` keeps what was read (:func:`dmlbench.config.image_contents.content_of`). A ConfigError
    says what cannot be read.
    """
    if isinstance(dataset, FolderDataset):
        return content_of(local_path(dataset.folder), image_names(dataset), known)
    from dmlbench.config.image_tables import read_table

    table = read_table(dataset)
    images = content_of(table.file.parent, table.rows["path"], known)
    return f"{checksum_of(table.file)[:16]} {images}"
