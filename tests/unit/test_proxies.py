"""Several proxies a class, of which an image's easy one counts."""

import copy

import pytest
import torch
import yaml
from test_losses import draw_batch

from dmlbench.config import resolve_config
from dmlbench.losses.building import build_loss
from dmlbench.losses.decidability import Moments
from dmlbench.reporting import names
from dmlbench.reporting.matching import methods_of
from dmlbench.reporting.published import Match
from dmlbench.samplers.batch import Batch, cosine_similarities

KINDS = ["proxy_nca", "pd_loss"]


def made(kind, classes=4, dim=6, **options):
    torch.manual_seed(0)
    return build_loss({"type": kind, **options}, classes, dim)


def value_and_gradients(value, *tensors):
    return [value.detach(), *torch.autograd.grad(value, tensors)]


def proxy_nca_before(loss, points, labels):
    """ProxyNCA as it was when classes had one proxy only."""
    similarities = cosine_similarities(points, loss.proxies)
    own = labels[:, None] == torch.arange(len(loss.proxies))
    logits = -loss.scale * (2 - 2 * similarities)
    inside = loss.positive_in_denominator
    others = logits if inside else logits.masked_fill(own, -torch.inf)
    mine = logits.gather(1, labels[:, None]).squeeze(1)
    return (others.logsumexp(dim=1) - mine).mean()


