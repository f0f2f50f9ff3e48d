"""What the network sees: torchvision's transforms, the same to the bit whatever the workers."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SCRIPTS
from PIL import Image
from test_prepare import dataset_of, encoded
from torchvision.transforms import InterpolationMode, v2

from dmlbench.config import resolve_config
from dmlbench.config.recipe import Recipe
from dmlbench.data.prepare import prepare
from dmlbench.data.reader import IMAGENET_MEAN, IMAGENET_STD, ImageReader, input_format
from dmlbench.data.store import ImageStore
from dmlbench.errors import ConfigError, DataError
from dmlbench.plugins.image_transforms import build_transforms, try_transforms
from dmlbench.training.loop import Trainer


def recipe(**changes):
    given = {"backbone": "small_cnn", "embedding_dim": 8, "batch_size": 4, "epochs": 1}
    return Recipe(**{**given, **changes}).model_dump(mode="json")


def photo(width, height, channels=3, seed=0):
    """Smooth noise, as photographs have it: height x width x channels."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.asarray(image) + rng.normal(0, 6, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)[:, :, :channels]


@pytest.fixture
def store(tmp_path):
    images = {str(n): photo(100 + n, 80, seed=n) for n in range(12)}
    prepare(dataset_of(images), {}, tmp_path)
    return ImageStore(tmp_path)


CROPS = {"image_size": 32, "crop": "random_resized"}
AUGMENTED = {
    "train_transforms": [
        {"RandomResizedCrop": {"size": 32, "scale": [0.16, 1]}},
        "RandomHorizontalFlip",
        {"ColorJitter": {"brightness": 0.2, "hue": 0.1}},
        {"RandomApply": {"transforms": [{"GaussianBlur": {"kernel_size": 3}}], "p": 0.5}},
    ],
    "eval_transforms": [{"Resize": {"size": 40}}, {"CenterCrop": {"size": 32}}],
}


def seeds_of(batches, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(2**63, size=len(batch)) for batch in batches]


def image_of(store, row):
    return torch.from_numpy(store.image(row).copy()).permute(2, 0, 1)


@pytest.mark.parametrize("changes", [CROPS, AUGMENTED])
def test_they_are_torchvisions_transforms_seeded_for_each_image(store, changes):
    reader = ImageReader(store, recipe(**changes), 0)
    rows = np.array([7, 2, 7])
    (seeds,) = seeds_of([rows])
    (images,) = reader.batches([rows], [seeds])
    if changes is CROPS:
        train = v2.Compose([v2.RandomResizedCrop(32), v2.RandomHorizontalFlip()])
        evaluation = v2.Compose([v2.Resize(37), v2.CenterCrop(32)])
    else:
        blur = v2.RandomApply([v2.GaussianBlur(3)], p=0.5)
        crop, jitter = v2.RandomResizedCrop(32, (0.16, 1)), v2.ColorJitter(0.2, hue=0.1)
        train = v2.Compose([crop, v2.RandomHorizontalFlip(), jitter, blur])
        evaluation = v2.Compose([v2.Resize(40), v2.CenterCrop(32)])
    for image, row, seed in zip(images, rows, seeds, strict=True):
        torch.manual_seed(int(seed))
        assert torch.equal(image, train(image_of(store, row)) / 255)
    assert not torch.equal(images[0], images[2])  # one image, two places
    (images,) = reader.batches([rows])
    assert torch.equal(images[1], evaluation(image_of(store, 2)) / 255)


@pytest.mark.parametrize("changes", [{}, {"mean_std": "imagenet"}])
@pytest.mark.parametrize("transforms", [CROPS, AUGMENTED])
def test_neither_workers_nor_the_rest_of_an_epoch_change_a_bit(
    store, transforms, changes, monkeypatch
):
    monkeypatch.setattr("dmlbench.data.reader._SMALL", 0)
    batches = [np.arange(5), np.arange(4, 12), np.array([3])]
    seeds = seeds_of(batches)
    made = []
    for workers in (0, 1, 2):
        reader = ImageReader(store, recipe(**transforms, **changes), workers)
        torch.manual_seed(workers)  # global streams change nothing
        np.random.seed(workers)  # noqa: NPY002
        states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        made.append([images.clone() for images in reader.batches(batches, seeds)])
        list(reader.batches(batches))  # the workers are kept, and another epoch begun
        assert torch.equal(torch.get_rng_state(), states[0])
        assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
        resumed = reader.batches(batches[1:], seeds[1:])
        assert torch.equal(next(resumed), made[0][1])
        resumed.close()  # left within an epoch
        (last,) = reader.batches(batches[2:], seeds[2:])
        assert torch.equal(last, made[0][2])
    assert [len(images) for images in made[0]] == [5, 8, 1]
    assert all(torch.equal(a, b) for n in (1, 2) for a, b in zip(made[0], made[n], strict=True))
    assert {images.stride() for images in made[0][:1]} == {
        images.stride() for images in made[2][:1]
    }
    (other,) = reader.batches(batches[:1], seeds_of(batches, 1)[:1])
    assert not torch.equal(other, made[0][0])


