"""A batch through the network and back: chunks, precision, compilation."""

import copy

import pytest
import timm
import torch
from torch import nn

from dmlbench.errors import ConfigError
from dmlbench.losses.building import build_loss
from dmlbench.samplers.sampler import build_sampler
from dmlbench.training.freezing import Freezing
from dmlbench.training.network import Network, check_chunks, compile_network, tensor_cores
from dmlbench.training.step import EpochRecord, Step

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self, name="test_resnet", **options):
        super().__init__()
        self.backbone = timm.create_model(name, num_classes=0, **options)
        self.head = nn.Linear(self.backbone.num_features, 4)

    def forward(self, images):
        return nn.functional.normalize(self.head(self.backbone(images)), dim=1)


def net(name="test_resnet", **options):
    torch.manual_seed(0)
    model = Net(name, **options)
    with torch.no_grad():  # what timm begins with at zero gives no gradient to what is before it
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return model


def gradients(model, loss, images=IMAGES, **keys):
    """The gradients of one step, and its record."""
    loss = build_loss({"type": loss}, 4, 4).to(images.dtype)
    everything = dict([*model.named_parameters(), *loss.named_parameters()])
    optimizer = torch.optim.SGD(everything.values(), lr=1.0)
    chosen = {"type": "all"}
    spec = {"positive": chosen, "negative": chosen, "miner": None, "per_class": 4}
    step = Step(Network(model, **keys), loss, build_sampler(spec), optimizer)
    record = EpochRecord("mine", 1, [])
    step.take(images, torch.arange(16) // 4, torch.arange(16), torch.Generator(), record)
    return {name: p.grad.clone() for name, p in everything.items() if p.grad is not None}, record


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("loss", ["triplet", "margin", "smooth_ap", "roadmap", "recall_at_k"])
@pytest.mark.parametrize(
    ("name", "frozen"), [("test_resnet", "batch_norm"), ("test_convnext", "none")]
)
def test_gradients_in_chunks_equal_those_of_the_whole_batch(name, frozen, loss, size):
    found = []
    for chunk in (None, size):
        model = net(name).double()  # float32 rounds otherwise in a batch of another size
        Freezing(model, frozen).train(1)
        found.append(gradients(model, loss, IMAGES.double(), chunk=chunk))
    (whole, record), (parts, other) = found
    assert whole.keys() == parts.keys()
    assert record.read == pytest.approx(other.read, rel=1e-5)
    for key, expected in whole.items():
        if key != "head.bias":  # distances do not depend on it
            assert expected.abs().max() > 0
        torch.testing.assert_close(parts[key], expected, rtol=1e-5, atol=1e-12)


def test_each_chunk_goes_through_the_network_twice_and_never_more_at_once():
    model = net()
    Freezing(model, "batch_norm").train(1)
    seen = []
    model.backbone.register_forward_hook(
        lambda module, given, made: seen.append((len(given[0]), torch.is_grad_enabled()))
    )
    gradients(model, "triplet", chunk=6)
    sizes = [6, 6, 4]
    assert seen == [(n, False) for n in sizes] + [(n, True) for n in sizes]


def tried(model, what="batch_norm"):
    Freezing(model, what).train(1)
    check_chunks(model, IMAGES[:4])


class OfOthers(nn.Module):
    def forward(self, images):
        values = images.flatten(1)[:, :4]
        return values - values.mean(dim=0)


def test_chunks_are_refused_where_they_are_not_exact():
    tried(net())
    tried(net("test_convnext"), "none")
    with pytest.raises(ConfigError, match=r"chunk: batch norm backbone\.\S+ would see one chunk"):
        tried(net(), "none")
    with pytest.raises(ConfigError, match="chunk: the network has dropout"):
        tried(net(drop_path_rate=0.5))
    with pytest.raises(ConfigError, match="chunk: the network has dropout"):
        tried(net("test_vit", img_size=32, drop_rate=0.1, proj_drop_rate=0.1), "none")
    with pytest.raises(ConfigError, match="embeds each image by the others"):
        check_chunks(OfOthers(), IMAGES[:4])


def test_trying_chunks_draws_nothing_from_the_random_stream():
    model = net(drop_path_rate=0.5)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    with pytest.raises(ConfigError):
        tried(model)
    assert torch.equal(torch.rand(3), expected)


def test_tf32_is_for_the_network_only():
    seen = {}
    matmul = torch.backends.cuda.matmul

    class Sees(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, images):
            made = self.layer(images.mean(dim=(2, 3)))
            seen["forward"] = matmul.allow_tf32, torch.backends.cudnn.allow_tf32
            made.register_hook(lambda _: seen.update(backward=matmul.allow_tf32))
            return made

    model = Sees()
    before = matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    loss = build_loss({"type": "triplet"}, 4, 4)
    loss.register_forward_hook(lambda *_: seen.update(loss=matmul.allow_tf32))
    network = Network(model, tf32=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        embeddings, backward = network.embed(IMAGES)
        embeddings.register_hook(lambda _: seen.update(selection=matmul.allow_tf32))
        embeddings.square().sum().backward()
        backward()
        assert seen == {"forward": (True, True), "selection": False, "backward": True}
        with pytest.raises(ZeroDivisionError), tensor_cores(True):
            raise ZeroDivisionError
        assert not matmul.allow_tf32
    finally:
        matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.slow
def test_a_compiled_network_has_the_same_weights_by_the_same_names():
    found = []
    for compiles in (False, True):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 4)).train()
        names = list(model.state_dict())
        if compiles:
            compile_network(model, IMAGES[:4])
        assert list(model.state_dict()) == names
        found.append((gradients(model, "triplet")[0], copy.deepcopy(model.state_dict())))
    for key, expected in found[0][0].items():
        torch.testing.assert_close(found[1][0][key], expected, rtol=1e-3, atol=1e-5)
    assert found[1][1].keys() == found[0][1].keys()


def test_a_network_that_cannot_be_compiled_is_one_line(monkeypatch):
    model = net()
    monkeypatch.setattr(model, "compile", lambda: None)
    monkeypatch.setattr(model, "forward", lambda images: 1 / 0)
    with pytest.raises(ConfigError, match=r"compile: .*division by zero; leave it out") as caught:
        compile_network(model, IMAGES[:4])
    assert "\n" not in str(caught.value)
