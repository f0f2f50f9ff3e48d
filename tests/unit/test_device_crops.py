"""Crops as a GPU makes them, here on the CPU: those of the CPU's own way, a batch at a time."""

import numpy as np
import pytest
import torch
from test_prepare import dataset_of
from test_reader import photo

from dmlbench.data import resize_batch
from dmlbench.data.device_crops import DeviceCrops
from dmlbench.data.prepare import prepare
from dmlbench.data.resize_batch import Patches, resize_patches
from dmlbench.data.store import ImageStore
from dmlbench.data.views import CroppedImages

CPU = torch.device("cpu")
SIZES = [(120, 80), (80, 120), (64, 64), (61, 300), (9, 7), (256, 300)]


@pytest.fixture
def store(tmp_path):
    images = {str(n): photo(*size, seed=n) for n, size in enumerate(SIZES)}
    prepare(dataset_of(images), {}, tmp_path)
    return ImageStore(tmp_path)


def views(maker, rows, seed=None):
    """The pixels of a batch: random crops, or without a seed the centres."""
    rng = None if seed is None else np.random.default_rng(seed)
    return maker.finished(maker.job(rows, rng)())


@pytest.mark.parametrize("size", [48, 224])
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_they_are_the_cpus_within_a_grey_level_wherever_the_pixels_lie(store, size, seed):
    rows = np.array([5, 0, 3, 1, 2, 4, 0, 3])
    settings = (store, size, (0.08, 1.0))
    want = views(CroppedImages(*settings), rows, seed)
    lying_there, sent = (
        views(DeviceCrops(*settings, CPU, resident), rows, seed) for resident in (True, False)
    )
    assert lying_there.shape == want.shape == (8, 3, size, size)
    assert lying_there.is_contiguous(memory_format=torch.channels_last)
    assert (lying_there.int() - want.int()).abs().max() <= 1
    assert torch.equal(lying_there, sent)


def test_a_batch_in_pieces_of_bounded_memory_is_the_batch(store, monkeypatch):
    rows = np.arange(len(SIZES))
    maker = DeviceCrops(store, 32, (0.2, 1.0), CPU, True)
    whole = views(maker, rows, 3)
    monkeypatch.setattr(resize_batch, "_PIXELS", 4000)
    heights, widths = store.shapes[:, 0], store.shapes[:, 1]
    groups = resize_batch._alike(heights, widths)
    assert sorted(np.concatenate(groups)) == list(range(len(SIZES)))
    assert len(groups) > 3
    for group in groups:  # one image may be too large by itself
        assert len(group) == 1 or heights[group].max() * widths[group].max() * len(group) <= 4000
    assert (views(maker, rows, 3).int() - whole.int()).abs().max() <= 1


def test_a_patch_of_its_own_size_is_copied_and_mirrored_exactly():
    pixels = torch.arange(48, dtype=torch.uint8).view(16, 3)  # 4 x 4 in three channels
    three, zero = np.array([3, 3]), np.array([0, 0])
    patches = Patches(
        start=np.array([5, 5]),  # from the second row and column on
        stride=np.array([4, 4]),
        height=three,
        width=three,
        to_height=three,
        to_width=three,
        top=zero,
        left=zero,
        flip=np.array([False, True]),
    )
    plain, mirrored = resize_patches(pixels, patches, 3)
    assert torch.equal(plain, pixels.view(4, 4, 3)[1:, 1:].permute(2, 0, 1))
    assert torch.equal(mirrored, plain.flip(2))


def test_half_the_size_weighs_the_four_nearest_by_a_triangle():
    # By hand: output 0 of 2 has its centre at 1.0 of the input and reaches 2 pixels to either side;
    # pixels 0, 1, 2 at 0.5, 1.5, 2.5 weigh 0.75, 0.75, 0.25.
    pixels = torch.tensor([[0], [100], [200], [50]], dtype=torch.uint8)
    numbers = (0, 4, 1, 4, 2, 2, 0, 0, False)  # in the order of the fields
    patches = Patches(*(np.array([value]) for value in numbers))
    want = [round((0.75 * 100 + 0.25 * 200) / 1.75), round((0.25 * 100 + 0.75 * 250) / 1.75)]
    assert resize_patches(pixels, patches, 2)[0, 0].tolist() == [want, want]
