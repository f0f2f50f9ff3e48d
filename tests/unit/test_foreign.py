"""Losses and miners of pytorch-metric-learning and of the user's own, named by class path."""

import inspect
import sys

import pytest
import torch
import yaml
from conftest import ROOT
from pytorch_metric_learning import losses, miners

from dmlbench.config import resolve_config
from dmlbench.config.catalogue import entry, shared_files
from dmlbench.config.class_path import read_tree, sources
from dmlbench.errors import ConfigError
from dmlbench.losses.build import build_loss
from dmlbench.provenance import training_code
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.sampler import build_sampler
from dmlbench.training.optimizer import build_optimizer

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


def config_with(loss=None, sampler=None):
    config = yaml.safe_load((ROOT / "configs" / "smoke.yaml").read_text())
    if loss:
        config["losses"]["triplet"] = loss
    if sampler:
        config["samplers"]["eps"] = sampler
    return config


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
        (f"{MINERS}.HDCMiner", "is no loss: it is among the library's miners"),
        ("pytorch_metric_learning.reducers.MeanReducer", "among the library's reducers"),
        ("torch.nn.Linear", r"is no loss: its forward takes .input., not embeddings and labels"),
        (
            {"type": f"{LOSSES}.TripletMarginLoss", "distance": {"type": "LpDistance"}},
            "distance: 'LpDistance' is no class path",
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
    assert entry("loss", "torch.nn.CrossEntropyLoss").file.name == "loss.py"


def test_arguments_may_be_classes_too():
    distance = {"type": "pytorch_metric_learning.distances.LpDistance", "p": 1}
    spec = {"type": f"{LOSSES}.TripletMarginLoss", "distance": distance}
    plan = resolve_config(config_with(spec), "test")
    run = next(iter(plan.runs.values()))
    assert plan.losses["triplet"] == spec
    assert plan.classes(run)[:2] == (("loss", spec["type"]), ("object", distance["type"]))
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
    assert loss(batch).value.isnan()
    trimmed = build_loss({"type": "trimmed", "loss": {"type": "triplet"}}, 4, 8)
    assert trimmed(batch, sampler(batch)).value.isnan()


OWN_LOSS = '''
import torch
from dmlbench.config.types import PositiveFloat
from dmlbench.losses.base import Loss, LossResult, register_loss

@register_loss("spread", takes="batch", label="Spread")
class Spread(Loss):
    """Mean distance to the origin."""

    def __init__(self, *, num_classes: int, embedding_dim: int, weight: PositiveFloat = 1.0):
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim)
        self.weight = weight

    def result(self, batch, tuples):
        return LossResult(self.weight * batch.embeddings.square().sum(dim=1).mean())

class Plain(torch.nn.Module):
    def __init__(self, embedding_dim, scale=2.0):
        super().__init__()
        self.scale, self.size = scale, embedding_dim

    def forward(self, embeddings, labels):
        return self.scale * embeddings.mean()
'''


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_losses.py").write_text(OWN_LOSS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # importing adds the working directory
    yield tmp_path / "own_losses.py"
    for cached in (entry, training_code, read_tree):
        cached.cache_clear()
    sys.modules.pop("own_losses", None)


def test_a_loss_of_ones_own_is_named_by_its_path(own_module):
    with pytest.raises(ConfigError, match="weight: input should be greater than 0"):
        resolve_config(config_with({"type": "own_losses.Spread", "weight": -1}), "test")
    config = config_with({"type": "own_losses.Spread", "weight": 3.0})
    with pytest.raises(ConfigError, match="takes whole batches and no tuples"):
        resolve_config(config, "test")
    config["experiments"]["even_odd"]["methods"] = [{"loss": "triplet"}]
    plan = resolve_config(config, "test")
    run = next(iter(plan.runs.values()))
    loss = build_loss(plan.losses[run.loss], 2, 8)
    assert loss(Batch.of(torch.full((2, 8), 0.5), torch.tensor([0, 1]))).value == 6
    before = training_code(run.dataset, plan.classes(run))
    own_module.write_text(OWN_LOSS.replace("mean()", "sum()"))
    training_code.cache_clear()
    assert training_code(run.dataset, plan.classes(run)) != before

    plain = build_loss({"type": "own_losses.Plain", "scale": 5.0}, 2, 8)
    assert plain.module.size == 8
    assert plain(Batch.of(torch.ones(2, 8), torch.tensor([0, 1]))).value == 5


@pytest.mark.parametrize("name", ["InstanceLoss", "PNPLoss", "CircleLoss"])
def test_a_library_loss_without_tuples_is_refused_with_a_sampler_that_chooses(name):
    config = config_with(f"{LOSSES}.{name}")
    if name == "CircleLoss":
        assert resolve_config(config, "test").runs
    else:
        with pytest.raises(ConfigError, match="takes whole batches and no tuples"):
            resolve_config(config, "test")


HEAD = "from dmlbench.losses.base import Loss, register_loss\n"
ONE = '@register_loss("one", takes="batch")\nclass One(Loss):\n'


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("class One(:", r"own_losses.py, line 1: invalid syntax"),
        ("a = '\\0'", "has no class 'One'"),
        (
            HEAD + ONE.replace('"one", ', "") + "    pass",
            "line 3: class One: the decorator",
        ),
        (
            HEAD + ONE.replace('takes="batch"', "") + "    pass",
            "must say takes=, one of tuples",
        ),
        (HEAD + ONE + "    def __init__(self, *, a, **s):\n        pass", "'a' has no annotation"),
        (
            HEAD + ONE + "    def __init__(self, *, a: 'PositiveFloat', **s):\n        pass",
            "unquoted",
        ),
        (HEAD + ONE + "    def __init__(self, *, a: Array, **s):\n        pass", "annotations"),
    ],
)
def test_mistakes_in_a_module_of_ones_own_are_told_by_file_and_line(own_module, source, told):
    own_module.write_text(source)
    read_tree.cache_clear()
    with pytest.raises(ConfigError, match=told) as caught:
        resolve_config(config_with("own_losses.One"), "test")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import no_such_thing\nclass One: pass", "cannot be imported: ModuleNotFoundError"),
        ("class One: pass\n1 / 0", "cannot be imported: ZeroDivisionError"),
        (HEAD + "@register_loss\nclass One(Loss): pass", "is no class; does a decorator"),
        (HEAD + ONE + "    def __init__(self):\n        pass", "cannot be built: TypeError"),
    ],
)
def test_what_fails_when_it_is_used_is_told_in_one_line(own_module, monkeypatch, source, told):
    own_module.write_text(source)
    monkeypatch.delitem(sys.modules, "own_losses", raising=False)
    with pytest.raises(ConfigError, match=f"own_losses.One {told}"):
        build_loss({"type": "own_losses.One"}, 2, 8)


