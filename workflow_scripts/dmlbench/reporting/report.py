"""The report: our pages, Snakemake's HTML around all results, and all of them in one PDF."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from dmlbench import BENCHMARK_VERSION, __version__, paths
from dmlbench.checking.ledger import OK, as_table, ledger
from dmlbench.config import METHOD_KEYS, RUN_KEYS, Plan
from dmlbench.errors import DataError, UserError
from dmlbench.files import DAMAGED, naming, replacing, write_text
from dmlbench.reporting import names
from dmlbench.reporting.cells import BLOCK, printed_cells
from dmlbench.reporting.claims import TOLERANCE, verdicts
from dmlbench.reporting.collected import read_printed, read_summary
from dmlbench.reporting.figures import figures, planned
from dmlbench.reporting.figures.critical_difference import same_methods
from dmlbench.reporting.formats import HTML, cell_text, render, write_csv
from dmlbench.reporting.latex import PACKAGES, tex
from dmlbench.reporting.overall_tables import cost
from dmlbench.reporting.tables import caption, none_yet, partial

#: What the runs' table says besides where a run was trained.
_COPIES = {"same_images", "near_images"}
_ABOUT_A_RUN = {*RUN_KEYS, *_COPIES, "code", "seconds", "peak_host_mb", "peak_gpu_mb"}
_ENGINE = "pdflatex"
#: A longtable learns the widths of its columns from the pass before, and LaTeX says so.
_AGAIN, _MOST_PASSES = "Rerun", 5
_PACKAGES = "texlive-latex-recommended texlive-latex-extra texlive-science lmodern"


def write_pages(plan: Plan) -> None:
    """Write the summary page, a page for each experiment, and the verdicts as CSV."""
    name = plan.benchmark.name
    runs = read_summary(plan, "runs")
    entries = as_table(ledger(plan))
    found = verdicts(plan, read_summary(plan, "metrics"))
    write_csv(Path(paths.verdicts(name)), found, "%.4f")
    costs = cost(plan, read_summary(plan, "history"), runs)
    hours = costs.groupby(["experiment", "device"], sort=False)[["runs", "hours"]]
    about = {*_ABOUT_A_RUN, *runs.filter(regex="^images_")}
    machine = [column for column in runs.columns if column not in about]
    machines = runs.groupby(machine, dropna=False)["seconds"]
    machines = machines.agg(**{"runs": "size", "training seconds": "sum"}).round().astype(int)
    shared = {"name": name, "version": __version__, "benchmark_version": BENCHMARK_VERSION}
    page = render(
        "summary.html.j2",
        **shared,
        tolerance=TOLERANCE,
        verdicts=_by(found, "kind"),
        counts=found["verdict"].value_counts().to_dict(),
        states=entries["state"].value_counts().to_dict(),
        notes=entries.loc[entries["note"] != "", ["run", "note"]].to_dict("records"),
        unfinished=entries[entries["state"] != OK].to_dict("records"),
        check=_read_check(Path(paths.check(name))),
        cost=hours.sum().round(3).reset_index().to_dict("records"),
        machines=machines.reset_index().to_dict("records"),
        commits=sorted(runs["commit"].unique()),
        seeds=plan.benchmark.seeds,
        trainings=len(plan.runs),
        gaps=partial(plan, None, entries),
        config=plan.benchmark.as_json(),
    )
    write_text(Path(paths.summary_page(name)), page)
    for experiment in plan.benchmark.experiments:
        long = read_printed(plan, experiment).astype({"subset": object}).fillna({"subset": ""})
        gaps = partial(plan, experiment, entries)
        page = render(
            "experiment.html.j2",
            **shared,
            title=names.title(plan, experiment),
            about=none_yet(gaps) if long.empty else caption(plan, experiment, long, gaps),
            blocks=_blocks(long),
            methods=_runs_of_methods(plan, experiment, entries, runs),
        )
        write_text(Path(paths.experiment_page(name, experiment)), page)


def _read_check(file: Path) -> dict | None:
    """What the checker found; None where it has not looked yet."""
    if not file.is_file():
        return None
    try:
        with naming(file):
            return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file}: cannot be read ({error}); {DAMAGED}") from None


def _blocks(long: pd.DataFrame) -> list[dict]:
    """The experiment's table, a block for each selection and part: its head and its rows."""
    blocks = []
    for (selection, *part), block in long.groupby(BLOCK, sort=False):
        texts = printed_cells(block).map(cell_text, form=HTML).map(Markup)
        title = f"{names.part(*part)}: {names.SELECTIONS[selection]}"
        rows = list(zip(texts.index, texts.to_numpy().tolist(), strict=True))
        blocks.append({"title": title, "head": list(texts.columns), "rows": rows})
    return blocks