WORKERS = """
import multiprocessing, pathlib, subprocess, sys
import numpy as np
from dmlbench.data import reader
from test_reader import CROPS, ImageStore, recipe, seeds_of
reader._SMALL = 0
images = reader.ImageReader(ImageStore(pathlib.Path(sys.argv[1])), recipe(**CROPS), 2)
rows = [np.arange(4)] * 50
batches = images.batches(rows, seeds_of(rows))
next(batches)
for worker in multiprocessing.active_children():
    for name in ("TERM", "USR1", "INT"):
        subprocess.run(["kill", f"-{name}", str(worker.pid)], check=True)
for number in range(20):
    next(batches)
print("read on")
"""


def test_workers_ignore_signals_to_leave_and_end_with_the_process(store, tmp_path):
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", WORKERS, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": f"{SCRIPTS}:{folder}:{folder.parent}"},
    )
    assert (done.stdout, done.returncode) == ("read on\n", 0), done.stderr


def test_half_of_the_crops_are_flipped(tmp_path):
    ramp = np.broadcast_to(np.arange(0, 250, 5, dtype=np.uint8)[None, :, None], (50, 50, 1))
    prepare(dataset_of({"ramp": ramp}), {}, tmp_path)
    reader = ImageReader(ImageStore(tmp_path), recipe(**CROPS), 2)
    rows = [np.zeros(200, dtype=int)] * 5
    images = torch.cat([batch.clone() for batch in reader.batches(rows, seeds_of(rows))])
    flipped = images[:, 0, 0, 0] > images[:, 0, 0, -1]
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=0.05)  # 3 deviations
    (images,) = reader.batches([rows[0]])
    assert (images[:, 0, 0, 0] < images[:, 0, 0, -1]).all()  # evaluation never flips


def test_evaluation_is_the_centre_and_normalised_as_torchvision_does(store):
    reader = ImageReader(store, recipe(**CROPS, mean_std="imagenet"), 0)
    assert (reader.channels, reader.size) == (3, 32)
    (images,) = reader.batches([np.array([7, 2])])
    whole = [v2.Resize(37), v2.CenterCrop(32), v2.ToDtype(torch.float32, scale=True)]
    theirs = v2.Compose([*whole, v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)])
    for row, image in zip((7, 2), images, strict=True):
        torch.testing.assert_close(image, theirs(image_of(store, row)))


@pytest.mark.parametrize(
    ("backbone", "weights", "mean", "size", "interpolation"),
    [
        ("tf_efficientnet_lite0", "in1k", 0.5, 224, "bicubic"),
        ("vit_base_patch32_clip_224", "openai", 0.48145466, 224, "bicubic"),
        ("resnet50", "tv_in1k", 0.485, 224, "bilinear"),
        ("tf_efficientnet_lite0", "mine.safetensors", 0.5, 224, "bicubic"),
    ],
)
def test_weights_say_mean_deviation_size_and_interpolation(
    backbone, weights, mean, size, interpolation
):
    wanted = recipe(backbone=backbone, weights=weights, mean_std="weights", crop="random_resized")
    found = input_format(wanted)
    assert found.mean[0] == mean
    assert found.train[0]["RandomResizedCrop"] == {"size": size, "interpolation": interpolation}
    assert found.evaluation[1] == {"CenterCrop": {"size": size}}
    assert input_format(wanted | {"image_size": 80}).evaluation[1] == {"CenterCrop": {"size": 80}}


def test_weights_that_timm_does_not_know_say_nothing():
    with pytest.raises(ConfigError, match=r"timm knows no mean and deviation of resnet50\.mine"):
        input_format(recipe(backbone="resnet50", weights="mine", mean_std="weights"))


