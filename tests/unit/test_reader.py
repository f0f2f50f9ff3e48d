"""What the network sees: torchvision's transforms, repeated to the bit, whatever the threads."""

import copy
import math

import numpy as np
import pytest
import torch
from PIL import Image
from test_prepare import dataset_of, encoded
from torchvision.transforms import v2

from dmlbench.config import resolve_config
from dmlbench.config.recipe import Recipe
from dmlbench.data.prepare import prepare
from dmlbench.data.reader import IMAGENET_MEAN, IMAGENET_STD, ImageReader
from dmlbench.data.store import ImageStore
from dmlbench.data.transforms import RATIO, centre_view, cropped, random_boxes, resize
from dmlbench.errors import ConfigError, DataError
from dmlbench.training.loop import Trainer

SIZES = [(500, 375), (375, 500), (300, 300), (90, 31), (256, 256), (2000, 60)]


def recipe(**changes):
    given = {"backbone": "small_cnn", "embedding_dim": 8, "batch_size": 4, "epochs": 1}
    return Recipe(**given, **changes).model_dump(mode="json")


def photo(width, height, channels=3, seed=0):
    """Smooth noise, as photographs have it: height x width x channels."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.asarray(image) + rng.normal(0, 6, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)[:, :, :channels]


def pil(image):
    return Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)


def greys(image):
    """A PIL image as int C x H x W."""
    array = np.asarray(image).astype(int)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


@pytest.fixture
def store(tmp_path):
    images = {str(n): photo(100 + n, 80, seed=n) for n in range(12)}
    prepare(dataset_of(images), {}, tmp_path)
    return ImageStore(tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("size", [224, 99, 28])
def test_the_centre_view_is_torchvisions_within_one_grey_level(width, height, channels, size):
    image = photo(width, height, channels)
    short = round(size * 256 / 224)
    theirs = v2.Compose([v2.Resize(short), v2.CenterCrop(size)])(pil(image))
    view = centre_view(image, size)
    assert view.shape == (channels, size, size)
    assert abs(view - greys(theirs)).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("box", [(0, 0, 375, 500), (37, 60, 300, 301), (5, 5, 224, 224)])
def test_a_crop_is_torchvisions_and_a_box_of_everything_is_a_resize(box, channels):
    image = photo(500, 375, channels)
    ours = cropped(image, np.array(box), 224, False)
    theirs = v2.functional.resized_crop(pil(image), *box, [224, 224])
    assert abs(ours - greys(theirs)).max() <= 1
    assert (cropped(image, np.array(box), 224, True) == ours[:, :, ::-1]).all()
    if box[2:] == image.shape[:2]:
        assert (ours == resize(image, 224, 224)).all()


@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.5, 0.6)])
def test_boxes_are_drawn_as_torchvision_draws_them(scale):
    shapes = np.array([[375, 500]] * 4000)
    boxes = random_boxes(shapes, scale, np.random.default_rng(0))
    top, left, height, width = boxes.T
    assert ((top >= 0) & (left >= 0) & (top + height <= 375) & (left + width <= 500)).all()
    share, ratio = height * width / (375 * 500), width / height
    assert share.min() > scale[0] - 0.01
    assert share.max() < scale[1] + 0.01
    assert ratio.min() > RATIO[0] - 0.02
    assert ratio.max() < RATIO[1] + 0.02
    torch.manual_seed(0)
    image = torch.zeros(1, 375, 500)
    draw = v2.RandomResizedCrop(224, scale=scale).make_params
    drawn = [draw([image]) for _ in range(4000)]
    theirs = np.array([[p["top"], p["left"], p["height"], p["width"]] for p in drawn])
    deciles = np.linspace(0.1, 0.9, 9)
    for ours_of, theirs_of in zip(boxes.T, theirs.T, strict=True):
        difference = np.quantile(ours_of, deciles) - np.quantile(theirs_of, deciles)
        assert abs(difference).max() < 0.03 * 500
    # Every place of a box is as likely: the middle on average.
    assert np.mean(left / np.maximum(500 - width, 1)) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("width", "height"), [(2000, 60), (60, 2000)])
def test_where_no_box_fits_it_is_the_centre(width, height):
    box = random_boxes(np.array([[height, width]]), (1.0, 1.0), np.random.default_rng(0))[0]
    assert box.tolist() == (
        [0, 960, 60, 80] if width > height else [960, 0, 80, 60]
    )  # 60 x 4/3, in the middle
    assert math.isclose(max(box[2:]) / min(box[2:]), 4 / 3)


def test_boxes_of_an_image_do_not_depend_on_the_others():
    shapes = np.array([[375, 500], [60, 2000], [300, 300]])
    boxes = random_boxes(shapes, (0.9, 1.0), np.random.default_rng(0))
    other = random_boxes(shapes[[0, 2, 2]], (0.9, 1.0), np.random.default_rng(0))
    assert (boxes[[0, 2]] == other[[0, 2]]).all()


CROPS = {"image_size": 32, "crop": "random_resized"}


@pytest.mark.parametrize("changes", [{}, {"crop_scale": [0.5, 0.5]}, {"mean_std": "imagenet"}])
def test_the_same_seed_gives_the_same_batches_whatever_the_threads(store, changes):
    batches = [np.arange(5), np.arange(4, 12), np.array([3])]
    made = []
    for threads, seed in ((1, 0), (2, 0), (4, 0), (2, 1)):
        reader = ImageReader(store, recipe(**CROPS, **changes), threads)
        torch.manual_seed(threads)  # global streams change nothing
        np.random.seed(threads)  # noqa: NPY002
        made.append(list(reader.batches(batches, np.random.default_rng(seed))))
    assert [len(images) for images in made[0]] == [5, 8, 1]
    assert all(torch.equal(a, b) for n in (1, 2) for a, b in zip(made[0], made[n], strict=True))
    assert not torch.equal(made[0][0], made[3][0])


def test_half_of_the_crops_are_flipped(tmp_path):
    ramp = np.broadcast_to(np.arange(0, 250, 5, dtype=np.uint8)[None, :, None], (50, 50, 1))
    prepare(dataset_of({"ramp": ramp}), {}, tmp_path)
    reader = ImageReader(ImageStore(tmp_path), recipe(**CROPS), 2)
    rows = [np.zeros(200, dtype=int)] * 5
    images = torch.cat(list(reader.batches(rows, np.random.default_rng(0))))
    flipped = images[:, 0, 0, 0] > images[:, 0, 0, -1]
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=0.05)  # 3 deviations
    (images,) = reader.batches([rows[0]])
    assert (images[:, 0, 0, 0] < images[:, 0, 0, -1]).all()  # evaluation never flips


def test_evaluation_is_the_centre_and_normalised_as_torchvision_does(store):
    reader = ImageReader(store, recipe(**CROPS, mean_std="imagenet"), 2)
    assert (reader.channels, reader.size) == (3, 32)
    (images,) = reader.batches([np.array([7, 2])])
    normalise = v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)
    for row, image in zip((7, 2), images, strict=True):
        view = torch.from_numpy(centre_view(store.image(row), 32).copy())
        torch.testing.assert_close(image, normalise(view.float() / 255))


def test_whole_images_are_scaled_inverted_and_resized(tmp_path):
    images = {"0": photo(6, 4), "1": photo(5, 5)}
    prepare(dataset_of(images), {}, tmp_path)
    store = ImageStore(tmp_path)
    readers = [
        ImageReader(store, recipe(image_size=5, invert=invert), 2) for invert in (False, True)
    ]
    plain, inverted = (next(reader.batches([np.array([1])])) for reader in readers)
    assert torch.equal(plain[0], torch.from_numpy(images["1"]).permute(2, 0, 1) / 255)
    assert torch.allclose(inverted, 1 - plain, atol=1e-6)
    with pytest.raises(DataError, match="image_size"):
        ImageReader(store, recipe(), 1)


def test_gray_images_take_the_average_of_imagenets_mean(tmp_path):
    prepare(dataset_of({"0": encoded("L", (9, 9))}, mode="L"), {}, tmp_path)
    plain, normal = (
        next(ImageReader(ImageStore(tmp_path), recipe(mean_std=how), 1).batches([np.array([0])]))
        for how in ("none", "imagenet")
    )
    want = (plain - np.mean(IMAGENET_MEAN)) / np.mean(IMAGENET_STD)
    torch.testing.assert_close(normal, want.float())


def test_inputs_have_the_strides_of_the_pixels(tmp_path):
    # By them PyTorch chooses its kernels: others would change the results of MNIST.
    prepare(dataset_of({str(n): photo(28, 28, 1, n) for n in range(9)}, mode="L"), {}, tmp_path)
    reader = ImageReader(ImageStore(tmp_path), recipe(), 1)
    (images,) = reader.batches([np.arange(9)])
    whole = reader._images.finished(reader._images.job(np.arange(9), None)())
    assert torch.equal(images, whole.float().div_(255))
    assert images.stride() == whole.float().stride()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"crop": "random_resized"}, "needs an image_size"),
        ({"crop_scale": [0.2, 1.0]}, "crop_scale has no effect with crop none"),
        ({**CROPS, "crop_scale": [0.5, 0.2]}, "smallest, then largest"),
        ({**CROPS, "crop_scale": [0, 1]}, "crop_scale"),
        ({**CROPS, "crop_scale": [0.1]}, "crop_scale"),
    ],
)
def test_crops_that_cannot_be_are_refused(smoke_config, changes, told):
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
