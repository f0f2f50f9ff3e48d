"""The config says what is wrong, where, and what to do."""

import copy
import json
import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

from dmlbench.config import Plan, load_config, resolve_config
from dmlbench.config.load import json_schema, read_plan, write_plan
from dmlbench.config.read_yaml import merge_configs
from dmlbench.errors import ConfigError
from dmlbench.reporting.figures import planned

CONFIGS = sorted([ROOT / "config.yaml", *(ROOT / "configs").glob("*.yaml")])


def refused(config: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve_config(config, "my.yaml")
    return str(caught.value)


def changed(config: dict, path: str, value: object) -> dict:
    config = copy.deepcopy(config)
    *parents, last = path.split("/")
    section = config
    for key in parents:
        section = section[key]
    section[last] = value
    return config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_of_the_repository_is_valid(path):
    assert load_config(path).runs


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("recipes/digits_8d/epocs", 20, ["recipes.digits_8d.epocs", "20", "'epochs'"]),
        ("recipes/digits_8d/optimizer/lrr", 0.1, ["optimizer.lrr", "0.1", "'lr'"]),
        ("experimnts", {}, ["experimnts", "'experiments'"]),
        ("experiments/even_odd/dataset", "mnist_evn_odd", ["dataset", "'mnist_even_odd'"]),
        ("experiments/even_odd/recipe", "digits", ["recipe", "'digits'", "'digits_8d'"]),
        ("losses/triplet/type", "tripplet", ["losses.triplet", "'tripplet'", "'triplet'"]),
        ("evaluation/metrics", ["mrr"], ["evaluation.metrics", "which the tables print"]),
        ("evaluation/metrics", ["recal"], ["evaluation.metrics", "'recall'"]),
        ("evaluation/kmeans_seeds", [1, 1], ["evaluation.kmeans_seeds", "named twice"]),
        ("evaluation/splits", ["test", "test"], ["evaluation.splits", "named twice"]),
        ("losses/triplet/margn", 0.1, ["losses.triplet.margn", "0.1", "'margin'"]),
        ("losses/triplet/margin", -1, ["losses.triplet.margin", "-1", "greater than 0"]),
        (
            "losses/triplet/margin",
            True,
            ["losses.triplet.margin", "true", "valid number"],
        ),
        ("losses/triplet/margin", float("nan"), ["losses.triplet.margin", "finite number"]),
        ("losses/triplet/a", [1, {"b": float("inf")}], ["losses.triplet.a.1.b", "finite number"]),
        ("samplers/eps/positive", "esay", ["samplers.eps.positive", "'esay'", "'easy'"]),
        ("samplers/eps/per_class", 1, ["samplers.eps.per_class", "1"]),
        ("selections", ["lst"], ["selections", "'lst'", "'last'"]),
        ("seeds", [1, 1], ["seeds"]),
        ("name", "Has Spaces", ["name", "Has Spaces"]),
        ("recipes/digits_8d/validation", 0, ["validation", "val"]),
        ("recipes/digits_8d/batch_size", 33, ["batch_size 33", "per_class 16"]),
        ("recipes/digits_8d/batch_size", 64, ["64", "4 classes", "has 2", "per_class to 32"]),
        ("recipes/digits_8d/batch_size", 16, ["one class", "no negatives"]),
        ("samplers/none", {}, ["samplers.none", "every config has this one"]),
        ("samplers/eps/negative", None, ["samplers.eps", "positive and negative go together"]),
        ("samplers/eps/miner", "some.Miner", ["samplers.eps", "a miner takes the place"]),
        ("samplers/eps", {"miner": "hard"}, ["samplers.eps.miner", "'hard' is no class path"]),
        (
            "samplers/eps",
            {"per_class": 16},
            ["loss 'triplet' with sampler 'eps'", "does not choose"],
        ),
        ("losses/triplet", "proxy_nca", ["takes whole batches", "sampler none"]),
        (
            "losses/triplet",
            {"type": "trimmed", "loss": {"type": "pd_loss"}},
            ["pd_loss is no loss on tuples"],
        ),
        (
            "losses/triplet",
            {"type": "trimmed", "loss": {}},
            ["losses.triplet.loss", "should describe a loss"],
        ),
        ("losses/triplet", {"type": "trimmed", "loss": "triplet"}, ["losses.triplet.loss"]),
        (
            "losses/triplet",
            {"type": "trimmed", "loss": {"type": "triplet", "margn": 1}},
            ["losses.triplet.loss.margn", "'margin'"],
        ),
        (
            "samplers/eps/negative",
            {"type": "distance", "cutoff": 1.5},
            ["cutoff 1.5 is not below upper_cutoff 1.4"],
        ),
        (
            "samplers/eps/negative",
            {"type": "distance", "cutoff": 2},
            ["eps.negative.cutoff", "1.99"],
        ),
        ("recipes/digits_8d/weights", "tv_in1k", ["small_cnn has no pretrained weights"]),
        ("projection", {"seeds": [7]}, ["projection.seeds", "[7]"]),
        ("experiments/even_odd/published", "eps_table9", ["published", "did you mean 'eps_table"]),
        ("experiments/even_odd/published", "eps_table1", ["about mnist_even_odd", "digits"]),
        ("experiments/even_odd/sweep", {"recipe.foo.bar": [1]}, ["sweep", "no key 'foo.bar'"]),
        ("experiments/even_odd/sweep", {"loss.margin": []}, ["sweep.loss.margin", "at least 1"]),
        ("experiments/even_odd/methods", [{"loss": [], "sampler": "eps"}], ["methods.0.loss"]),
        ("evaluation/recall_at", [400], ["recall_at", "400", "363", "test/seen"]),
        ("evaluation/nmi_plus", 5000, ["nmi_plus", "5000", "363"]),
        ("evaluation/kmeans_seeds", [2**40], ["kmeans_seeds"]),
        ("recipes/digits_8d/embedding_dim", 1, ["embedding_dim", "1"]),
        ("losses/triplet/margin", float("inf"), ["losses.triplet.margin", "finite"]),
        ("projection", {"splits": ["train"]}, ["projection.splits", "'train'", "['test']"]),
        ("selections", ["val"], ["projection.selection", "'last'", "['val']"]),
        ("experiments/even_odd/sweep", {"batch_size": [1]}, ["sweep", "batch_size", "recipe."]),
        ("experiments/even_odd/sweep", {"recipe.base": ["r50_128"]}, ["recipe.base cannot be"]),
        (
            "experiments/even_odd/sweep",
            {"recipe.mean_std": ["weights"]},
            ["sweep: recipe: mean_std weights needs weights"],
        ),
        ("recipes/digits_8d/schedule", "cosine", ["such as schedule: {name: cosine} (got"]),
        ("recipes/digits_8d/head", "mlp", ["such as head: {type: mlp} (got"]),
        ("recipes/digits_8d/optimizer", "adam", ["such as optimizer: {name: adam} (got"]),
        ("recipes/digits_8d", "r50_128", ["such as digits_8d: {base: r50_128} (got"]),
        ("evaluation", "recall", ["evaluation: should be keys with values (got"]),
        ("name", "My Name", ["name: should be of small letters, digits and _, such as my_name"]),
        ("recipes/digits_8d/clip", 3, ["clip: unknown key (got 3); did you mean 'clip_grad_norm'"]),
        ("recipes/digits_8d/freeze", "batch_norm", ["digits_8d.freeze: the network has no batch"]),
    ],
)
def test_a_mistake_is_named_with_file_key_value_and_remedy(smoke_config, path, value, told):
    message = refused(changed(smoke_config, path, value))
    # What fits none of two samplers, or two keys of a union, is told once for each.
    lines = message.splitlines()
    assert all(line.startswith("my.yaml: ") for line in lines)
    assert len(lines) <= 2
    for part in told:
        assert part in message


