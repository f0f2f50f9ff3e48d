"""Optimisers by name, and the keys of a recipe that say how weights move."""

import copy
import json

import pytest
import timm
import torch
import yaml
from conftest import ROOT, config_with
from small_network import net, spec_of, steps, triplet
from timm.optim import list_optimizers
from training_runs import RUN

from dmlbench.config import resolve_config
from dmlbench.config.load import validate
from dmlbench.errors import ConfigError
from dmlbench.plugins.optimizers import _of_torch, optimizer_problems
from dmlbench.training.optimization import build_optimizer

#: Those that no training here can use.
REFUSED = {"lbfgs", "sparseadam", "muon", "adahessian", "kron", "kronc", "kronw"}


@pytest.mark.parametrize(
    ("keys", "made"),
    [
        ({"name": "adam"}, torch.optim.Adam),
        ({"name": "adamw", "weight_decay": 0.1}, torch.optim.AdamW),
        ({"name": "sgd", "weight_decay": 0.1}, torch.optim.SGD),
        ({"name": "sgd", "momentum": 0.9, "nesterov": True}, torch.optim.SGD),
        ({"name": "adamw", "betas": [0.8, 0.95], "amsgrad": True}, torch.optim.AdamW),
        ({"name": "torch.optim.Adam", "eps": 1e-3}, torch.optim.Adam),
        ({"name": "lamb", "max_grad_norm": 0.5}, timm.optim.Lamb),
        ({"name": "timm.optim.Muon"}, timm.optim.Muon),
    ],
    ids=str,
)
def test_updates_are_those_of_the_library_to_the_bit(keys, made):
    ours, theirs = net(), net()
    optimizer = build_optimizer(spec_of(lr=0.01, **keys), ours, triplet())
    given = {"weight_decay": 0.0, **keys}
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k != "name"}
    own = made(theirs.parameters(), lr=0.01, **given)
    assert type(optimizer) is made
    for a, b in zip(steps(ours, optimizer), steps(theirs, own), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", sorted({*_of_torch(), *list_optimizers()} - REFUSED))
def test_every_optimizer_by_name_goes_on_from_its_state_to_the_bit(name):
    spec = spec_of(name=name, lr=0.01)
    problems = list(optimizer_problems(spec))
    if any("momentum" in problem for problem in problems):
        spec = spec_of(name=name, lr=0.01, momentum=0.9)
        problems = list(optimizer_problems(spec))
    if problems:
        assert name.startswith(("bnb", "fused")), problems  # packages that are not here
        return
    model, loss = net(), triplet()
    optimizer = build_optimizer(spec, model, loss)
    steps(model, optimizer)
    other = net()
    other.load_state_dict(model.state_dict())
    state = copy.deepcopy(optimizer.state_dict())
    again = build_optimizer(spec, other, loss)
    again.load_state_dict(state)
    before = [p.detach().clone() for p in model.parameters()]
    ends = zip(steps(model, optimizer), steps(other, again), before, strict=True)
    for a, b, start in ends:
        assert torch.equal(a, b)
        assert not torch.equal(a, start)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"name": "adma"}, "no optimiser 'adma' in torch.optim or timm; did you mean 'adam"),
        ({"name": "adam", "momentum": 0.9}, "momentum: unknown key .got 0.9"),
        ({"name": "sgd", "momentun": 0.9}, "momentun: unknown key .got 0.9.; did you mean 'moment"),
        ({"name": "adam", "hed_lr": 0.9}, "hed_lr: unknown key .*did you mean 'head_lr'"),
        ({"name": "adam", "betas": 0.9}, "betas"),
        ({"name": "adam", "betas": [0.9, 2.0]}, "adam cannot be built: .*beta"),
        ({"name": "adam", "amsgrad": 3}, "amsgrad"),
        ({"name": "lbfgs"}, "wants the loss several times in a step"),
        ({"name": "sparseadam"}, "wants sparse gradients"),
        ({"name": "muon"}, "moves matrices only; take timm.optim.Muon"),
        ({"name": "adahessian"}, "wants second derivatives"),
        ({"name": "kron"}, "does not go on from a checkpoint to the same bits"),
        ({"name": "nesterov"}, "Nesterov momentum requires a momentum"),
        ({"name": "rprop", "weight_decay": 0.1}, "weight_decay: rprop has none"),
        ({"name": "timm.optim.Lookahead"}, "takes no params and lr"),
        ({"name": "torch.nn.Linear"}, "does not derive from torch.optim.Optimizer"),
        ({"name": "torch.optim.Adm"}, "no class 'Adm'"),
        ({"name": "adam", "layer_decay": 0.5}, "layer_decay: small_cnn is not grouped in layers"),
    ],
    ids=str,
)
def test_a_wrong_optimizer_is_one_line_when_the_config_is_read(keys, told):
    config = config_with()
    config["recipes"]["digits_8d"]["optimizer"] = {"lr": 0.01, **keys}
    with pytest.raises(ConfigError, match=told) as caught:
        resolve_config(config, "test")
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith("test: recipes.digits_8d.optimizer.")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"schedule": {"name": "step", "every": 9}}, "rates change after epoch 9, but there are 2"),
        ({"schedule": {"name": "multistep", "at": [1, 2]}}, "rates change after epoch 2, but"),
        ({"schedule": {"name": "cosine", "warmup_epochs": 2}}, "warm-up takes 2 of 2 epochs"),
        ({"schedule": {"warmup_epochs": 3}}, "warm-up takes 3 of 2 epochs"),
        ({"schedule": {"name": "cosine", "every": 1}}, "every is of step, not of cosine"),
        ({"schedule": {"name": "step"}}, "step needs every: EPOCHS"),
        ({"schedule": {"by": "step"}}, "by has no effect on constant rates"),
        ({"schedule": {"warmup_start": 0.5}}, "warmup_start needs warmup_epochs"),
        ({"schedule": {"name": "cosine", "min_lr": 1.0}}, "min_lr must be below the learning rate"),
        ({"warmup_head_epochs": 2}, "warmup_head_epochs must be below epochs .2."),
        ({"clip_grad_norm": True}, "clip_grad_norm: .*valid number"),
        ({"clip_grad_norm": 0}, "clip_grad_norm: .*greater than 0"),
        ({"ema": 1.0}, "ema: .*less than 1"),
        ({"freeze": "batchnorm"}, "freeze should be one of .*did you mean 'batch_norm'"),
        ({"freeze": "backbone", "warmup_head_epochs": 1}, "no effect with freeze: backbone"),
        ({"freeze": "backbone", "head": {"type": "none"}}, "head.type none has no head for"),
        ({"chunk": 32}, "chunk must be below batch_size .32."),
    ],
    ids=str,
)
def test_keys_that_contradict_each_other_are_one_line(keys, told):
    config = config_with()
    config["recipes"]["digits_8d"] |= {"epochs": 2, "batch_size": 32, **keys}
    with pytest.raises(ConfigError, match=told) as caught:
        resolve_config(config, "test")
    assert len(str(caught.value).splitlines()) == 1


