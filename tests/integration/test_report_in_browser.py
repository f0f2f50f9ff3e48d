"""The report as a user sees it, in a real browser from the disk and without a network."""

import json

import pandas as pd
from browser import browsing

RUNS = "results/smoke/runs/digits_even_odd/digits_8d/triplet"


def shown(browser) -> list[int]:
    """Widths of the pictures on the page, 0 where one does not show."""
    return browser.run("return [...document.images].map(i => i.complete ? i.naturalWidth : 0)")


def test_the_report_opens_and_leads_from_a_cell_to_its_runs(smoke_run):
    report = smoke_run / "results/smoke/report/report.html"
    with browsing() as browser:
        browser.open(report)
        for category in ("Summary", "Tables", "Figures"):
            assert category in browser.text()

        browser.click("Summary")
        browser.view("verdicts, runs")
        browser.enter_frame()
        assert "What became of the published results" in browser.text()
        assert "7 ok" in browser.text()
        browser.leave_frame()

        browser.click("Results")
        browser.click("Figures")
        figures = sorted((smoke_run / "results/smoke/figures").glob("*.png"))
        for title in ("Recall@1 per epoch", "Nearest neighbours", "Embedding"):
            browser.view(title)
            assert max(shown(browser)) > 500, title
            assert min(shown(browser)) > 0, title
        text = browser.text()
        assert text.count("\n") > len(figures)

        browser.click("Results")
        browser.click("Tables")
        browser.click("even_odd")
        browser.view("page, with the runs")
        browser.enter_frame()
        table = pd.read_csv(smoke_run / "results/smoke/tables/even_odd.csv")
        mean = table[(table["method"] == "Triplet + EPS") & (table["metric"] == "recall")].iloc[0]
        cell = f"{mean['mean']:.1f}"
        clicked = browser.run(
            "const row = [...document.querySelectorAll('tr')].find("
            "r => r.cells[0].innerText == 'Triplet + EPS');"
            "const link = row.cells[1].querySelector('a'); link.click(); return link.innerText"
        )
        assert clicked.startswith(cell)
        target = browser.run("return document.querySelector(':target').innerText")
        for seed in (0, 1):
            assert f"{RUNS}/eps/seed{seed}" in target
            assert json.loads((smoke_run / RUNS / f"eps/seed{seed}/run.json").read_text())
        browser.leave_frame()
        assert browser.errors() == []
