"""Losses and miners of pytorch-metric-learning, named by class path."""

import inspect

import pytest
import torch
from conftest import config_with
from pytorch_metric_learning import losses, miners

from dmlbench.config import resolve_config
from dmlbench.errors import ConfigError
from dmlbench.losses.building import build_loss
from dmlbench.plugins.class_paths import import_class
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.sampler import MinerSampler, build_sampler
from dmlbench.training.optimization import build_optimizer

LOSSES = "pytorch_metric_learning.losses"
MINERS = "pytorch_metric_learning.miners"
#: What has no default in the library, or is another class.
ARGUMENTS = {
    "CrossBatchMemory": {"loss": {"type": f"{LOSSES}.ContrastiveLoss"}, "memory_size": 64},
    "MultipleLosses": {
        "losses": [{"type": f"{LOSSES}.CircleLoss", "m": 0.3}, {"type": f"{LOSSES}.SupConLoss"}]
    },
    "P2SGradLoss": {"descriptors_dim": 8},
    "RankedListLoss": {"margin": 0.4, "Tn": 10},
    "EmbeddingRegularizerMixin": None,
    "WeightRegularizerMixin": None,
    "BaseMetricLossFunction": None,
    "BaseLossWrapper": None,
    "GenericPairLoss": None,  # bases of the others
    "DynamicSoftMarginLoss": None,
    "ManifoldLoss": None,
    "SmoothAPLoss": None,
    "SelfSupervisedLoss": None,
    "VICRegLoss": None,  # refused: see below
}
NAMES = [
    name
    for name, value in vars(losses).items()
    if inspect.isclass(value) and ARGUMENTS.get(name, {}) is not None
]


def batch_of(seed=0, size=16, classes=4, dim=8):
    generator = torch.Generator().manual_seed(seed)
    points = torch.nn.functional.normalize(torch.randn(size, dim, generator=generator), dim=1)
    return Batch.of(points, torch.arange(size) % classes, torch.arange(size), generator)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:::pytorch_metric_learning")
