#!/usr/bin/env python
"""Embed the images of one run's dataset: a file for every split, or for the images of pairs."""

from functools import partial
from pathlib import Path

from dmlbench import cli, paths
from dmlbench.config import RANDOM, Plan, Run, load_config
from dmlbench.workflow.copies import Copies, hear_signals


def features(args) -> None:
    """Compute the features of all images of a dataset by one frozen backbone of the config."""
    import torch

    from dmlbench.data.features import save_features
    from dmlbench.data.reader import ImageReader
    from dmlbench.data.store import ImageStore
    from dmlbench.models.backbones import build_backbone
    from dmlbench.models.embedder import embed
    from dmlbench.training.device import make_deterministic, pick_device, seed_everything

    plan = load_config(args.config)
    recipe, threads = plan.recipe_of_network(args.network), plan.benchmark.resources.train.threads
    make_deterministic(threads)
    device = pick_device(recipe["device"])
    store = ImageStore(paths.local(paths.PREPARED, dataset=args.dataset, store=recipe["store"]))
    reader = ImageReader(store, recipe, threads, device)
    seed_everything(0)  # no weight is random
    backbone = build_backbone(recipe, reader.channels, reader.size).to(device)
    made = embed(backbone, reader, store.index.index.to_numpy())
    out = paths.local(paths.FEATURES, dataset=args.dataset, network=args.network)
    save_features(out, made.to(getattr(torch, recipe["features"])), store.index)


def trained(args) -> None:
    """Embed with each of the weights that a training kept, and without its head if asked."""
    from torch import nn

    from dmlbench.evaluation.embeddings import embed_run
    from dmlbench.models.embedder import embed, load_model
    from dmlbench.training.device import make_deterministic, pick_device
    from dmlbench.workflow.job_records import read_record

    plan = load_config(args.config)
    if len(args.run) > 1:
        cli.do_each_alone(trained, args, Copies(Path(paths.results(plan.benchmark.name)), "embed"))
        return
    hear_signals()
    run = plan.run_by_id(args.run[0], trained=True)
    folder = plan.run_folder(run)
    record = read_record(folder, plan.fingerprint(run))
    recipe, threads = record["run"]["recipe"], record["run"]["threads"]
    make_deterministic(threads)
    device = pick_device(recipe["device"])
    reader = reader_of(plan, run, threads, device)
    for selection in plan.benchmark.selections:
        model = load_model(folder, record, selection, device)
        embed_run(plan, run, selection, args.pairs, partial(embed, model, reader))
        if plan.benchmark.evaluation.body:
            model.head = nn.Identity()
            body = paths.body_of(selection)
            embed_run(plan, run, body, args.pairs, partial(embed, model, reader))


def control(args) -> None:
    """Embed for a control that needs no training: at random, or with a backbone as it is."""
    from dmlbench.data.store import ImageStore, content_hash
    from dmlbench.evaluation.embeddings import embed_run
    from dmlbench.files import write_json
    from dmlbench.workflow.provenance import environment, step_code

    plan = load_config(args.config)
    run = plan.run_by_id(args.run, trained=False)
    spec, folder, selection = plan.spec(run), plan.run_folder(run), plan.control_selection
    store = ImageStore(plan.data_folder(run))
    make = random_vectors if run.loss == RANDOM else backbone_features
    embedder, facts = make(plan, run, store)
    embed_run(plan, run, selection, args.pairs, embedder)
    if not args.pairs:
        record = {
            "run": spec,
            "fingerprint": plan.fingerprint(run),
            "code": step_code("embed", "control"),
            "data": content_hash(store.index),
            "selected_epochs": {selection: 0},
            "seconds": 0.0,
            **facts,
            **environment(),
        }
        write_json(folder / "run.json", record)


def reader_of(plan: Plan, run: Run, threads: int, device):
    """What gives the network of a run its input: features of a frozen backbone, or images."""
    from dmlbench.data.features import FeatureReader
    from dmlbench.data.reader import ImageReader
    from dmlbench.data.store import ImageStore

    store, recipe = ImageStore(plan.data_folder(run)), plan.recipes[run.recipe]
    if file := plan.features_file(run):
        return FeatureReader(file, store.index, device)
    return ImageReader(store, recipe, threads, device)


def random_vectors(plan: Plan, run: Run, store) -> tuple:
    """Normal vectors, one for each image of the dataset whatever its split; what made them."""
    import numpy as np

    from dmlbench.seeding import derive_seed

    recipe = plan.recipes[run.recipe]
    rng = np.random.default_rng(derive_seed("random embedding", run.seed))
    vectors = rng.standard_normal((len(store.index), recipe["embedding_dim"]), dtype=np.float32)
    if recipe["normalize"]:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.__getitem__, {"device": "cpu", "gpu": None, "initial_weights": None}


def backbone_features(plan: Plan, run: Run, store) -> tuple:
    """The backbone's features with the weights that a training of this seed starts from."""
    from torch import nn

    from dmlbench.models.embedder import Embedder, embed
    from dmlbench.seeding import derive_seed
    from dmlbench.training.device import make_deterministic, pick_device, seed_everything
    from dmlbench.workflow.provenance import hardware

    recipe, threads = plan.recipes[run.recipe], plan.benchmark.resources.train.threads
    make_deterministic(threads)
    device = pick_device(recipe["device"])
    reader = reader_of(plan, run, threads, device)
    seed_everything(derive_seed("initial weights", recipe["backbone"], run.seed))
    model = Embedder(recipe, **reader.input).to(device)
    facts = {"device": str(device), "initial_weights": model.sha256(), **hardware(device)}
    # The head is random before any training: it would only blur what the backbone knows.
    model.head = nn.Identity()
    return partial(embed, model, reader), facts


if __name__ == "__main__":
    steps = cli.Steps(__doc__)
    step = steps.add(features)
    step.add_argument("--dataset", required=True, help="such as omniglot")
    step.add_argument("--network", required=True, help="of the file's name, below data/features")
    for step in (steps.add(trained, cli.runs_parser), steps.add(control, cli.run_parser)):
        step.add_argument("--pairs", type=Path, help="only what this table of pairs names")
    steps.run()
