"""What cannot be measured of a dataset, and why."""

from collections.abc import Iterator

from dmlbench.config.dataset_facts import DatasetFacts, clusters_per_class
from dmlbench.config.settings import Evaluation
from dmlbench.plugins.messages import nearest


def measure_problems(
    settings: Evaluation, dataset: str, facts: DatasetFacts, counts: dict[str, int]
) -> Iterator[str]:
    """A K or a number of clusters that a part of the dataset is too small for.

    ``counts`` are those of ``facts``, or what is left of them: of train when validation has taken
    its share, of the test where copies of training images are left out.
    """
    for split, subset, label in facts.evaluations:
        part = f"{split}/{subset}" if subset else split
        images = counts.get(part)
        if split not in settings.splits or images is None:
            continue
        among = f"images of {dataset} {part}"
        left_by = "validation" if split == "train" else "evaluation.exclude_duplicates"
        among += f" that {left_by} leaves" if images < facts.counts.get(part, images) else ""
        gallery = counts.get(f"{part}@gallery")
        most = images - 1 if gallery is None else gallery
        if "recall" in settings.metrics and max(settings.recall_at) > most:
            where = f"is not below the {images:,} {among}"
            if gallery is not None:
                where = f"is more than the {gallery:,} images in the gallery of {dataset} {part}"
            yield f"evaluation.recall_at: {max(settings.recall_at)} {where}"
        classes = counts.get(f"{part}:{label}")
        if classes == 1 or (classes == images and gallery is None):
            each = "all images have one class" if classes == 1 else "each class has one image"
            yield (
                f"evaluation.splits: in {dataset} {part} {each} of {label}: no measure could vary; "
                f"leave {split} out, or measure another label column"
            )
        per_class = clusters_per_class(settings, label) if "nmi_plus" in settings.metrics else 1
        if (per_class or 1) * counts.get(f"{part}:{label}", 2) > images:
            yield (
                f"evaluation.nmi_plus: {per_class} clusters for each class of {label} are more "
                f"than the {images:,} {among}; take fewer, or name only the "
                "labels to measure it for, as {alphabet: 30}"
            )


def label_problems(settings: Evaluation, facts: dict[str, DatasetFacts]) -> Iterator[str]:
    """Keys of nmi_plus that no dataset has as a label, and datasets of which nothing is measured.

    ``facts`` are those of the datasets that experiments use.
    """
    if not isinstance(settings.nmi_plus, dict) or "nmi_plus" not in settings.metrics:
        return
    labels = {
        name: {part.label for part in each.evaluations if part.split in settings.splits}
        for name, each in facts.items()
    }
    known = sorted({part.label for each in facts.values() for part in each.evaluations})
    unknown = [label for label in settings.nmi_plus if label not in known]
    for label in unknown:
        yield f"evaluation.nmi_plus: no dataset has the label '{label}'{nearest(label, known)}"
    if unknown or settings.metrics != ["nmi_plus"]:
        return
    for name, some in labels.items():
        if some and not some & set(settings.nmi_plus):
            yield (
                f"evaluation.nmi_plus: names no label of {name}, of which nothing else is "
                f"measured; add one of {', '.join(sorted(some))}, or another metric"
            )
