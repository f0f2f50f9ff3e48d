"""All tables and figures of a config in one PDF, by LaTeX."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.errors import UserError
from dmlbench.files import replacing, write_text
from dmlbench.reporting import names
from dmlbench.reporting.figures import figures as registered
from dmlbench.reporting.figures import planned
from dmlbench.reporting.figures.critical_difference import same_methods
from dmlbench.reporting.latex import PACKAGES, tex
from dmlbench.version import BENCHMARK_VERSION

_ENGINE = "pdflatex"
#: A longtable learns the widths of its columns from the pass before, and LaTeX says so.
_AGAIN, _MOST_PASSES = "Rerun", 5
_PACKAGES = "texlive-latex-recommended texlive-latex-extra texlive-science lmodern"


def write_document(plan: Plan) -> None:
    """Write the document's source and compile it.

    Raises:
        UserError: LaTeX is not installed, a file is missing, it does not compile, or a line is
            too wide.
    """
    name = plan.benchmark.name
    source, made = (Path(paths.document(name, suffix)) for suffix in ("tex", "pdf"))
    write_text(source, document(plan))
    if shutil.which(_ENGINE) is None:
        raise UserError(f"{_ENGINE} is not installed; on Debian: apt-get install {_PACKAGES}")
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_MOST_PASSES):
            lines = _compile(source, Path(folder))
            if not any(_AGAIN in line for line in lines):
                break
        if wide := [line for line in lines if line.startswith("Overfull \\hbox")]:
            raise UserError(f"{source}: a line is too wide: {wide[0]}; please report this bug")
        with replacing(made) as temporary:
            shutil.copyfile(Path(folder) / made.name, temporary)


def document(plan: Plan) -> str:
    """The document's source, to be compiled in the folder that it lies in."""
    name, about = plan.benchmark.name, registered()
    parts = [_HEAD % {"packages": PACKAGES, "name": tex(name), "version": BENCHMARK_VERSION}]
    for experiment in plan.benchmark.experiments:
        title = names.title(plan, experiment)
        parts.append(_SECTION % (tex(title), _beside(plan, paths.table(name, experiment, "tex"))))
        for kind in planned(plan, experiment):
            caption = f"{title}: {about[kind].title}. {about[kind].caption}"
            file = _beside(plan, paths.figure(name, experiment, kind, "pdf"))
            parts.append(_FIGURE % (file, tex(caption)))
    for which in paths.OVERVIEWS:
        parts.append(
            _SECTION % (which.capitalize(), _beside(plan, paths.table(name, which, "tex")))
        )
        if which == paths.OVERVIEWS[0] and same_methods(plan):
            file = _beside(plan, paths.overall_figure(name, "critical_difference", "pdf"))
            parts.append(_FIGURE % (file, "Critical difference over datasets"))
    return "\n".join([*parts, r"\end{document}", ""])


_HEAD = r"""%% Made by dmlbench; compile it in the folder that it lies in.
\documentclass[10pt,a4paper]{article}
\usepackage[margin=2.2cm]{geometry}
%(packages)s
\usepackage{graphicx}
\title{%(name)s: tables and figures}
\author{dmlbench, benchmark version %(version)s}
\date{}
\sloppy
\begin{document}
\maketitle"""
_SECTION = "\\clearpage\n\\section{%s}\n\\input{%s}"
# In its own size, unless that is more than the page has.
_FIGURE = r"""\begin{figure}[htbp]
\centering
\adjustbox{max width=\linewidth, max totalheight=0.8\textheight}{\includegraphics{%s}}
\caption{%s}
\end{figure}"""


def _beside(plan: Plan, file: str) -> str:
    here = Path(paths.document(plan.benchmark.name, "tex")).parent
    return Path(os.path.relpath(file, here)).as_posix()


def _compile(source: Path, folder: Path) -> list[str]:
    """Run LaTeX once; returns what it says."""
    # Equal tables and figures make an equal file: no time stamps.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
    done = subprocess.run(
        [_ENGINE, "-interaction=nonstopmode", "-halt-on-error", f"-output-directory={folder}",
         source.name],
        cwd=source.parent, env=environment, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    lines = done.stdout.splitlines()
    if done.returncode:
        last = (lines or ["no output"])[-1]
        told = next((line for line in lines if line.startswith("!")), last)
        hint = f"; on Debian: apt-get install {_PACKAGES}" if "not found" in told else ""
        raise UserError(f"{source} does not compile: {told}{hint}")
    return lines
