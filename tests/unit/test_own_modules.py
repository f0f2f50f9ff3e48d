"""Losses of one's own in a module outside the repository, named by class path."""

import json
import sys
from importlib.metadata import version

import pytest
import torch
from conftest import config_with

from dmlbench.config import resolve_config
from dmlbench.errors import ConfigError
from dmlbench.losses.building import build_loss
from dmlbench.plugins.class_paths import ClassSource, own_file
from dmlbench.plugins.entries import entry
from dmlbench.plugins.registry import Registry
from dmlbench.samplers.batch import Batch
from dmlbench.workflow.provenance import training_code, training_files

OWN_LOSS = '''
import torch
from dmlbench.plugins.types import PositiveFloat
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


def forget():
    """Have modules of one's own read again."""
    for cached in (entry, own_file, training_code, training_files):
        cached.cache_clear()
    for name in ("own_losses", "helper"):
        sys.modules.pop(name, None)


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_losses.py").write_text(OWN_LOSS)
    monkeypatch.chdir(tmp_path)
    # Two versions of a file within a second have one time stamp.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", list(sys.path))  # importing adds the working directory
    yield tmp_path / "own_losses.py"
    forget()


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
    before = training_code(run.dataset, plan.sources(run))
    own_module.write_text(OWN_LOSS.replace("dim=1).mean()", "dim=1).sum()"))
    forget()
    assert training_code(run.dataset, plan.sources(run)) != before

    plain = build_loss({"type": "own_losses.Plain", "scale": 5.0}, 2, 8)
    assert plain.module.size == 8
    assert plain(Batch.of(torch.ones(2, 8), torch.tensor([0, 1]))).value == 5


HEAD = "from dmlbench.losses.base import Loss, register_loss\n"
ONE = '@register_loss("one", takes="batch")\nclass One(Loss):\n'


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("class One(:", r"own_losses.py, line 1: invalid syntax"),
        ("a = '\\0'", "'own_losses' has no class 'One'"),
        ("One = 3", "'own_losses' has no class 'One'"),
        ("import no_such_thing", "own_losses.py, line 1: ModuleNotFoundError: No module named"),
        ("class One: pass\n1 / 0", "own_losses.py, line 2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)", "own_losses.py, line 2: SystemExit: 3"),
        (HEAD + "@register_loss\nclass One(Loss): pass", "line 2: @register_loss needs a name"),
        (HEAD + ONE.replace(', takes="batch"', "") + "    pass", "line 2: .* must say takes=, one"),
        (HEAD + ONE.replace('"one", ', "") + "    pass", "line 2: TypeError: .*'name'"),
        (
            HEAD + ONE + "    def __init__(self, *, a: 'Array', **s):\n        pass",
            "annotations of own_losses.One.__init__ mean nothing .name 'Array' is not defined",
        ),
    ],
)
def test_mistakes_in_a_module_of_ones_own_are_told_by_file_and_line(own_module, source, told):
    own_module.write_text(source)
    forget()
    with pytest.raises(ConfigError, match=told) as caught:
        resolve_config(config_with("own_losses.One"), "test")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (HEAD + ONE + "    def __init__(self):\n        pass", "cannot be built: TypeError"),
        (
            HEAD + ONE + "    def __init__(self, **sizes):\n        1 / 0",
            "cannot be built: own_losses.py, line 5: ZeroDivisionError",
        ),
    ],
)
def test_a_constructor_that_fails_is_told_when_the_config_is_read(own_module, source, told):
    own_module.write_text(source)
    config = config_with("own_losses.One")
    config["experiments"]["even_odd"]["methods"] = [{"loss": "triplet"}]
    with pytest.raises(ConfigError, match=f"own_losses.One {told}") as caught:
        resolve_config(config, "test")
    assert len(str(caught.value).splitlines()) == 1


MODULE = "import torch\nclass One(torch.nn.Module):\n"
FORWARD = "    def forward(self, embeddings, labels):\n        "


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (FORWARD + "return embeddings.sum(), 1", "One gave a tuple, not a scalar"),
        (FORWARD + "return 3.0", "One gave a float, not a scalar"),
        (FORWARD + "return embeddings[0]", r"One gave a Tensor of shape \(8,\), not a scalar"),
        (
            "    def __init__(self):\n        super().__init__()\n"
            "        self.kept = [torch.nn.Parameter(torch.ones(1))]\n"
            + FORWARD
            + "return self.kept[0].sum()",
            "One keeps parameters in a plain list, 'kept'",
        ),
        (
            FORWARD + "self.late = torch.nn.Parameter(torch.ones(1)); return self.late.sum()",
            "One makes parameters while it is used",
        ),
    ],
)
def test_what_a_loss_of_ones_own_must_not_do(own_module, monkeypatch, body, told):
    own_module.write_text(MODULE + body)
    monkeypatch.delitem(sys.modules, "own_losses", raising=False)
    with pytest.raises(ConfigError, match=told):
        build_loss({"type": "own_losses.One"}, 2, 8)(
            Batch.of(torch.ones(2, 8), torch.tensor([0, 1]))
        )


def test_a_loss_that_must_be_given_tuples_needs_a_sampler_that_chooses(own_module):
    own_module.write_text(MODULE + "    def forward(self, embeddings, labels, tuples): pass")
    config = config_with("own_losses.One")
    resolve_config(config, "test")
    config["experiments"]["even_odd"]["methods"] = [{"loss": "triplet"}]
    with pytest.raises(ConfigError, match="needs positives and negatives"):
        resolve_config(config, "test")


def test_a_decorator_by_attribute_registers_and_a_class_of_another_kind_is_refused(own_module):
    own_module.write_text(
        "from dmlbench.losses import base\n"
        '@base.register_loss("one", takes="batch")\nclass One(base.Loss):\n    pass\n'
    )
    forget()
    config = config_with("own_losses.One")
    with pytest.raises(ConfigError, match="takes whole batches and no tuples"):
        resolve_config(config, "test")
    sampler = {"per_class": 16, "positive": "own_losses.One", "negative": "random"}
    with pytest.raises(ConfigError, match=r"own_losses.One is no positive: it registers itself as"):
        resolve_config(config_with(sampler=sampler), "test")


def test_a_loss_inherits_the_options_of_its_base(own_module):
    own_module.write_text(
        "from dmlbench.losses.base import register_loss\n"
        "from dmlbench.losses.triplet import Triplet\n"
        '@register_loss("mine", takes="tuples")\n'
        "class Mine(Triplet):\n    pass\n"
    )
    forget()
    plan = resolve_config(config_with({"type": "own_losses.Mine", "margin": 0.3}), "test")
    assert plan.losses["triplet"] == {"type": "own_losses.Mine", "margin": 0.3, "squared": True}


def test_the_code_of_a_run_covers_what_its_own_module_imports(own_module):
    own_module.write_text("import helper\nfrom dmlbench.losses.triplet import Triplet\n" + OWN_LOSS)
    helper = own_module.with_name("helper.py")
    helper.write_text("x = 1")
    forget()
    assert entry("loss", "own_losses.Spread").source.modules == (
        "dmlbench.losses.base",
        "dmlbench.losses.triplet",
        "dmlbench.plugins.types",
        "helper",
        "own_losses",
    )
    classes = (entry("loss", "own_losses.Spread").source,)
    before = training_code("digits_even_odd", classes)
    helper.write_text("x = 2")
    forget()
    assert training_code("digits_even_odd", classes) != before
    library = entry("loss", "pytorch_metric_learning.losses.CircleLoss").source
    installed = version("pytorch-metric-learning")
    assert library == ClassSource((), f"pytorch-metric-learning {installed}")


def test_a_choice_of_its_own_file_concerns_only_the_runs_that_use_it():
    plain = (entry("loss", "pd_loss").source,)
    used = (*plain, entry("positive", "easy").source)
    assert training_code("digits_even_odd", plain) != training_code("digits_even_odd", used)


KINDS_OF_ARGUMENTS = """
from __future__ import annotations
import enum
from dataclasses import dataclass
import torch
from pytorch_metric_learning.distances import BaseDistance, LpDistance
from dmlbench.losses.base import Loss, LossResult, register_loss

class Way(enum.Enum):
    MEAN = "mean"
    SUM = "sum"

@dataclass
class Window:
    low: float
    high: float = 2.0

NAME = "every"
FACTS = {"takes": "batch", "label": " ".join(["Every", "kind"])}

@register_loss(NAME, **FACTS)
class Every(Loss):
    def __init__(
        self, *, way: Way = Way.MEAN, widths: tuple[int, ...] = (1, 2),
        names: list[str] | None = None, window: Window = Window(0.5),
        distance: BaseDistance = LpDistance(), free=None, count=3, scale: float = 2 * 3.5, **sizes,
    ):
        super().__init__(**sizes)
        self.given = (way, widths, names, window, distance, free, count, scale)

    def result(self, batch, tuples):
        return LossResult(batch.embeddings.sum())
"""


def test_any_kind_of_argument_and_fact_works(own_module):
    own_module.write_text(KINDS_OF_ARGUMENTS)
    distance = "pytorch_metric_learning.distances.LpDistance"
    options = {
        "way": "sum", "widths": [3, 4], "names": ["a"], "window": {"low": 1}, "count": 4,
        "distance": {"type": distance, "p": 1}, "free": {"a": [1, {"b": 2}]},
    }  # fmt: skip
    config = config_with({"type": "own_losses.Every", **options})
    config["experiments"]["even_odd"]["methods"] = [{"loss": "triplet"}]
    plan = resolve_config(config, "test")
    assert json.loads(json.dumps(plan.losses)) == plan.losses
    assert plan.class_facts("loss", "own_losses.Every")["label"] == "Every kind"
    way, widths, names, window, made, free, count, scale = build_loss(
        plan.losses["triplet"], 2, 8
    ).given
    assert (way.value, widths, names, window.low, window.high) == ("sum", (3, 4), ["a"], 1.0, 2.0)
    assert (made.p, free, count, scale) == (1, {"a": [1, {"b": 2}]}, 4, 7.0)
    # Defaults that are data stand in the plan; an object does not.
    config["losses"]["triplet"] = "own_losses.Every"
    plan = resolve_config(config, "test")
    assert plan.losses["triplet"] == {
        "type": "own_losses.Every", "way": "mean", "widths": [1, 2], "names": None,
        "window": {"low": 0.5, "high": 2.0}, "free": None, "count": 3, "scale": 7.0,
    }  # fmt: skip
    assert build_loss(plan.losses["triplet"], 2, 8).given[4].p == 2


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("way", "max", "way: input should be 'mean' or 'sum' .got 'max'."),
        ("widths", [1, "x"], "widths.1: input should be a valid integer"),
        ("names", "a", "names: input should be a valid (array|list)"),
        ("window", {"low": 1, "hight": 2}, "window.hight: unexpected keyword argument"),
        ("scale", "3", "scale: input should be a valid number"),
        ("scale", True, "scale: input should be a valid number"),
        ("count", True, "count: should be a number"),
        ("distance", 3, "distance: should describe an object: {type: package"),
        (
            "distance",
            {"type": "pytorch_metric_learning.reducers.MeanReducer"},
            "distance: should be BaseDistance, which MeanReducer does not derive from",
        ),
    ],
)
def test_a_wrong_argument_of_any_kind_is_told_in_one_line(own_module, key, value, told):
    own_module.write_text(KINDS_OF_ARGUMENTS)
    config = config_with({"type": "own_losses.Every", key: value})
    config["experiments"]["even_odd"]["methods"] = [{"loss": "triplet"}]
    with pytest.raises(ConfigError, match=rf"losses.triplet.{told}") as caught:
        resolve_config(config, "test")
    assert len(str(caught.value).splitlines()) == 1


def test_defaults_that_data_cannot_give_back_are_left_to_the_class(own_module):
    own_module.write_text(
        "import enum\nimport torch\nfrom dmlbench.losses.base import Loss, register_loss\n"
        "class Way(enum.Enum):\n    A = 'a'\n"
        "@register_loss('odd', takes='batch')\nclass Odd(Loss):\n"
        "    def __init__(self, *, way=Way.A, pair=(1, 2), eye=torch.eye(2), most: float = None,\n"
        "                 whole: float = 2, wrong: int = 'x', **sizes):\n"
        "        super().__init__(**sizes)\n"
        "        self.given = way, pair, most, wrong\n"
        "    def result(self, batch, tuples): pass\n"
    )
    config = config_with("own_losses.Odd")
    config["experiments"]["even_odd"]["methods"] = [{"loss": "triplet"}]
    loss = resolve_config(config, "test").losses["triplet"]
    assert loss == {
        "type": "own_losses.Odd", "way": "a", "pair": [1, 2], "most": None, "whole": 2
    }  # fmt: skip
    way, *others = build_loss(loss, 2, 8).given
    assert way.value == "a"
    assert others == [(1, 2), None, "x"]


def test_a_choice_by_path_needs_its_decorator_and_a_name_is_taken_once(own_module):
    own_module.write_text("class One:\n    def __call__(self, batch): pass\n")
    sampler = {"per_class": 16, "positive": "own_losses.One", "negative": "random"}
    with pytest.raises(ConfigError, match=r"no positive: put @register_positive.* above the class"):
        resolve_config(config_with(sampler=sampler), "test")
    registry = Registry("loss", "some.losses", takes=("batch",))
    classes = [type("One", (), {"__module__": f"some.losses.{name}"}) for name in "ab"]
    decorate = registry.register("one", takes="batch")
    assert decorate(classes[0]).takes == "batch"
    with pytest.raises(ConfigError, match=r"'one' is registered twice: in some.losses.a and in"):
        decorate(classes[1])
