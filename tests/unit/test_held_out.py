"""What validation holds out is counted before a K or a number of clusters is accepted."""

import pytest
from test_enough import noise, planned, trained_on

from dmlbench.config import resolve_config
from dmlbench.config.held_out import counts_left
from dmlbench.data.splits import run_index
from dmlbench.errors import ConfigError
from dmlbench.plugins.entries import entry

RECALL = {"splits": ["train"], "metrics": ["recall"]}
NMI_PLUS = {"splits": ["train"], "metrics": ["nmi_plus"]}
#: Classes of so many images; 0 are four copies of one. The first half is for training.
IMAGES_ARE_HELD_OUT = [6, 6, 6, 6, 6, 6]
CLASSES_ARE_HELD_OUT = [2, 3, 4, 5, 6, 7, *[4] * 6]
COPIES = [6, 6, 0, 6, 6, 6]


def of(config, folder, evaluation, validation):
    """A plan; ``planned`` has settings of measuring of its own."""
    config["recipes"]["digits_8d"]["validation"] = validation
    return planned(config, folder, evaluation=evaluation, selections=["last"])


@pytest.mark.parametrize("sizes", [IMAGES_ARE_HELD_OUT, CLASSES_ARE_HELD_OUT, COPIES])
def test_the_largest_k_is_by_one_less_than_the_images_that_are_left(tmp_path, smoke_config, sizes):
    share = 0.1 if sizes != CLASSES_ARE_HELD_OUT else 0.4
    folder = noise(tmp_path / "images", sizes)
    plan = of(smoke_config, folder, RECALL | {"recall_at": [1]}, share)
    spec, _, store = trained_on(plan, tmp_path / "prepared")
    left = run_index(store.index, spec["recipe"], "mine", "class")["split"].eq("train").sum()
    assert left < sum(size or 4 for size in sizes[: len(sizes) // 2])
    assert of(smoke_config, folder, RECALL | {"recall_at": [int(left) - 1]}, share).runs
    with pytest.raises(ConfigError) as error:
        of(smoke_config, folder, RECALL | {"recall_at": [int(left)]}, share)
    assert str(error.value) == (
        f"test: evaluation.recall_at: {left} is not below the {left} images of mine train that "
        "validation leaves"
    )


@pytest.mark.parametrize(("clusters", "right"), [(4, True), (5, False)])
def test_clusters_are_of_the_classes_and_images_that_are_left(
    tmp_path, smoke_config, clusters, right
):
    """Of 3 classes of 6 images, 2 images of each are held out."""
    folder = noise(tmp_path / "images", IMAGES_ARE_HELD_OUT)
    evaluation = NMI_PLUS | {"nmi_plus": clusters}
    if right:
        assert of(smoke_config, folder, evaluation, 0.1).runs
        return
    with pytest.raises(ConfigError, match=r"5 clusters .* more than the 12"):
        of(smoke_config, folder, evaluation, 0.1)


def test_a_k_for_the_rest_of_a_registered_dataset_is_refused(smoke_config):
    """720 images to train on, of which a tenth is held out."""
    smoke_config["evaluation"] |= RECALL | {"recall_at": [640]}
    assert resolve_config(smoke_config, "test").runs
    smoke_config["evaluation"] |= {"recall_at": [700]}
    with pytest.raises(ConfigError, match=r"recall_at: 700 is not below .* that validation leaves"):
        resolve_config(smoke_config, "test")
    smoke_config["recipes"]["digits_8d"]["validation"] = 0
    smoke_config["selections"] = ["last"]
    assert resolve_config(smoke_config, "test").runs


def test_a_k_that_some_sizes_of_classes_allow_is_accepted():
    """2 of 12 kinds are held out: two images at the least, whatever a kind's size is."""
    facts = entry("dataset", "sop_super_class").cls.facts
    left = counts_left("sop_super_class", facts, None, {"validation": 0.2})
    assert left["train"] == 59551 - 2
    assert left["train:super_class"] == 10


def test_a_k_for_a_fold_is_refused(smoke_config):
    """Fold 5 has 1,016 images, of which some are alone in their class."""
    smoke_config["experiments"]["even_odd"]["dataset"] = "lfw_view2"
    smoke_config["recipes"]["digits_8d"] |= {"test_fold": 5, "image_size": 8}
    smoke_config["evaluation"] |= RECALL | {"splits": ["test"], "recall_at": [1015]}
    assert resolve_config(smoke_config, "test").runs
    smoke_config["evaluation"]["recall_at"] = [1016]
    with pytest.raises(ConfigError, match="recall_at: 1016 is not below the 1,016 images"):
        resolve_config(smoke_config, "test")


@pytest.mark.parametrize(("sizes", "right"), [([6, 3, 0], False), ([6, 3, 4], True)])
def test_a_validation_of_one_class_is_refused(tmp_path, smoke_config, sizes, right):
    """Found by drawing configs: its Recall@1 is 1 whatever is learnt. 0: four copies of one."""
    folder = noise(tmp_path / "images", [*sizes, 6, 6, 6])
    if right:
        assert planned(smoke_config, folder, selections=["last", "val"]).runs
        return
    with pytest.raises(ConfigError, match="val: Recall@1 of val class cannot vary: all images are"):
        planned(smoke_config, folder, selections=["last", "val"])