def test_what_was_got_is_said_once(smoke_config):
    schedule = {"name": "multistep", "at": [3, 2]}
    message = refused(changed(smoke_config, "recipes/digits_8d/schedule", schedule))
    assert message.endswith("at must rise (got [3, 2])")


def test_several_mistakes_are_told_at_once(smoke_config):
    config = changed(smoke_config, "losses/triplet/margn", 0.1)
    config = changed(config, "samplers/eps/positive", "esay")
    assert len(refused(config).splitlines()) == 2


def test_sphere_only_negatives_are_refused_without_normalisation(smoke_config):
    config = changed(smoke_config, "recipes/digits_8d/normalize", False)
    config = changed(config, "samplers/eps/negative", "distance")
    assert "unit sphere" in refused(config)
    config = changed(config, "recipes/digits_8d/normalize", "evaluation")
    assert "the recipe has normalize: evaluation" in refused(config)


@pytest.mark.parametrize("inside", [False, True])
def test_a_loss_that_needs_lengths_is_refused_with_normalisation(smoke_config, inside):
    loss = {"type": "hyperbolic"}
    loss = {"type": "trimmed", "loss": loss} if inside else loss
    config = changed(smoke_config, "losses/triplet", loss)
    message = refused(config)
    assert "hyperbolic needs the lengths of embeddings" in message
    assert "take normalize: evaluation" in message
    for allowed in ("evaluation", False):
        resolve_config(changed(config, "recipes/digits_8d/normalize", allowed), "smoke.yaml")


