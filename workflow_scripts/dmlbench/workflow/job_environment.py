"""What jobs find in their environment: things that must not change what is up to date."""

import json
import os
import sys
from pathlib import Path

from dmlbench.config.settings import Data


def set_job_environment(data: Data) -> None:
    """Set the interpreter and the places of archives for all children of this process.

    ``python`` means the interpreter of this process, whether its environment is activated or not; a
    job that Snakemake runs in a conda environment still gets that environment's python.

    The places are no parameters of the download rule: archives are what their checksums say, and as
    a parameter another mirror would have Snakemake make everything anew.

    Args:
        data: Where archives come from.
    """
    own = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    os.environ["DMLBENCH_MIRROR"] = data.mirror or ""
    os.environ["DMLBENCH_FILES"] = json.dumps(data.files)
    os.environ["DMLBENCH_CHECKSUMS"] = json.dumps(data.checksums)
