"""Writing what a run leaves, and its models back."""

import resource
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.errors import DataError
from dmlbench.files import checksum_of, replacing, write_json
from dmlbench.models.embedder import Embedder
from dmlbench.training.loop import Trainer
from dmlbench.workflow.provenance import environment, hardware, training_code, training_files


def save_run(out: Path, plan: Plan, run: Run, trainer: Trainer) -> None:
    """Write weights, history and, last, ``run.json``: a folder without it is not finished."""
    # First, so that weights of two trainings never lie beside a record of one.
    (out / "run.json").unlink(missing_ok=True)
    selections, reader = trainer.progress.selections, trainer.reader
    for name, weights in selections.weights.items():
        with replacing(out / paths.model(name)) as temporary:
            save_file(weights, temporary)
    write_history(out, trainer.progress.history)
    names = output_names(selections.weights)
    record = {
        "run": plan.spec(run),
        "fingerprint": plan.fingerprint(run),
        "code": training_code(run.dataset, plan.sources(run)),
        "files": training_files(run.dataset, plan.sources(run)),
        "outputs": {name: checksum_of(out / name) for name in names},
        "data": trainer.data,
        "selected_epochs": selections.epochs,
        "input": {"channels": reader.channels, "image_size": reader.size},
        "initial_weights": trainer.initial_weights,
        "device": str(trainer.device),
        "gpu": hardware(trainer.device)["gpu"],
        "seconds": sum(row["seconds"] for row in trainer.progress.history),
        "peak_memory_mb": peak_memory(trainer.device),
        **environment(),
    }
    write_json(out / "run.json", record)


def output_names(selections: Iterable[str]) -> list[str]:
    """The files that a training leaves beside ``run.json``."""
    return [*map(paths.model, selections), "history.csv"]


def write_history(out: Path, history: list[dict]) -> None:
    """Write ``history.csv``: a row per epoch."""
    with replacing(out / "history.csv") as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False)


def peak_memory(device: torch.device) -> dict[str, int | None]:
    """The most memory in MB that this process has held, and of the GPU if it has one."""
    # Linux counts in kB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    gpu = torch.cuda.max_memory_allocated(device) >> 20 if device.type == "cuda" else None
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit >> 20
    return {"host": host, "gpu": gpu}


def load_model(folder: Path, record: dict, selection: str, device: torch.device) -> Embedder:
    """The model of one selection, ready to embed; a DataError where its weights are not whole."""
    file = folder / paths.model(selection)
    if not file.is_file():
        raise DataError(f"{file} is missing; train the run again")
    # A flipped bit loads without a word. Records of earlier versions hold no checksums.
    if record.get("outputs", {}).get(file.name) not in (None, checksum_of(file)):
        raise DataError(f"{file} is not what its training wrote (run.json); train the run again")
    # The backbone's own weights are about to be replaced: no need to fetch pretrained ones.
    recipe = {**record["run"]["recipe"], "weights": "none"}
    model = Embedder(recipe, **record["input"]).to(device)
    try:
        model.load_state_dict(load_file(file, device=str(device)))
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{file} is damaged ({reason}); train again") from None
    return model.eval()
