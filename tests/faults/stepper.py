"""A process that has imported everything, and does steps of the pipeline in copies of itself.

    python stepper.py

It reads a line of JSON for each step: ``folder`` to work in, ``step``, ``options``, and what is
done to the copy: ``environment``, ``limits`` (of :mod:`resource`, by name), ``group`` (a folder of
control groups) and ``user`` (a number). It answers with the number of the copy's process, and then,
when it has ended, with its exit code (-N where signal N ended it) and all that it said.

So a step takes as long as its own work, not as long as importing PyTorch. Nothing that takes
threads may run here before a copy is made.
"""

import json
import os
import resource
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

# The scripts lie beside the library.
import check
import data
import embed
import measure
import prepare
import report
import train

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.config.load import write_plan


def plan(options: Namespace) -> None:
    """Write the plan of a config, as Snakemake does before the first job."""
    write_plan(load_config(options.config), options.out)


STEPS: dict[str, Callable[[Namespace], None]] = {
    "plan": plan,
    "prepare": prepare.main,
    "duplicates": data.duplicates,
    "summarise": data.summarise,
    "train": train.main,
    "features": embed.features,
    "embed": embed.trained,
    "control": embed.control,
    "evaluate": measure.evaluate,
    "project": measure.project,
    "illustrate": measure.illustrate,
    "check": check.main,
    "collect": report.collect,
    "tables": report.tables,
    "figures": report.figures,
    "pages": report.pages,
    "means": report.means,
}
#: Options that are files or folders. ``folder`` of prepare is JSON.
PLACES = ("config", "out", "log", "folder", "sheet", "results", "ledger", "pairs")


def import_all() -> None:
    """Import what the steps import inside themselves, and look their code up."""
    import safetensors.torch  # noqa: F401
    import sklearn.manifold
    import sklearn.metrics  # noqa: F401
    import torchvision.transforms.v2  # noqa: F401

    import dmlbench.data.duplicates
    import dmlbench.data.features
    import dmlbench.data.summary
    import dmlbench.evaluation.illustrations
    import dmlbench.evaluation.run_metrics
    import dmlbench.models.embedder
    import dmlbench.reporting.collect
    import dmlbench.reporting.draw_figures
    import dmlbench.reporting.report
    import dmlbench.training.controls
    import dmlbench.training.session  # noqa: F401
    from dmlbench.neighbours.faiss_loading import load_faiss
    from dmlbench.workflow.provenance import step_code, training_code

    "".encode("cp437")  # of zipfile: an ordinary user may not read where Python is installed
    load_faiss()
    step_code("measure", "evaluate")
    step_code("embed", "control")
    training_code("mine", ())


def copy(asked: dict, told: int) -> None:
    """Be the copy: do the step with all that it says going to the file ``told``."""
    os.setsid()
    os.dup2(told, 1)
    os.dup2(told, 2)
    os.chdir(asked["folder"])
    os.environ.update(asked.get("environment", {}))
    options = asked["options"]
    for name in PLACES:
        if options.get(name) and (asked["step"], name) != ("prepare", "folder"):
            options[name] = Path(options[name])
    if group := asked.get("group"):
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    for name, limit in asked.get("limits", {}).items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    if user := asked.get("user"):
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    log_mode = "a" if asked["step"] == "train" else "w"
    cli.do(STEPS[asked["step"]], Namespace(**options), log_mode)


def do(asked: dict) -> dict:
    """The step in a copy: its exit code and what it said."""
    with tempfile.TemporaryFile() as told:
        child = os.fork()
        if not child:
            code = 1
            try:
                copy(asked, told.fileno())
                code = 0
            except SystemExit as leaving:
                code = leaving.code
            except BaseException as error:
                os.write(told.fileno(), f"Traceback: {error!r}\n".encode())
            finally:
                sys.stdout.flush()
                os._exit(code)
        answer({"process": child})
        _, status = os.waitpid(child, 0)
        told.seek(0)
        said = told.read().decode(errors="replace")
        return {"code": os.waitstatus_to_exitcode(status), "said": said}


def answer(value: dict) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    import_all()
    answer({"ready": True})
    for line in sys.stdin:
        if not (asked := json.loads(line)):
            break
        answer(do(asked))
