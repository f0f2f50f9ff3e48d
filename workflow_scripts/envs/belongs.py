"""Whether .venv was made for this folder and this Python: `make` goes by the exit code.

A moved or copied environment runs, but its scripts name the folder that they were made in.
"""

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

ENVIRONMENT = Path(sys.executable).parent
PROJECT = Path(__file__).resolve().parents[2]

script = (ENVIRONMENT / "snakemake").read_text(encoding="utf-8")
named = re.search(r"/[^\n]*?/bin(?=/python)", script).group()
package = find_spec("dmlbench")  # none where Python is another than the one it was installed for
ours = package and os.path.samefile(
    os.path.dirname(package.origin), PROJECT / "workflow_scripts/dmlbench"
)
sys.exit(not (ours and os.path.samefile(named, ENVIRONMENT)))