def test_whole_images_are_scaled_and_resized(tmp_path):
    images = {"0": photo(6, 4), "1": photo(5, 5)}
    prepare(dataset_of(images), {}, tmp_path)
    store = ImageStore(tmp_path)
    reader = ImageReader(store, recipe(image_size=5), 0)
    (plain,) = reader.batches([np.array([1, 0])])
    assert torch.equal(plain[0], torch.from_numpy(images["1"]).permute(2, 0, 1) / 255)
    assert torch.equal(plain[1], v2.Resize([5, 5])(image_of(store, 0)) / 255)
    dark = [{"Resize": {"size": [5, 5]}}, {"RandomInvert": {"p": 1}}]
    (inverted,) = ImageReader(store, recipe(eval_transforms=dark), 0).batches([np.array([1, 0])])
    assert torch.allclose(inverted, 1 - plain, atol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "changes", "told"),
    [
        (((6, 4), (5, 5)), {}, "become 4 x 6 x 3, which is no square .at 0.; give .* image_size"),
        (((5, 5), (6, 6)), {}, "become 6 x 6 x 3, the first one 5 x 5 x 3 .at 1."),
        (
            ((5, 5), (6, 6)),
            {"train_transforms": [{"RandomCrop": {"size": 9}}]},
            "cannot be transformed .Required crop size .9, 9. is larger",
        ),
    ],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_images_that_do_not_become_squares_of_one_size_are_one_line(
    tmp_path, sizes, changes, told, workers, monkeypatch
):
    monkeypatch.setattr("dmlbench.data.reader._SMALL", 0)
    prepare(dataset_of({str(n): photo(*size) for n, size in enumerate(sizes)}), {}, tmp_path)

    def read():
        reader = ImageReader(ImageStore(tmp_path), recipe(**changes), workers)
        list(reader.batches([np.arange(2)], seeds_of([np.arange(2)])))

    with pytest.raises(DataError, match=told) as caught:
        read()
    assert len(str(caught.value).splitlines()) == 1


def test_gray_images_take_the_average_of_imagenets_mean(tmp_path):
    prepare(dataset_of({"0": encoded("L", (9, 9))}, mode="L"), {}, tmp_path)
    plain, normal = (
        next(ImageReader(ImageStore(tmp_path), recipe(mean_std=how), 1).batches([np.array([0])]))
        for how in ("none", "imagenet")
    )
    want = (plain - np.mean(IMAGENET_MEAN)) / np.mean(IMAGENET_STD)
    torch.testing.assert_close(normal, want.float())


