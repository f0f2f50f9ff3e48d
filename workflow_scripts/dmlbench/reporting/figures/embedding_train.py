"""Embeddings of the training images in the plane, methods side by side."""

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.reporting.figures import register_figure, shown_files
from dmlbench.reporting.figures.embedding import draw_plane

_FILES = shown_files(paths.projection, "train")


def _applies(plan: Plan, experiment: str) -> bool:
    return {"train", "test"} <= set(plan.projected_splits)


@register_figure("Embedding of the training classes", applies=_applies, files=_FILES, numbers=False)
def embedding_train(data):
    """The training images of one training seed, coloured as those of the test are. Embeddings in
    the plane are shown as they are, others through t-SNE.
    """
    return draw_plane(data, "train"), None
