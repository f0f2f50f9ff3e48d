"""A user's own dataset, whichever kind: its facts, or what is wrong with it."""

from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.config.folders import folder_facts, listing
from dmlbench.config.own_images import FolderDataset, OwnDataset
from dmlbench.errors import ConfigError


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


def own_listing(dataset: OwnDataset) -> str:
    """A hash that changes when a table or an image does."""
    if isinstance(dataset, FolderDataset):
        return listing(dataset)
    from dmlbench.config.image_tables import table_listing

    return table_listing(dataset)