def test_a_loss_inherits_the_options_of_its_base(own_module):
    own_module.write_text(
        "from dmlbench.losses.base import register_loss\n"
        "from dmlbench.losses.triplet import Triplet\n"
        '@register_loss("mine", takes="tuples")\n'
        "class Mine(Triplet):\n    pass\n"
    )
    read_tree.cache_clear()
    plan = resolve_config(config_with({"type": "own_losses.Mine", "margin": 0.3}), "test")
    assert plan.losses["triplet"] == {"type": "own_losses.Mine", "margin": 0.3, "squared": True}


def test_the_code_of_a_run_covers_what_its_own_module_imports(own_module):
    own_module.write_text("import helper\nfrom dmlbench.losses.triplet import Triplet\n" + OWN_LOSS)
    helper = own_module.with_name("helper.py")
    helper.write_text("x = 1")
    read_tree.cache_clear()
    names = {file.name for file in sources("own_losses.Spread")}
    assert names >= {"own_losses.py", "helper.py", "triplet.py"}
    classes = (("loss", "own_losses.Spread"),)
    before = training_code("digits_even_odd", classes)
    helper.write_text("x = 2")
    training_code.cache_clear()
    assert training_code("digits_even_odd", classes) != before
    library = {file.name for file in sources(f"{LOSSES}.CircleLoss")}
    assert library >= {"circle_loss.py", "generic_pair_loss.py", "base_metric_loss_function.py"}


def test_a_choice_of_its_own_file_concerns_only_the_runs_that_use_it():
    plain = (("loss", "pd_loss"),)
    shared = {file.name for file in shared_files("positive")}
    assert shared >= {"sampler.py", "batch.py", "draw.py"}
    assert not shared & {"positives.py", "negatives.py"}
    used = (*plain, ("positive", "easy"))
    assert training_code("digits_even_odd", plain) != training_code("digits_even_odd", used)