@pytest.mark.parametrize("wrong", ["evaluatoin", 3, "text"])
def test_normalize_takes_true_false_or_evaluation(smoke_config, wrong):
    message = refused(changed(smoke_config, "recipes/digits_8d/normalize", wrong))
    assert "recipes.digits_8d.normalize" in message
    assert "evaluation" in message
    assert len(message.splitlines()) == 1


def test_points_of_the_ball_may_not_lie_on_its_border(smoke_config):
    config = changed(smoke_config, "recipes/digits_8d/normalize", False)
    loss = {"type": "hyperbolic", "curvature": 1.0, "clip": 30.0}
    assert "sqrt(curvature) * clip should be at most 20 (got 30)" in refused(
        changed(config, "losses/triplet", loss)
    )


def test_a_key_written_twice_is_refused(tmp_path):
    file = tmp_path / "twice.yaml"
    file.write_text("name: a\nname: b\n")
    with pytest.raises(ConfigError, match=r"line 2: found duplicate key .name."):
        load_config(file)


def test_a_key_without_a_value_is_refused_as_a_number_forgotten(tmp_path):
    file = tmp_path / "forgotten.yaml"
    file.write_text("recipes:\n  a:\n    clip_grad_norm:\n    epochs: 3\n")
    with pytest.raises(ConfigError, match=r"line 3: clip_grad_norm: has no value; .*write null"):
        load_config(file)


@pytest.mark.parametrize("text", ["{", "", "just words"])
def test_what_is_no_config_is_one_line(tmp_path, text):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert len(str(caught.value).splitlines()) == 1


def test_sweep_makes_named_entries(smoke_config):
    sweep = {"sampler.per_class": [8, 16], "recipe.batch_size": [16, 32], "loss.margin": [0.5]}
    config = changed(smoke_config, "experiments/even_odd/sweep", sweep)
    refusal = refused(config)  # 16 with 16 per class is a batch of one class
    assert "digits_8d_batch_size_16" in refusal
    sweep["sampler.per_class"] = [8]
    config["recipes"]["digits_8d"]["batch_size"] = 16
    sweep["recipe.batch_size"] = [16]
    plan = resolve_config(config, "my.yaml")
    method = ("digits_8d_batch_size_16", "triplet_margin_0p5", "eps_per_class_8")
    assert method in plan.methods["even_odd"]
    assert plan.losses["triplet_margin_0p5"]["margin"] == 0.5
    assert plan.samplers["eps_per_class_8"]["per_class"] == 8


def test_a_sweep_never_changes_another_entry(smoke_config):
    smoke_config["losses"]["triplet_margin_0p5"] = {"type": "triplet", "margin": 0.9}
    smoke_config["experiments"]["even_odd"]["sweep"] = {"loss.margin": [0.5]}
    assert "'triplet_margin_0p5', a name that another entry has" in refused(smoke_config)


def test_merge_keys_work_and_a_list_is_no_key(tmp_path):
    file = tmp_path / "merged.yaml"
    smoke = (ROOT / "configs" / "smoke.yaml").read_text()
    eps = "  eps: {per_class: 16, positive: easy, negative: random}"
    assert eps in smoke
    smoke = smoke.replace(eps, "  eps: {<<: *r, positive: easy}")
    file.write_text(smoke.replace("  random: {", "  random: &r {"))
    assert load_config(file).samplers["eps"]["per_class"] == 16
    file.write_text("[a]: 1\n")
    with pytest.raises(ConfigError, match="top level: a key must be a word"):
        load_config(file)


def test_a_method_is_the_product_of_its_lists(smoke_config):
    plan = resolve_config(smoke_config, "my.yaml")
    assert [m[1:] for m in plan.methods["even_odd"]] == [("triplet", "random"), ("triplet", "eps")]
    assert len(plan.runs) == 2 * len(smoke_config["seeds"]) + 1  # shuffled labels


