"""Batch composition."""

from collections.abc import Iterator

import numpy as np


def class_batches(
    labels: np.ndarray, batch_size: int, per_class: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The batches of one epoch: classes x images per class, drawn without replacement.

    Each batch draws ``batch_size // per_class`` distinct classes. Each class deals its images from
    a shuffled pack and shuffles anew only when fewer than ``per_class`` are left, so no image
    comes twice in a batch, nor a second time before (nearly) all others of its class came. A class
    with fewer images than ``per_class`` gives all it has, which makes the batch smaller. An epoch
    has as many whole batches as fit into the training set; what is left over is not made up.

    Args:
        labels: N training labels; positions in this array are what batches hold.
        batch_size: Images per batch.
        per_class: Images per class and batch.
        rng: The random stream of this epoch.

    Yields:
        Positions in ``labels``, in random order.
    """
    images = {value: np.flatnonzero(labels == value) for value in np.unique(labels)}
    packs = {value: rows[:0] for value, rows in images.items()}
    for _ in range(max(1, len(labels) // batch_size)):
        batch = []
        for value in rng.choice(list(images), size=batch_size // per_class, replace=False):
            if len(packs[value]) < per_class:
                packs[value] = rng.permutation(images[value])
            dealt, packs[value] = np.split(packs[value], [per_class])
            batch.append(dealt)
        yield rng.permutation(np.concatenate(batch))


def shuffled_batches(
    labels: np.ndarray, batch_size: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The batches of one epoch for losses that need no positives: all images, shuffled.

    The last images that fill no batch wait for another epoch's order; a training set smaller than a
    batch is one batch. Arguments and what is yielded are those of :func:`class_batches`.
    """
    order = rng.permutation(len(labels))
    for number in range(max(1, len(labels) // batch_size)):
        yield order[number * batch_size : (number + 1) * batch_size]
