"""Which archives the datasets of a config are made from."""

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.data.archives import archives
from dmlbench.data.folder import dataset_of


def source_of(plan: Plan, dataset: str) -> str:
    """Where a dataset's archives come from: the config's choice, or the first it knows."""
    return plan.benchmark.data.sources.get(dataset) or dataset_of(plan, dataset).sources[0]


def raw_archives(plan: Plan, dataset: str) -> list[str]:
    """The archives of a dataset; none where it comes in a package, or is a folder of one's own."""
    source = source_of(plan, dataset)
    return [paths.RAW.format(source=source, archive=file) for file in archives(source)]
