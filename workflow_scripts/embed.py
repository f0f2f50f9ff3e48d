#!/usr/bin/env python
"""Embed the images of one run's dataset: a file for every split, or for the images of pairs."""

from functools import partial
from pathlib import Path

from dmlbench import cli, paths
from dmlbench.config import load_config
from dmlbench.workflow.copies import Copies, hear_signals


def features(args) -> None:
    """Compute the features of all images of a dataset by one frozen backbone of the config."""
    import numpy as np
    import torch

    from dmlbench.data.features import save_features
    from dmlbench.data.reader import ImageReader
    from dmlbench.data.store import ImageStore
    from dmlbench.models.backbones import build_backbone
    from dmlbench.training.device import (
        embed_all,
        make_deterministic,
        pick_device,
        seed_everything,
    )

    plan = load_config(args.config)
    recipe, threads = plan.recipe_of_network(args.network), plan.benchmark.resources.train.threads
    make_deterministic(threads)
    device = pick_device(recipe["device"])
    store = ImageStore(paths.local(paths.PREPARED, dataset=args.dataset, store=recipe["store"]))
    reader = ImageReader(store, recipe, threads, device)
    seed_everything(0)  # no weight is random
    backbone = build_backbone(recipe, reader.channels, reader.size).to(device)
    made = embed_all(backbone, reader, np.arange(len(store.index)))
    out = paths.local(paths.FEATURES, dataset=args.dataset, network=args.network)
    save_features(out, made.to(getattr(torch, recipe["features"])), store.index)


def trained(args) -> None:
    """Embed with each of the weights that a training kept, and without its head if asked."""
    from torch import nn

    from dmlbench.data.features import reader_of
    from dmlbench.evaluation.embeddings import embed_run
    from dmlbench.models.embedder import load_model
    from dmlbench.training.device import embed_all, make_deterministic, pick_device
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
        embed_run(plan, run, selection, args.pairs, partial(embed_all, model, reader))
        if plan.benchmark.evaluation.body:
            model.head = nn.Identity()
            body = paths.body_of(selection)
            embed_run(plan, run, body, args.pairs, partial(embed_all, model, reader))


def control(args) -> None:
    """Embed for a control that needs no training (docs/protocol.md)."""
    from dmlbench.data.store import ImageStore, content_hash
    from dmlbench.evaluation.embeddings import embed_run
    from dmlbench.files import write_json
    from dmlbench.records import sealed
    from dmlbench.training.controls import control_embedder
    from dmlbench.workflow.provenance import environment, step_code

    plan = load_config(args.config)
    run = plan.run_by_id(args.run, trained=False)
    spec, folder, selection = plan.spec(run), plan.run_folder(run), plan.control_selection
    store = ImageStore(plan.data_folder(run))
    embedder, facts = control_embedder(plan, run, store)
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
        write_json(folder / "run.json", sealed(record))


if __name__ == "__main__":
    steps = cli.Steps(__doc__)
    step = steps.add(features)
    step.add_argument("--dataset", required=True, help="such as omniglot")
    step.add_argument("--network", required=True, help="of the file's name, below data/features")
    for step in (steps.add(trained, cli.runs_parser), steps.add(control, cli.run_parser)):
        step.add_argument("--pairs", type=Path, help="only what this table of pairs names")
    steps.run()
