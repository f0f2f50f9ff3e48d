"""All tables and figures of a config in one PDF, by LaTeX."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

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
        for _ in range(2):  # the second time numbers of tables are known
            _compile(source, Path(folder))
        with replacing(made) as temporary:
            shutil.copyfile(Path(folder) / made.name, temporary)


def document(plan: Plan) -> str:
    """The document's source, to be compiled in the folder that it lies in."""
    name = plan.benchmark.name
    here = Path(paths.document(name, "tex")).parent

    def beside(path: str) -> str:
        return Path(os.path.relpath(path, here)).as_posix()

    about = registered()
    sections = [
        {
            "title": tex(names.title(plan, experiment)),
            "table": beside(paths.table(name, experiment, "tex")),
            "figures": [
                {
                    "file": beside(paths.figure(name, experiment, kind, "pdf")),
                    "caption": tex(
                        f"{names.title(plan, experiment)}: {about[kind].title}. "
                        f"{about[kind].caption}"
                    ),
                }
                for kind in planned(plan, experiment)
            ],
        }
        for experiment in plan.benchmark.experiments
    ]
    overall = paths.overall_figure(name, "critical_difference", "pdf")
    figures = [{"file": beside(overall), "caption": "Critical difference over datasets"}]
    sections += [
        {
            "title": which.capitalize(),
            "table": beside(paths.table(name, which, "tex")),
            "figures": figures if which == paths.OVERVIEWS[0] and same_methods(plan) else [],
        }
        for which in paths.OVERVIEWS
    ]
    return render(
        "document.tex.j2",
        name=tex(name),
        version=BENCHMARK_VERSION,
        packages=PACKAGES,
        sections=sections,
    )


def render(template: str, **values: object) -> str:
    """A LaTeX template of this package, filled in; texts must have gone through :func:`tex`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # LaTeX, not HTML
    )
    return environment.get_template(template).render(**values)


def _compile(source: Path, folder: Path) -> None:
    # Equal tables and figures make an equal file: no time stamps.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
    done = subprocess.run(
        [_ENGINE, "-interaction=nonstopmode", "-halt-on-error", f"-output-directory={folder}",
         source.name],
        cwd=source.parent, env=environment, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    lines = done.stdout.splitlines()
    errors = [line for line in lines if line.startswith("!")]
    if done.returncode:
        told = errors[0] if errors else lines[-1] if lines else "no output"
        hint = f"; on Debian: apt-get install {_PACKAGES}" if "not found" in told else ""
        raise UserError(f"{source} does not compile: {told}{hint}")
    if wide := [line for line in lines if line.startswith("Overfull \\hbox")]:
        raise UserError(f"{source} has a line that is too wide: {wide[0]}; please report this bug")