def test_defaults_are_filled_in_and_the_result_is_a_config_again(smoke_config):
    plan = resolve_config(smoke_config, "my.yaml")
    assert plan.losses["triplet"]["squared"] is True
    again = resolve_config(json.loads(plan.benchmark.as_json()), "again")
    assert {r: plan.fingerprint(run) for r, run in plan.runs.items()} == {
        r: again.fingerprint(run) for r, run in again.runs.items()
    }


def test_the_config_beside_results_names_no_place_of_this_machine(smoke_config):
    data = {"mirror": "/some/mirror", "files": {"lfw.tgz": "/some/lfw.tgz"}}
    plan = resolve_config(smoke_config | {"data": data}, "my.yaml")
    assert plan.benchmark.data.mirror == "/some/mirror"
    assert "/some/" not in plan.benchmark.as_json()


def test_fingerprint_follows_what_decides_the_result(smoke_config):
    plan = resolve_config(smoke_config, "my.yaml")
    other = resolve_config(changed(smoke_config, "losses/triplet/margin", 0.3), "my.yaml")
    titled = resolve_config(changed(smoke_config, "experiments/even_odd/title", "x"), "my.yaml")
    run = next(iter(plan.runs.values()))
    assert plan.fingerprint(run) != other.fingerprint(run)
    assert plan.fingerprint(run) == titled.fingerprint(run)


def test_schema_file_is_in_step():
    stored = (ROOT / "config.schema.json").read_text()
    assert stored == json_schema(), "run: make schema"


def test_schema_describes_every_key_and_accepts_the_configs():
    import jsonschema

    schema = json.loads(json_schema())
    for path in CONFIGS:
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    for name, section in schema["$defs"].items():
        for key, value in section.get("properties", {}).items():
            described = "description" in value or "$ref" in value
            assert described or name == "Resources", f"{name}.{key} has no description"


def test_trimming_triplets_needs_negatives_that_choose_one(smoke_config):
    trimmed = {"type": "trimmed", "loss": {"type": "triplet"}}
    config = changed(smoke_config, "losses/triplet", trimmed)
    assert resolve_config(config, "my.yaml").runs
    assert "are sets" in refused(changed(config, "samplers/eps/negative", "all"))


def test_a_method_without_a_sampler_gets_shuffled_batches(smoke_config):
    config = changed(smoke_config, "losses/triplet", "pd_loss")
    config["experiments"]["even_odd"]["methods"] = [{"loss": "triplet"}]
    plan = resolve_config(config, "my.yaml")
    assert {run.sampler for run in plan.runs.values()} == {"none"}
    none = {"per_class": None, "positive": None, "negative": None, "miner": None}
    assert plan.samplers["none"] == none


def test_a_sweep_reaches_into_a_trimmed_loss(smoke_config):
    trimmed = {"type": "trimmed", "loss": {"type": "triplet"}}
    config = changed(smoke_config, "losses/triplet", trimmed)
    config["experiments"]["even_odd"]["sweep"] = {"loss.trim": [0.0, 0.5], "loss.loss.margin": [1]}
    plan = resolve_config(config, "my.yaml")
    entry = plan.losses["triplet_trim_0p5_margin_1"]
    assert (entry["trim"], entry["loss"]["margin"]) == (0.5, 1)


@pytest.mark.parametrize(
    ("dataset", "fold", "told"),
    [
        ("lfw_view2", None, "lfw_view2 comes in 10 folds: the recipe needs test_fold, 1 to 10"),
        ("lfw_view2", 11, "lfw_view2 comes in 10 folds"),
        ("digits_even_odd", 1, "digits_even_odd has its own test and no folds"),
    ],
)
def test_a_fold_to_test_on_goes_with_a_dataset_in_folds(smoke_config, dataset, fold, told):
    smoke_config["experiments"]["even_odd"]["dataset"] = dataset
    smoke_config["recipes"]["digits_8d"]["test_fold"] = fold
    with pytest.raises(ConfigError, match=told):
        resolve_config(smoke_config, "test")


def stored(config: dict, folder) -> Plan:
    """The plan of ``config``, written to ``folder`` and read again."""
    write_plan(resolve_config(config, "my.yaml"), folder)
    return load_config(folder / "config.json")