@pytest.mark.parametrize("spec", [{}, {"positive_in_denominator": True}])
@pytest.mark.parametrize("seed", range(4))
def test_one_proxy_a_class_is_the_proxy_nca_of_before_to_the_bit(seed, spec):
    loss, batch = made("proxy_nca", **spec), draw_batch(seed, 20, 6, 4, torch.float32)
    batch.embeddings.requires_grad_()
    both = [
        value_and_gradients(value, batch.embeddings, loss.proxies)
        for value in (
            loss.result(batch, None).value,
            proxy_nca_before(loss, batch.embeddings, batch.labels),
        )
    ]
    assert all(torch.equal(mine, other) for mine, other in zip(*both, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_one_proxy_a_class_is_the_pd_loss_of_before_to_the_bit(seed):
    loss, batch = made("pd_loss", log=False), draw_batch(seed, 20, 6, 4, torch.float32)
    batch.embeddings.requires_grad_()
    similarities = cosine_similarities(batch.embeddings, loss.proxies)
    own = batch.labels[:, None] == torch.arange(4)
    both = [
        value_and_gradients(value, batch.embeddings, loss.proxies)
        for value in (
            loss.result(batch, None).value,
            -Moments.of(similarities / 1.0, own, ~own).decidability(1e-6),
        )
    ]
    assert all(torch.equal(mine, other) for mine, other in zip(*both, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_one_proxy_a_class_starts_as_before_and_has_no_diagnostics(kind):
    loss = made(kind)
    torch.manual_seed(0)
    assert torch.equal(loss.proxies.data, torch.randn(4, 6) / 6**0.5)
    assert loss(draw_batch(0, 8, 6, 4, torch.float32)).means == {}


@pytest.mark.parametrize("kind", KINDS)
def test_equal_proxies_of_a_class_are_one_but_for_the_number_of_negatives(kind):
    """The easy one of equals is the first; only it has the gradient of the image's own class."""
    one, three = made(kind), made(kind, proxies_per_class=3)
    three.proxies.data = one.proxies.data.repeat_interleave(3, dim=0)
    batch = draw_batch(1, 12, 6, 4, torch.float32)
    torch.testing.assert_close(
        three.similarities(batch).cosines[:, ::3], one.similarities(batch).cosines
    )
    assert torch.equal(three.similarities(batch).easy, 3 * batch.labels)
    if kind == "pd_loss":  # means and variances do not change when all are there three times
        torch.testing.assert_close(three(batch).value, one(batch).value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_proxies_of_an_images_class_are_neither_pulled_nor_pushed(kind):
    loss = made(kind, classes=2, dim=2, proxies_per_class=2)
    loss.proxies.data = torch.tensor([[1.0, 0.1], [-1.0, 0.1], [0.1, 1.0], [0.1, -1.0]])
    points = torch.tensor([[1.0, 0.3], [1.0, -0.4]])
    loss(Batch.of(points, torch.tensor([0, 0]))).value.backward()
    moved = loss.proxies.grad.norm(dim=1) > 0
    assert moved.tolist() == [True, False, True, True]


def test_an_image_goes_to_the_nearest_of_its_proxies_whatever_their_lengths():
    loss = made("proxy_nca", classes=2, dim=2, proxies_per_class=2)
    loss.proxies.data = torch.tensor([[1.0, 0], [0, 90.0], [-1.0, 0], [0, -1.0]])
    points = torch.tensor([[1.0, 0.9], [0.9, 1.0], [0.9, 1.0], [-1.0, -2.0]])
    found = loss.similarities(Batch.of(points, torch.tensor([0, 0, 1, 1])))
    assert found.easy.tolist() == [0, 1, 2, 3]


def test_proxies_used_is_the_share_of_those_that_could_be_easy():
    loss = made("pd_loss", classes=3, dim=2, proxies_per_class=2)
    loss.proxies.data = torch.tensor([[1.0, 0], [0, 1.0]] * 3)
    # Class 0: two images at one proxy (1 of 2). Class 1: one image (1 of 1). Class 2: none.
    points = torch.tensor([[1.0, 0.1], [1.0, 0.2], [0.1, 1.0]])
    result = loss(Batch.of(points, torch.tensor([0, 0, 1])))
    assert result.means["proxies_used"].item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("kind", KINDS)
def test_several_proxies_start_around_their_class_mean_by_the_seed(kind):
    loss = made(kind, proxies_per_class=3, proxies="class_means")
    assert loss.wants_class_means
    means = torch.nn.functional.normalize(torch.randn(4, 6), dim=1)
    starts = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        loss.start(7 * means)
        starts.append(loss.proxies.detach().clone())
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    near = cosine_similarities(starts[0], means)
    assert (near.argmax(dim=1) == torch.arange(4).repeat_interleave(3)).all()
    torch.testing.assert_close(near.amax(dim=1), torch.full((12,), 1.01**-0.5))  # tan 0.1
    apart = cosine_similarities(starts[0], starts[0]).view(4, 3, 4, 3)
    assert all((apart[c, :, c] - torch.eye(3)).max() < 1 - 1e-4 for c in range(4))


def test_proxies_around_a_mean_share_a_cloud_of_images_however_narrow():
    """At a distance from the mean in random directions, the one most like it would take all."""
    generator = torch.Generator().manual_seed(0)
    loss = made("pd_loss", classes=1, dim=16, proxies_per_class=4)
    for width in (1.0, 1e-3):
        points = torch.ones(400, 16) + width * torch.randn(400, 16, generator=generator)
        loss.start(points.mean(dim=0, keepdim=True))
        easy = loss.similarities(Batch.of(points, torch.zeros(400).long())).easy
        assert easy.bincount(minlength=4).min() > 40


def test_proxies_of_a_class_part_where_its_images_do():
    """A class of two far clouds, between which lies another: one proxy cannot have both."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0]])
    cloud = torch.arange(30) % 3
    points = centres[cloud] + 0.1 * torch.randn(30, 3, generator=generator)
    labels = (cloud == 2).long()
    batch, correct = Batch.of(points, labels), {}
    for each in (1, 2):
        loss = made("proxy_nca", classes=2, dim=3, proxies_per_class=each)
        optimizer = torch.optim.Adam(loss.parameters(), 0.05)
        for _ in range(200):
            optimizer.zero_grad()
            result = loss(batch)
            result.value.backward()
            optimizer.step()
        nearest = loss.similarities(batch).cosines.argmax(dim=1) // each
        correct[each] = (nearest == labels).float().mean().item()
        if each == 2:
            assert loss.similarities(batch).easy[cloud < 2].unique().tolist() == [0, 1]
    assert correct[2] == 1.0
    assert correct[1] < 0.9


def test_a_table_tells_several_proxies_from_the_published_one(smoke_config):
    config = copy.deepcopy(smoke_config)
    config["losses"] = {
        "one": {"type": "proxy_nca"},
        "four": {"type": "proxy_nca", "proxies_per_class": 4},
    }
    experiment = config["experiments"]["even_odd"]
    experiment["methods"] = [{"loss": ["one", "four"]}]
    plan = resolve_config(yaml.safe_load(yaml.safe_dump(config)), "c.yaml")
    words = names.methods(plan, "even_odd")
    assert sorted(words.values()) == ["ProxyNCA", "ProxyNCA + EPS of 4 proxies"]
    published = methods_of(plan, "even_odd", Match(loss="proxy_nca"))
    assert [method[1] for method in published] == ["one"]