@pytest.mark.parametrize("channels", [1, 3])
def test_whole_images_are_kept_and_lie_with_channels_last(tmp_path, channels):
    # By the strides PyTorch chooses its kernels: others would change results.
    images = {str(n): photo(28, 28, channels, n) for n in range(9)}
    prepare(dataset_of(images, mode="L" if channels == 1 else "RGB"), {}, tmp_path)
    reader = ImageReader(ImageStore(tmp_path), recipe(), 1)
    rows = [np.arange(9)]
    (images,) = reader.batches(rows)
    whole = torch.stack([image_of(reader._views.store, row) for row in range(9)])
    assert reader._loader._iterator is None  # no loader was asked
    assert torch.equal(images, whole.float().div_(255))
    strides = (784, 1, 28, 1) if channels == 1 else (784 * channels, 784, 28, 1)
    assert images.stride() == strides
    assert next(reader.batches(rows, seeds_of(rows))).equal(images)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"crop": "random_resized"}, "needs an image_size"),
        (
            {"train_transforms": ["RandomResizeCrop"]},
            "train_transforms: no transform 'RandomResizeCrop' in torchvision.transforms.v2; did "
            "you mean 'RandomResizedCrop'",
        ),
        ({"eval_transforms": [{"Resize": {"sise": 3}}]}, "Resize: unknown argument 'sise'; did"),
        ({"eval_transforms": ["CenterCrop"]}, "CenterCrop: missing 1 required .* 'size'"),
        ({"eval_transforms": [{"Resize": {"size": "big"}}]}, "Resize: size can be an integer"),
        (
            {"eval_transforms": [{"Resize": {"size": 9, "interpolation": "x"}}]},
            "'x' is not a valid InterpolationMode",
        ),
        (
            {"train_transforms": [{"RandomResizedCrop": {"size": 9, "scale": [1, 0.1]}}]},
            "RandomResizedCrop: Scale and ratio should be of kind .min, max",
        ),
        ({"train_transforms": [{"RandomErasing": {"inplace": True}}]}, "leave it out"),
        ({"train_transforms": [{"Pad": {"padding": 1}, "RGB": None}]}, "each entry is one"),
        ({"train_transforms": ["MixUp"]}, "no transform 'MixUp'"),
        ({"eval_transforms": [{"Resize": {"size": -5}}]}, "eval_transforms: cannot be done to an"),
        ({"train_transforms": [{"RandAugment": {"magnitude": 99}}]}, "cannot be done to an image"),
        ({"train_transforms": [{"ToDtype": {"dtype": "complex64"}}]}, "give torch.complex64, not"),
        ({"eval_transforms": [{"RandomInvert": {"p": 0.1}}]}, "eval_transforms: are random"),
        ({"train_transforms": [{"ToDtype": {"dtype": "float32"}}]}, "ToDtype needs scale: true"),
        ({"train_transforms": [{"RandomApply": {"transforms": [5]}}]}, "one transform, .* not 5"),
        (
            {"train_transforms": [5]},
            r"transforms.0: .*string \(got 5\) or .*keys with values",
        ),
        (
            {"train_transforms": [{"Pad": 5}]},
            r"transforms.0.Pad: .*keys with values \(got 5\)$",
        ),
        ({**CROPS, **AUGMENTED}, "image_size and crop have no effect beside"),
        ({"mean_std": "weights"}, "mean_std weights needs weights"),
    ],
)
def test_images_that_cannot_be_are_refused(smoke_config, changes, told):
    smoke_config["recipes"]["digits_8d"] |= changes
    with pytest.raises(ConfigError, match=told):
        resolve_config(smoke_config, "test")


def test_a_run_on_crops_repeats_and_its_crops_depend_on_no_loss(smoke_config, tmp_path):
    from dmlbench.data.dataset import get_dataset

    dataset = get_dataset("digits_even_odd")
    prepare(dataset, {}, tmp_path)
    smoke_config["recipes"]["digits_8d"] |= {"crop": "random_resized", "image_size": 8, "epochs": 2}
    plan = resolve_config(smoke_config, "test")
    spec = copy.deepcopy(plan.spec(next(iter(plan.runs.values()))))
    other = copy.deepcopy(spec)
    other["loss"] = {"name": "contrastive", "type": "contrastive"}
    seen, weights = [], []
    for run in (spec, spec, other):
        trainer = Trainer(run, dataset, ImageStore(tmp_path))
        inputs = []
        trainer.model.register_forward_pre_hook(
            lambda model, given, kept=inputs: kept.append(given[0]) if model.training else None
        )
        weights.append(trainer.train().selections.weights["last"])
        seen.append(torch.cat(inputs))
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    assert not all(torch.equal(weights[0][k], weights[2][k]) for k in weights[0])
    half = len(seen[0]) // 2
    assert not torch.equal(seen[0][:half], seen[0][half:])  # another epoch, other crops


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("channels", [1, 3])
def test_crops_are_those_of_torchvision_to_the_bit(channels, interpolation):
    options = {"size": 32, "interpolation": interpolation}
    ours = build_transforms([{"RandomResizedCrop": options}])
    theirs = v2.RandomResizedCrop(32, interpolation=InterpolationMode(interpolation))
    for number in range(20):
        image = photo(20 + 9 * number, 200 - 7 * number, channels, number)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        for typed in (pixels, pixels.float()):
            made = []
            for transform in (ours, theirs):
                torch.manual_seed(number)
                made.append(transform(typed))
            assert torch.equal(*made)


def test_workers_can_be_started_without_a_fork(store):
    views = ImageReader(store, recipe(**CROPS), 0)._views
    there = pickle.loads(pickle.dumps(views))
    assert torch.equal(there[3, 5, True], views[3, 5, True])


@pytest.mark.parametrize(
    "transforms",
    [[{"RandomCrop": {"size": 600}}], [{"RandomInvert": {"p": 1.0}}], [{"Grayscale": {}}]],
)
def test_what_can_be_done_to_some_images_is_not_refused(transforms):
    random = "RandomCrop" in transforms[0]
    try_transforms(transforms, may_be_random=random)