def test_every_loss_of_the_library_is_accepted_and_trains_with_all_its_parameters(name):
    spec = {"type": f"{LOSSES}.{name}", **ARGUMENTS.get(name, {})}
    config = config_with(spec)
    config["experiments"]["even_odd"]["methods"] = [{"loss": "triplet"}]
    resolve_config(config, "test")
    torch.manual_seed(0)
    loss = build_loss(spec | {"loss_lr": 0.1}, num_classes=4, embedding_dim=8)
    network = torch.nn.Linear(8, 8)
    optimizer = {"name": "sgd", "lr": 0.1, "weight_decay": 0.0, "momentum": 0.0}
    step = build_optimizer(optimizer, network, loss)
    before = [p.detach().clone() for p in (*loss.parameters(), *network.parameters())]
    for number in range(3):  # a library's loss may keep what it should not
        batch = batch_of(number)
        step.zero_grad()
        loss(Batch.of(network(batch.embeddings), batch.labels)).value.backward()
        step.step()
    after = [*loss.parameters(), *network.parameters()]
    assert all((a != b).any() for a, b in zip(after[:-1], before[:-1], strict=True))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (f"{LOSSES}.TripletMarginLos", "no class 'TripletMarginLos'; did you mean 'TripletMargin"),
        ("pytorch_metric_learning.loses.X", "'pytorch_metric_learning' has no module"),
        ("no_such_package.Loss", "no package 'no_such_package'; install it, put it on PYTHONPATH"),
        (
            {"type": f"{LOSSES}.CircleLoss", "gama": 80},
            "unknown key .got 80.; did you mean 'gamma'",
        ),
        (
            {"type": f"{LOSSES}.CircleLoss", "gamma": "x"},
            "gamma: should be a number .got 'x'",
        ),
        ({"type": f"{LOSSES}.RankedListLoss", "margin": 1}, "Tn: this key is missing"),
        ({"type": f"{LOSSES}.CrossBatchMemory", "loss": {"type": f"{LOSSES}.No"}}, "no class 'No'"),
        (f"{LOSSES}.SmoothAPLoss", "refused: in pytorch-metric-learning 2.9.0 it cuts the batch"),
        (f"{LOSSES}.VICRegLoss", "refused: it compares two views"),
        (f"{LOSSES}.BaseMetricLossFunction", "is a base class: .* has to write compute_loss"),
        (f"{LOSSES}.GenericPairLoss", "is a base class: .* has to write _compute_loss"),
        (f"{LOSSES}.EmbeddingRegularizerMixin", "is no loss: it has no forward"),
        ("dmlbench.losses.base.Loss", "is a base class: .* has to write result"),
        ("sklearn.neighbors.KNeighborsClassifier", "is no loss: it has no forward"),
        ("torch.nn.Module", "no class of Python or PyTorch"),
        ("torch.nn.TripletMarginLoss", "no class of Python or PyTorch"),
        ("collections.OrderedDict", "no class of Python or PyTorch"),
        (f"{MINERS}.HDCMiner", "is no loss: it is among the library's miners"),
        ("pytorch_metric_learning.reducers.MeanReducer", "among the library's reducers"),
        (
            "dmlbench.models.embedder.Embedder",
            r"forward takes .images., not embeddings",
        ),
        (
            {"type": f"{LOSSES}.TripletMarginLoss", "distance": {"type": "LpDistance"}},
            "distance: 'LpDistance' is no class path",
        ),
        (
            {"type": f"{LOSSES}.TripletMarginLoss", "distance": 3},
            "distance: should describe an object: {type: package.module.Class} .got 3",
        ),
        (
            {"type": f"{LOSSES}.ContrastiveLoss", "reducer": {"type": f"{LOSSES}.CircleLoss"}},
            "reducer: should be BaseReducer, which CircleLoss does not derive from",
        ),
    ],
)
def test_mistakes_are_told_when_the_config_is_read(spec, message):
    with pytest.raises(ConfigError, match=message) as caught:
        resolve_config(config_with(spec), "test")
    assert str(caught.value).startswith("test: losses.triplet")
    assert len(str(caught.value).splitlines()) == 1


def test_a_loss_is_no_miner():
    with pytest.raises(ConfigError, match=r"eps.miner: .*CircleLoss is no miner: it is among"):
        resolve_config(config_with(sampler={"miner": f"{LOSSES}.CircleLoss"}), "test")


def test_re_exports_of_everything_are_followed():
    assert import_class("torch.nn.CrossEntropyLoss").__module__ == "torch.nn.modules.loss"


def test_a_class_inside_a_class_is_found(tmp_path, monkeypatch):
    (tmp_path / "outer_module.py").write_text("class Outer:\n    class Inner:\n        pass\n")
    monkeypatch.chdir(tmp_path)
    assert import_class("outer_module.Outer.Inner").__qualname__ == "Outer.Inner"
    with pytest.raises(ConfigError, match=r"'outer_module.Outer' has no class 'Iner'; did you me"):
        import_class("outer_module.Outer.Iner")
    with pytest.raises(ConfigError, match=r"'outer_module' has no class 'Otter'"):
        import_class("outer_module.Otter.Inner")


def test_arguments_may_be_classes_too():
    distance = {"type": "pytorch_metric_learning.distances.LpDistance", "p": 1}
    spec = {"type": f"{LOSSES}.TripletMarginLoss", "distance": distance}
    plan = resolve_config(config_with(spec), "test")
    run = next(iter(plan.runs.values()))
    assert plan.losses["triplet"] == spec
    assert set(plan.classes["object"]) == {distance["type"]}
    assert len(plan.sources(run)) == 3  # of the library, one positive and one negative
    assert build_loss(plan.losses["triplet"], 2, 4).module.distance.p == 1


def test_smooth_ap_is_as_wrong_as_the_refusal_says():
    points = torch.eye(8).repeat_interleave(4, dim=0)
    labels = torch.arange(8).repeat_interleave(4)
    assert losses.SmoothAPLoss()(points, labels).item() == pytest.approx(0.32, abs=0.01)


