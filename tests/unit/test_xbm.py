"""Cross-batch memory: against a loop and the library, and its traps."""

import copy

import pytest
import torch
from nested_loops import CONTRASTIVE, Memory, compare
from pytorch_metric_learning import distances, losses, miners
from test_losses import draw_batch, tuples_of

from dmlbench.errors import ConfigError
from dmlbench.losses.building import build_loss
from dmlbench.samplers.batch import Batch
from dmlbench.training.snapshot import _module_state, _restore_module, unsaved


class TestMemory:
    def make(self, inner=CONTRASTIVE, size=12, start=0, dim=4, **keys):
        spec = {"type": "xbm", "loss": inner, "size": size, "start": start, **keys}
        torch.manual_seed(0)
        return build_loss(spec, 3, dim)

    def batches(self, number, size=6, dim=4, classes=3, dtype=torch.float64):
        """Batches that hold images of 20, so that some come back."""
        generator = torch.Generator().manual_seed(number)
        labels_of = torch.arange(20) % classes
        for _ in range(number):
            content = torch.randperm(20, generator=generator)[:size]
            points = torch.randn(size, dim, generator=generator, dtype=dtype)
            yield Batch.of(points, labels_of[content], content, generator)

    @pytest.mark.parametrize("pairs", ["all", "multi_similarity"])
    @pytest.mark.parametrize("inner", ["contrastive", "margin", "multi_similarity", "triplet"])
    def test_value_and_gradient_equal_the_loop(self, inner, pairs):
        loss = self.make({"type": inner}, pairs=pairs).double()
        memory = Memory(12)
        mining = pairs == "multi_similarity"
        for batch in self.batches(5):  # the queue of 12 is full after 2
            compare(
                loss,
                lambda loss, x, b=batch: loss(Batch.of(x, b.labels, b.content)).value,
                lambda loss, x, b=batch: memory.loss(
                    loss.losses[0], x, b.labels, b.content, mining
                ),
                batch,
            )
            loss.zero_grad()
        assert loss.entered == 30

    @pytest.mark.parametrize("mined", [False, True])
    @pytest.mark.parametrize("inner", ["contrastive", "multi_similarity"])
    def test_it_is_the_librarys_where_no_image_comes_again(self, inner, mined):
        keys = {"pairs": "multi_similarity"} if mined else {}
        ours = {
            "contrastive": {"type": "contrastive", "squared": False, "margin": 9.0},
            "multi_similarity": {"type": "multi_similarity", "threshold": 0.5},
        }[inner]
        plain = distances.LpDistance(normalize_embeddings=False)
        theirs = losses.CrossBatchMemory(
            losses.ContrastiveLoss(neg_margin=9.0, distance=plain)
            if inner == "contrastive"
            else losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
            4,
            memory_size=40,
            miner=miners.MultiSimilarityMiner(epsilon=0.1) if mined else None,
        )
        loss = self.make(ours, size=40, **keys).double()
        for step in range(6):
            batch = draw_batch(step, 12, 4, 3)
            labels, content = torch.arange(12) % 3, torch.arange(12) + 12 * step
            one, two = (batch.embeddings.clone().requires_grad_() for _ in range(2))
            mine, their = loss(Batch.of(one, labels, content)).value, theirs(two, labels)
            if inner == "contrastive":
                # The library adds the means of both kinds of pairs, each over its active ones.
                near, far = self.kinds(loss, Batch.of(one, labels, content))
                mine = near + far
            torch.testing.assert_close(mine, their, rtol=1e-5, atol=1e-7)
            mine.backward()
            their.backward()
            torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-6)

    def kinds(self, loss, batch):
        compared = loss._against(batch, min(loss.entered, loss.size))
        chosen = loss._choose(compared)
        values, _ = loss.losses[0].terms(compared, chosen)
        return [values[m & (values > 0)].mean() for m in (chosen.positives, chosen.negatives)]

    def test_an_image_is_never_its_own_positive(self):
        """Trap: the queue holds the batch, and what the same images gave an epoch ago."""
        loss = self.make({"type": "contrastive", "squared": False}, size=8)
        labels, content = torch.tensor([0, 0, 1, 1]), torch.arange(4)
        for shift in (0.0, 1.0):
            points = torch.tensor([[0.0, 0], [0.3, 0], [5, 0], [5.3, 0]]) + shift
            points = torch.nn.functional.pad(points, (0, 2))
            result = loss(Batch.of(points, labels, content))
        # Each anchor: its class's other image, now and as it was; four negatives.
        assert result.counts["memory_pairs"] == 4 * (2 + 4)
        now, before = 0.3, [2**0.5, (0.7**2 + 1) ** 0.5, (1.3**2 + 1) ** 0.5]
        near = [now, before[2], now, before[1]]  # of the left and of the right image
        assert result.value.item() == pytest.approx(2 * sum(near) / 24, rel=1e-5)

    def test_the_memory_takes_no_gradient_and_keeps_float32(self):
        loss = self.make()
        for batch in self.batches(2, dtype=torch.float32):
            batch.embeddings.requires_grad_()
            loss(batch).value.backward()
        assert loss.memory.dtype == torch.float32
        assert not loss.memory.requires_grad
        assert list(loss.parameters()) == []

    def test_before_the_start_the_batch_is_alone_and_the_queue_fills(self):
        loss = self.make(start=2)
        first, second, third = self.batches(3)
        for batch, filled in ((first, 0.5), (second, 1.0)):
            result = loss(batch)
            alone = build_loss(CONTRASTIVE, 3, 4)(batch, tuples_of(batch, "all", "all")).value
            assert result.value == alone
            assert result.means["queue_filled"] == filled
            assert result.counts["memory_pairs"] == 0
        assert loss(third).counts["memory_pairs"] > 0

    def test_it_goes_on_from_a_checkpoint_exactly(self):
        whole, parts = (
            self.make({"type": "margin"}, start=1),
            self.make({"type": "margin"}, start=1),
        )
        *batches, last = self.batches(6)
        for batch in batches:
            expected = whole(batch).value
            assert parts(batch).value == expected
            state, parts = _module_state(parts), self.make({"type": "margin"}, start=1)
            _restore_module(parts, state, torch.device("cpu"))
            other = self.make({"type": "margin"}, start=1)
            other.load_state_dict(whole.state_dict())
            assert other(last).value == copy.deepcopy(whole)(last).value
        assert unsaved(whole, None) == []
        assert parts(last).value == whole(last).value

    def test_what_cannot_be_remembered_is_refused(self):
        with pytest.raises(ConfigError, match="proxy_nca is no loss on tuples"):
            self.make({"type": "proxy_nca"})
        with pytest.raises(ConfigError, match="size 5 is below the batch of 6"):
            self.make(size=5)(next(self.batches(1)))
