"""Which Python the jobs of a workflow run in."""

import os
import sys
from pathlib import Path


def use_own_interpreter() -> None:
    """Let ``python`` mean the interpreter of this process in all its children.

    Whether the environment is activated makes no difference then; a job that Snakemake runs in a
    conda environment still gets that environment's python, which comes first.
    """
    own = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