def test_a_stored_plan_is_the_plan(smoke_config, tmp_path):
    smoke_config["experiments"]["even_odd"]["sweep"] = {"loss.margin": [0.1, 0.5]}
    smoke_config["experiments"]["even_odd"]["title"] = "\N{GRINNING FACE} \U0001d49f"
    smoke_config["data"] = {"mirror": "/some/mirror"}
    plan = resolve_config(smoke_config, "my.yaml")
    again = stored(smoke_config, tmp_path)
    assert again.benchmark.experiments == plan.benchmark.experiments
    assert (again.runs, again.controls) == (plan.runs, plan.controls)
    assert (again.methods, again.swept) == (plan.methods, plan.swept)
    for run in plan.runs.values():
        assert again.fingerprint(run) == plan.fingerprint(run)
        assert again.sources(run) == plan.sources(run)
    assert again.class_facts("positive", "easy")["label"] == "EPS"
    files = {name: (tmp_path / name).read_text() for name in ("plan.json", "config.json")}
    assert not [name for name, text in files.items() if "/some/" in text or str(ROOT) in text]
    stored(smoke_config, tmp_path)
    assert files == {name: (tmp_path / name).read_text() for name in files}


def test_a_damaged_or_missing_plan_is_one_line(smoke_config, tmp_path):
    stored(smoke_config, tmp_path)
    config, plan = tmp_path / "config.json", tmp_path / "plan.json"
    right = config.read_text()
    config.write_text(right.replace('"margin": 0.2', '"margin": 0.3'))
    with pytest.raises(ConfigError, match=r"plan.json: is not the plan of the config.json beside"):
        load_config(config)
    config.write_text(right)
    for text in ("{", "[]", "{}", json.dumps({"config": json.loads(plan.read_text())["config"]})):
        plan.write_text(text)
        with pytest.raises(ConfigError, match=r"plan.json: holds no plan") as caught:
            load_config(config)
        assert len(str(caught.value).splitlines()) == 1
    plan.unlink()
    with pytest.raises(ConfigError, match=r"plan.json: holds no plan .FileNotFoundError"):
        read_plan(config)


def test_a_job_reads_the_plan_without_anything_heavy(smoke_config, tmp_path):
    smoke_config["recipes"]["digits_8d"]["train_transforms"] = [{"RandomCrop": {"size": 8}}]
    stored(smoke_config, tmp_path)
    rules = "\n".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    # What is imported at the top of the rules, which every job of a cluster parses.
    imports = re.findall(r"^from dmlbench.*$", rules, re.MULTILINE)
    assert len(imports) > 10
    heavy = {"torch", "torchvision", "timm", "faiss", "sklearn", "scipy", "pandas"}
    heavy |= {"matplotlib", "seaborn"}
    code = [*imports, "import sys", "from dmlbench.config import load_config"]
    code += [f"plan = load_config({str(tmp_path / 'config.json')!r})"]
    code += ["run = next(iter(plan.runs.values()))", "plan.fingerprint(run), plan.sources(run)"]
    code += ["figures(), provenance.training_code(run.dataset, plan.sources(run))"]
    code += [f"print({heavy!r} & set(sys.modules))"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_yaml_is_1_2_and_overrides_are_read_likewise(tmp_path):
    (tmp_path / "a.yaml").write_text("title: no\nlr: 1e-3\ninner: {a: 1, b: 2}\n")
    (tmp_path / "b.yaml").write_text("inner: {b: 3}\n")
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    # Snakemake leaves the values inside as text.
    config = merge_configs(files, {"seeds": ["5", "6"], "inner": {"c": "1e-3", "d": "no"}})
    assert config == {
        "title": "no",
        "lr": 0.001,
        "inner": {"a": 1, "b": 3, "c": 0.001, "d": "no"},
        "seeds": [5, 6],
    }
    (tmp_path / "b.yaml").write_text("day: 2026-01-01\n")
    with pytest.raises(ConfigError, match=r"day: should be text, a number.* quotes around 2026"):
        resolve_config(merge_configs(files, {}), "x")


@pytest.mark.parametrize("null", ["null", "~", "NULL"])
def test_a_sweep_and_null_can_be_given_on_the_command_line(smoke_config, tmp_path, null):
    from snakemake.cli import parse_config

    smoke_config["recipes"]["digits_8d"]["clip_grad_norm"] = 1.0
    file = tmp_path / "a.yaml"
    file.write_text(json.dumps(smoke_config))
    given = [
        "experiments={even_odd: {sweep: {recipe.embedding_dim: [4, 6]}}}",
        f"recipes={{digits_8d: {{clip_grad_norm: {null}, hidden: 0}}}}",
    ]
    plan = resolve_config(merge_configs([file], parse_config(given)), "x")
    assert [recipe["embedding_dim"] for recipe in plan.recipes.values()][:2] == [4, 6]
    assert {recipe["clip_grad_norm"] for recipe in plan.recipes.values()} == {None}
    assert "sweep" in planned(plan, "even_odd")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &a [*a]", "Circular reference"),
        ("name: &n {x: *n}", "Circular reference"),
        ("a: " + "[" * 3000 + "]" * 3000, "too many brackets"),
        ("a: " + "[" * 100 + "]" * 100, "more than 40 deep"),
    ],
)
def test_yaml_that_ends_nowhere_is_one_line(tmp_path, text, told):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_config(tmp_path / "a.yaml")


