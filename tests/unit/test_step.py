"""A step never waits for a GPU: it asks for no number and no length that a GPU has to work out."""

import pytest
import torch
from timm.utils import ModelEmaV3
from torch.utils._python_dispatch import TorchDispatchMode

from dmlbench.losses.building import build_loss
from dmlbench.samplers.sampler import build_sampler
from dmlbench.training.network import Network
from dmlbench.training.step import EpochRecord, Step

#: To read a number, to count what a mask keeps, and to send a number over. An index that is a mask
#: counts too.
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "bincount", "lift_fresh"}


class Waits(TorchDispatchMode):
    """Collects the names of operations that a GPU would be waited for."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        self.seen |= {name} & WAITING
        if name in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        ):
            self.seen.add("index by a mask")
        return function(*args, **(kwargs or {}))


class Quiet(EpochRecord):
    """On a CPU the loss is looked at in every step, on a GPU only now and then."""

    def check(self) -> None:
        pass


def waits_of(loss, positive=None, negative=None, per_class=4, chunk=None, average=False, **more):
    """What one step of a loss waits for; ``loss`` is its type and arguments."""
    torch.manual_seed(0)
    module = build_loss({"name": "mine", **loss}, 4, 8)
    chosen = [{"type": kind} if kind else None for kind in (positive, negative)]
    spec = {"positive": chosen[0], "negative": chosen[1], "miner": None, "per_class": per_class}
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh())
    optimizer = torch.optim.SGD([*model.parameters(), *module.parameters()], lr=0.1)
    if average:
        more["average"] = ModelEmaV3(model, decay=0.9)
    step = Step(Network(model, chunk=chunk), module, build_sampler(spec), optimizer, **more)
    given = torch.randn(16, 5), torch.arange(16) // 4, torch.arange(16), torch.Generator()
    with Waits() as waits:
        step.take(*given, Quiet("mine", 1, []))
    return waits.seen


TRIPLET = [
    ("easy", "semihard"),
    ("all", "all"),
    ("random", "hard"),
    ("hard", "distance"),
    ("softhard", "softhard"),
    ("easy", "hardest_semihard"),
    ("random", "rho_distance"),
]


@pytest.mark.parametrize(("positive", "negative"), TRIPLET)
def test_a_step_of_triplets_waits_for_nothing(positive, negative):
    assert waits_of({"type": "triplet"}, positive, negative) == set()


@pytest.mark.parametrize(
    "loss",
    [
        {"type": "margin"},
        {"type": "contrastive"},
        {"type": "multi_similarity"},
        {"type": "nt_xent"},
        {"type": "hyperbolic"},
    ],
)
@pytest.mark.parametrize("positive", ["easy", "all"])
def test_a_step_of_pairs_waits_for_nothing(loss, positive):
    assert waits_of(loss, positive, "all") == set()


@pytest.mark.parametrize("kind", ["proxy_nca", "pd_loss", "d_loss"])
def test_a_step_of_proxies_or_whole_batches_waits_for_nothing(kind):
    assert waits_of({"type": kind}) == set()


@pytest.mark.parametrize("kind", ["proxy_nca", "pd_loss"])
def test_a_step_of_several_proxies_waits_for_nothing(kind):
    assert waits_of({"type": kind, "proxies_per_class": 3}) == set()


def test_one_drawn_negative_for_each_of_all_positives_waits_as_documented():
    assert waits_of({"type": "triplet"}, "all", "random") == {"nonzero"}


@pytest.mark.parametrize("kind", ["smooth_ap", "roadmap", "recall_at_k"])
def test_a_ranking_loss_waits_for_how_many_positives_there_are_as_documented(kind):
    assert waits_of({"type": kind}) == {"nonzero", "_local_scalar_dense"}


@pytest.mark.parametrize("keys", [{"chunk": 5}, {"average": True}, {"clip": 1.0}], ids=str)
def test_chunks_clipping_and_averages_wait_for_nothing(keys):
    assert waits_of({"type": "margin"}, "easy", "all", **keys) == set()
