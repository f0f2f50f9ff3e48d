"""What is wrong with losses inside losses is told when the config is read."""

import pytest
from conftest import config_with
from nested_loops import CONTRASTIVE

from dmlbench.config import resolve_config
from dmlbench.errors import ConfigError

XBM = {"type": "xbm", "loss": CONTRASTIVE, "start": 5}
#: A sampler that chooses no tuples.
CLASSES = {"per_class": 16}


class TestConfig:
    """What is wrong with losses inside losses is told when the config is read."""

    def told(self, loss, sampler=None, **recipe):
        with pytest.raises(ConfigError) as error:
            self.plan(loss, sampler, **recipe)
        return str(error.value)

    def plan(self, loss, sampler=None, **recipe):
        config = config_with(loss, sampler)
        config["recipes"]["digits_8d"] |= recipe
        if sampler:
            config["experiments"]["even_odd"]["methods"] = [{"loss": "triplet", "sampler": "eps"}]
        return resolve_config(config, "test")

    @pytest.mark.parametrize(
        ("loss", "line"),
        [
            (
                {"type": "xbm", "loss": {"type": "contrastive", "margn": 1}},
                "losses.triplet.loss.margn: unknown key (got 1); did you mean 'margin'?",
            ),
            (
                {"type": "sum", "losses": [CONTRASTIVE, {"type": "margin", "beta": -1.0}]},
                "losses.triplet.losses.1.beta: input should be greater than 0",
            ),
            (
                {"type": "sum", "losses": [{"type": "xbm", "loss": {"type": "contrastiv"}}]},
                "losses.triplet.losses.0.loss: unknown loss type (got 'contrastiv'); did you mean",
            ),
            ({"type": "sum", "losses": ["margin"]}, "losses.triplet.losses.0: "),
            ({"type": "sum", "losses": [{"margin": 1}]}, "should describe a loss: {type: ...}"),
            ({"type": "s2sd", "loss": CONTRASTIVE, "dims": [0]}, "losses.triplet.dims.0: "),
        ],
    )
    def test_keys_inside_are_told_with_their_path(self, loss, line):
        assert line in self.told(loss)

    @pytest.mark.parametrize(
        "loss",
        [
            {"type": "sum", "losses": [CONTRASTIVE, {"type": "coding_rate"}]},
            {"type": "s2sd", "loss": CONTRASTIVE, "feature_start": 0},
            {"type": "sum", "losses": [{"type": "s2sd", "loss": CONTRASTIVE, "feature_start": 0}]},
        ],
    )
    def test_a_sampler_is_needed_where_a_loss_inside_needs_one(self, loss):
        assert self.plan(loss).methods
        assert "needs positives and negatives" in self.told(loss, CLASSES)

    @pytest.mark.parametrize(
        "loss",
        [
            XBM,
            {"type": "sum", "losses": [{"type": "proxy_nca"}, {"type": "coding_rate"}]},
            {"type": "s2sd", "loss": {"type": "d_loss"}, "feature_start": 0},
        ],
    )
    def test_none_is_taken_where_no_loss_inside_needs_one(self, loss):
        assert self.plan(loss, CLASSES).methods
        assert "takes whole batches and no tuples" in self.told(loss)

    def test_sets_are_refused_where_a_loss_inside_needs_triplets(self):
        trimmed = {"type": "trimmed", "loss": {"type": "triplet"}}
        sets = {"per_class": 16, "positive": "all", "negative": "all"}
        whole = {"type": "sum", "losses": [CONTRASTIVE, trimmed]}
        assert "sum needs single triplets here" in self.told(whole, sets)
        assert self.plan(whole).methods
        line = "trimmed needs single triplets, but xbm compares sets of pairs"
        assert line in self.told(XBM | {"loss": trimmed}, CLASSES)

    @pytest.mark.parametrize(
        ("loss", "line"),
        [
            (XBM | {"loss": {"type": "pd_loss"}}, "it has no pairs to compare with the memory"),
            (XBM | {"loss": XBM}, "xbm inside xbm; describe one of them"),
            (XBM | {"size": 16}, "xbm: size 16 is below batch_size 32; raise it"),
            (
                {"type": "sum", "losses": [XBM | {"start": 1000}]},
                "xbm: start 1000 is beyond the training, which has 60 steps at most; lower it",
            ),
            ({"type": "coding_rate", "of": "proxies"}, "needs one proxy loss beside it"),
        ],
    )
    def test_what_cannot_train_is_refused(self, loss, line):
        assert line in self.told(loss, CLASSES)

    def test_features_that_would_never_teach_are_refused(self):
        line = "s2sd: feature_start 1000 is beyond the training"
        assert line in self.told({"type": "s2sd", "loss": CONTRASTIVE})

    def test_a_rate_below_the_schedules_lowest_is_told_of_inner_losses_too(self):
        loss = {"type": "sum", "losses": [{"type": "margin", "beta_lr": 1e-6}]}
        schedule = {"name": "cosine", "min_lr": 1e-5}
        line = "schedule.min_lr 1e-05 is not below 1e-06, the rate of the loss's parameters"
        assert line in self.told(loss, schedule=schedule)

    def test_a_change_of_an_inner_loss_trains_anew(self):
        plan = self.plan({"type": "sum", "losses": [XBM, {"type": "coding_rate"}]}, CLASSES)
        (run, *_) = plan.all_runs.values()
        modules = {name for source in plan.sources(run) for name in source.modules}
        for name in ("weighted_sum", "xbm", "contrastive", "coding_rate"):
            assert f"dmlbench.losses.{name}" in modules