def test_mistakes_in_entries_and_in_names_are_told_together(smoke_config):
    smoke_config["recipes"]["digits_8d"] |= {"backbone": "resnet5O"}
    smoke_config["losses"]["triplet"]["type"] = "triplett"
    smoke_config["experiments"]["even_odd"]["dataset"] = "digits_even_od"
    smoke_config["projection"]["seeds"] = [7]
    told = refused(smoke_config)
    for words in ("resnet5O", "triplett", "digits_even_od", "projection.seeds: [7]"):
        assert words in told


@pytest.mark.parametrize("metrics", [["nmi_plus"], ["recall", "nmi_plus"]])
def test_clusters_for_a_label_that_no_dataset_has_are_one_line(smoke_config, metrics):
    smoke_config["evaluation"] |= {"metrics": metrics, "nmi_plus": {"digi": 3}}
    told = refused(smoke_config)
    assert told == (
        "my.yaml: evaluation.nmi_plus: no dataset has the label 'digi'; did you mean 'digit'?"
    )


def test_a_dataset_of_which_nothing_would_be_measured_is_one_line(smoke_config, tmp_path):
    other = copy.deepcopy(smoke_config["experiments"]["even_odd"])
    smoke_config["experiments"]["letters"] = other | {"dataset": "omniglot"}
    smoke_config["samplers"] = {
        name: each | {"per_class": 4} for name, each in smoke_config["samplers"].items()
    }
    smoke_config["recipes"]["digits_8d"]["batch_size"] = 8
    smoke_config["evaluation"] |= {"nmi_plus": {"alphabet": 3}}
    assert resolve_config(smoke_config, "x")
    smoke_config["evaluation"] |= {"metrics": ["nmi_plus"]}
    assert "evaluation.nmi_plus: names no label of digits_even_odd" in refused(smoke_config)


def test_settings_of_metrics_that_are_not_measured_refuse_nothing(smoke_config):
    smoke_config["evaluation"] |= {"metrics": ["nmi"], "nmi_plus": 5000, "recall_at": [400]}
    resolve_config(smoke_config, "test")


def test_of_many_planned_runs_some_are_listed(smoke_config):
    smoke_config["seeds"] = list(range(30))
    plan = resolve_config(smoke_config, "test")
    with pytest.raises(ConfigError, match=r"valid here: .* and \d+ more$"):
        plan.run_by_id("x")


def test_a_run_is_made_by_its_own_step(smoke_config):
    plan = resolve_config(smoke_config, "test")
    (control,) = [r.id for r in plan.all_runs.values() if r.loss == "random-embedding"]
    training = next(iter(plan.runs))
    assert plan.run_by_id(control, trained=False).id == control
    assert plan.run_by_id(training, trained=True).id == training
    with pytest.raises(ConfigError, match=r"is made by another step: embed.py control"):
        plan.run_by_id(control, trained=True)
    with pytest.raises(ConfigError, match=r"is made by another step: train.py"):
        plan.run_by_id(training, trained=False)


def test_an_entry_may_have_the_name_of_a_type(smoke_config):
    smoke_config["recipes"]["int"] = smoke_config["recipes"]["digits_8d"] | {"epochs": 0}
    with pytest.raises(ConfigError, match=r"recipes.int.epochs: input should be greater than 0"):
        resolve_config(smoke_config, "test")
