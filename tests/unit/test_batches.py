"""How batches are composed."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dmlbench.training.training_images import class_batches, shuffled_batches


@given(
    seed=st.integers(0, 10**6),
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=8),
    per_class=st.integers(2, 8),
    data=st.data(),
)
@settings(max_examples=40)
def test_batches_draw_classes_and_images_without_replacement(seed, sizes, per_class, data):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    classes = data.draw(st.integers(1, len(sizes)))
    rng = np.random.default_rng(seed)
    batches = list(class_batches(labels, classes * per_class, per_class, rng))
    assert len(batches) == max(1, len(labels) // (classes * per_class))
    for batch in batches:
        assert len(set(batch)) == len(batch)
        values, counts = np.unique(labels[batch], return_counts=True)
        assert len(values) == classes
        assert (counts == np.minimum(per_class, np.array(sizes)[values])).all()


def test_no_image_comes_again_before_its_class_is_used_up():
    labels = np.repeat([0, 1], 64)
    batches = class_batches(labels, 32, 16, np.random.default_rng(0))
    assert sorted(np.concatenate(list(batches))) == list(range(128))


@given(seed=st.integers(0, 10**6), images=st.integers(1, 90), size=st.integers(1, 30))
@settings(max_examples=40)
def test_shuffled_batches_hold_no_image_twice_and_are_full(seed, images, size):
    labels = np.zeros(images, dtype=np.int64)
    batches = list(shuffled_batches(labels, size, np.random.default_rng(seed)))
    drawn = np.concatenate(batches)
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(range(images))
    assert [len(b) for b in batches] == ([size] * (images // size) or [images])
