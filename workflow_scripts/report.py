#!/usr/bin/env python
"""From the metrics of all runs to what is cited: tables, figures, report."""

from pathlib import Path

from dmlbench import cli, paths
from dmlbench.config import load_config


def collect(args) -> None:
    """Gather metrics, histories and records of all planned runs into long tables."""
    from dmlbench.reporting.collect import collect

    collect(load_config(args.config))


def tables(args) -> None:
    """Make the tables of one experiment, or one over all: LaTeX, CSV and Markdown."""
    from dmlbench.reporting.tables import write_overview, write_tables

    plan = load_config(args.config)
    if args.overview:
        write_overview(plan, args.overview)
    else:
        write_tables(plan, args.experiment)


def figures(args) -> None:
    """Draw the figures of one experiment, or those over all: PDF, PNG, their numbers as CSV."""
    from dmlbench.reporting.draw_figures import write_figures, write_overall_figures

    plan = load_config(args.config)
    if args.overall:
        write_overall_figures(plan)
    else:
        write_figures(plan, args.experiment, args.kind)


def pages(args) -> None:
    """Write the report's own pages: the summary, and a page for each experiment."""
    from dmlbench.reporting.report import write_pages

    write_pages(load_config(args.config))


def html(args) -> None:
    """Write Snakemake's HTML report around all results; after all else."""
    from dmlbench.reporting.report import snakemake_report

    snakemake_report(load_config(args.config), args.config, args.snakefile)


def pdf(args) -> None:
    """Compile all tables and figures into one PDF; LaTeX must be installed."""
    from dmlbench.reporting.report import write_document

    write_document(load_config(args.config))


def means(args) -> None:
    """Write the means of all tables as plain files, which git and DVC compare between commits."""
    from dmlbench.reporting.collect import write_means

    write_means(load_config(args.config))


if __name__ == "__main__":
    steps = cli.Steps(__doc__)
    steps.add(collect)
    which = steps.add(tables).add_mutually_exclusive_group(required=True)
    which.add_argument("--experiment", help="an experiment of the config")
    which.add_argument("--overview", choices=paths.OVERVIEWS, help="a table over all experiments")
    step = steps.add(figures)
    which = step.add_mutually_exclusive_group(required=True)
    which.add_argument("--experiment", help="an experiment of the config")
    which.add_argument("--overall", action="store_true", help="those over several experiments")
    step.add_argument("--kind", nargs="+", help="which; none: all that the experiment has")
    steps.add(pages)
    step = steps.add(html)
    step.add_argument("--snakefile", type=Path, default=Path("Snakefile"), help="the workflow")
    steps.add(pdf)
    steps.add(means)
    steps.run()