@pytest.mark.parametrize(
    "options",
    [
        {"type": f"{MINERS}.MultiSimilarityMiner", "epsilon": 0.2},
        {"type": f"{MINERS}.BatchHardMiner"},
        {"type": f"{MINERS}.DistanceWeightedMiner"},
        {"type": f"{MINERS}.TripletMarginMiner", "margin": 0.1, "type_of_triplets": "semihard"},
    ],
    ids=lambda options: options["type"].split(".")[-1],
)
def test_miners_take_the_place_of_both_choices(options):
    plan = resolve_config(config_with(sampler={"per_class": 16, "miner": options}), "test")
    sampler = build_sampler(plan.samplers["eps"])
    batches = [batch_of(), batch_of()]
    first, second = (sampler(batch).indices() for batch in batches)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    for loss in ("triplet", "margin", "multi_similarity"):
        value = build_loss({"type": loss}, 4, 8)(batches[0], sampler(batches[0])).value
        assert value.isfinite()
        assert value > 0


@pytest.mark.parametrize(
    ("mined", "told"),
    [
        (None, "NoneType, not the three tensors"),
        (([0], [1], [2]), "something else than vectors of whole numbers"),
        ((torch.zeros(1),) * 3, "something else than vectors of whole numbers"),
        (
            (torch.tensor([0]), torch.tensor([1, 2]), *(torch.tensor([2]),) * 2),
            r"vectors of \[1, 2",
        ),
        (
            (torch.tensor([0]), torch.tensor([1]), torch.tensor([16])),
            "positions outside the batch of 16",
        ),
    ],
)
def test_what_a_miner_must_not_give(mined, told):
    with pytest.raises(ConfigError, match=rf"^the miner function gave {told}"):
        MinerSampler(lambda embeddings, labels: mined)(batch_of())


def test_a_miner_leaves_the_global_stream_alone():
    sampler = build_sampler({"miner": {"type": f"{MINERS}.DistanceWeightedMiner"}})
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    sampler(batch_of())
    assert torch.equal(torch.rand(3), expected)


def test_a_library_loss_takes_the_tuples_of_our_sampler():
    batch = batch_of()
    spec = {"positive": {"type": "easy"}, "negative": {"type": "hard"}, "miner": None}
    tuples = build_sampler(spec)(batch)
    loss = build_loss({"type": f"{LOSSES}.TripletMarginLoss"}, 4, 8)
    result = loss(batch, tuples)
    theirs = losses.TripletMarginLoss()(
        batch.embeddings,
        batch.labels,
        miners.BatchEasyHardMiner("easy", "hard")(batch.embeddings, batch.labels),
    )
    assert result.value.item() == pytest.approx(theirs.item(), rel=1e-6)


def test_not_finite_embeddings_reach_neither_loss_nor_miner():
    batch = batch_of()
    batch.embeddings[2] = torch.nan
    sampler = build_sampler({"miner": {"type": f"{MINERS}.DistanceWeightedMiner"}})
    assert len(sampler(batch).indices()[0]) == 0
    loss = build_loss({"type": f"{LOSSES}.CircleLoss"}, 4, 8)
    batch.embeddings.requires_grad_()
    value = loss(batch).value
    assert value.isnan()
    value.backward()  # the trainer steps before it looks
    trimmed = build_loss({"type": "trimmed", "loss": {"type": "triplet"}}, 4, 8)
    assert trimmed(batch, sampler(batch)).value.isnan()


@pytest.mark.parametrize("name", ["InstanceLoss", "PNPLoss", "CircleLoss"])
def test_a_library_loss_without_tuples_is_refused_with_a_sampler_that_chooses(name):
    config = config_with(f"{LOSSES}.{name}")
    if name == "CircleLoss":
        assert resolve_config(config, "test").runs
    else:
        with pytest.raises(ConfigError, match="takes whole batches and no tuples"):
            resolve_config(config, "test")