def test_a_stored_config_is_a_config_again():
    config = config_with()
    schedule = {"name": "cosine", "by": "step", "warmup_epochs": 1}
    config["recipes"]["digits_8d"] |= {
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
        "schedule": schedule,
        "epochs": 3,
    }
    for data in (config_with(), config):
        once = validate(data, "test")
        assert validate(json.loads(once.as_json()), "stored") == once
    plan = resolve_config(config, "test")
    assert plan.recipes["digits_8d"]["optimizer"] == {
        "name": "sgd",
        "lr": 0.1,
        "weight_decay": 0.0,
        "head_lr": None,
        "layer_decay": None,
        "momentum": 0.9,
    }


def test_the_example_of_the_docs_is_a_recipe():
    example = (ROOT / "docs/training.md").read_text().split("```yaml\n")[1].split("```")[0]
    config = config_with()
    config["recipes"] |= yaml.safe_load(example)["recipes"]
    recipe = resolve_config(config, "docs").benchmark.recipes["vit_128"]
    assert recipe.optimizer.model_extra == {"betas": [0.9, 0.98]}
    assert recipe.schedule.changes


def test_the_code_of_ones_own_optimizer_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = "import torch\n\n\nclass Own(torch.optim.SGD):\n    pass\n"
    (tmp_path / "my_optimizer_of_test.py").write_text(source)
    config = config_with()
    config["recipes"]["digits_8d"]["optimizer"] = {"name": "my_optimizer_of_test.Own", "lr": 0.1}
    plan = resolve_config(config, "test")
    modules = {m for source in plan.sources(plan.run_by_id(RUN)) for m in source.modules}
    assert "my_optimizer_of_test" in modules