def _runs_of_methods(
    plan: Plan, experiment: str, entries: pd.DataFrame, runs: pd.DataFrame
) -> dict[str, list[dict]]:
    """The runs behind each row of an experiment's table: state, folder and where it was trained."""
    wanted = [*plan.experiment_runs(experiment), *plan.controls[experiment].values()]
    rows = entries.merge(runs, how="left", on=RUN_KEYS).set_index("run")
    rows = rows.loc[[run.id for run in wanted]].assign(
        folder=[str(plan.run_folder(run)) for run in wanted],
        where=lambda table: (table["device"] + ", " + table["host"]).fillna(""),
    )
    words = pd.DataFrame(names.lines_of(plan, experiment))[["method", *METHOD_KEYS]]
    return _by(rows.merge(words, on=METHOD_KEYS), "method")


def _by(table: pd.DataFrame, column: str) -> dict[str, list[dict]]:
    """The rows of each value of a column, for a template; None where there is nothing."""
    table = table.astype(object).where(table.notna(), None)
    return {key: rows.to_dict("records") for key, rows in table.groupby(column, sort=False)}


def snakemake_report(plan: Plan, config: Path, snakefile: Path) -> None:
    """Have Snakemake write its report; raises UserError with its last line where it could not."""
    with replacing(Path(paths.report(plan.benchmark.name))) as temporary:
        command = [
            *(sys.executable, "-m", "snakemake", "results", "--snakefile", str(snakefile)),
            *("--configfile", str(config), "--report", str(temporary), "--nolock"),
        ]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode or not temporary.stat().st_size:
            lines = (result.stderr or result.stdout).strip().splitlines()
            raise UserError(f"snakemake --report failed: {lines[-1] if lines else 'no output'}")


def write_document(plan: Plan) -> None:
    """Write the document's source and compile it.

    Raises:
        UserError: LaTeX is not installed, or the document does not compile.
    """
    name = plan.benchmark.name
    source, made = (Path(paths.document(name, suffix)) for suffix in ("tex", "pdf"))
    write_text(source, document(plan))
    if shutil.which(_ENGINE) is None:
        raise UserError(f"{_ENGINE} is not installed; on Debian: apt-get install {_PACKAGES}")
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_MOST_PASSES):
            if _AGAIN not in _compile(source, folder):
                break
        with replacing(made) as temporary:
            shutil.copyfile(Path(folder) / made.name, temporary)


def document(plan: Plan) -> str:
    """The document's source, to be compiled in the folder that it lies in."""
    name = plan.benchmark.name
    folder = Path(paths.document(name, "tex")).parent

    def figure(file: str, caption: str) -> dict:
        return {"file": os.path.relpath(file, folder), "caption": tex(caption)}

    def section(title: str, table: str, shown: list[dict]) -> dict:
        file = os.path.relpath(paths.table(name, table, "tex"), folder)
        return {"title": tex(title), "table": file, "figures": shown}

    sections = []
    for experiment in plan.benchmark.experiments:
        title = names.title(plan, experiment)
        shown = []
        for kind in planned(plan, experiment):
            about, file = figures()[kind], paths.figure(name, experiment, kind, "pdf")
            shown.append(figure(file, f"{title}: {about.title}. {about.caption}"))
        sections.append(section(title, experiment, shown))
    sections += [section(which.capitalize(), which, []) for which in paths.OVERVIEWS]
    if same_methods(plan):
        file = paths.overall_figure(name, "critical_difference", "pdf")
        sections[-1]["figures"].append(figure(file, "Critical difference over datasets"))
    shared = {"name": tex(name), "version": BENCHMARK_VERSION, "packages": PACKAGES}
    return render("document.tex.j2", **shared, sections=sections)


def _compile(source: Path, folder: str) -> str:
    """Run LaTeX once; returns what it says."""
    # Equal tables and figures make an equal file: no time stamps.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
    done = subprocess.run(
        [_ENGINE, "-interaction=nonstopmode", "-halt-on-error", f"-output-directory={folder}",
         source.name],
        cwd=source.parent, env=environment, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    if done.returncode:
        lines = done.stdout.splitlines()
        told = next((line for line in lines if line.startswith("!")), " ".join(lines[-1:]))
        raise UserError(f"{source} does not compile: {told}; it needs, on Debian: {_PACKAGES}")
    return done.stdout
