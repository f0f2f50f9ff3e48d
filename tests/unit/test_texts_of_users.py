"""What a user may write (classes, titles, labels) is printed as it is, in every format."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from made_results import gather, make_results
from made_up import make_up_roc
from test_one_point import of_methods
from test_reporting import plain
from test_tables import rows, written

from dmlbench import paths
from dmlbench.config import load_config, resolve_config
from dmlbench.reporting.collect import write_means
from dmlbench.reporting.draw_figures import FigureData
from dmlbench.reporting.figures import embedding, figures
from dmlbench.reporting.fonts import FONT, _installed, _letters_of, add_fonts
from dmlbench.reporting.formats import read_csv
from dmlbench.reporting.report import write_pages
from dmlbench.reporting.style import paper_style, plt
from dmlbench.reporting.tables import write_tables

#: Formulas that are none, halves of them, and signs that a format could take for its own.
NAMES = ["5$ and 6$", "a$b", "$\\frac$", "x_1^2", "_hidden", "others", "50% & #1", "<b>|{}~\\"]


def spots(classes):
    table = pd.DataFrame({"label": classes, "split": "test", "subset": ""})
    x, y = np.random.default_rng(0).random((2, len(table)))
    return table.assign(x=x, y=y)


def test_classes_are_printed_as_they_are():
    with paper_style():
        figure = embedding.draw_plane(of_methods(spots(NAMES * 3)))
        figure.draw_without_rendering()
    (legend,) = figure.legends
    shown = legend.get_texts()
    assert [text.get_text() for text in shown] == ["label", *sorted(NAMES)]
    assert not any(text._preprocess_math(text.get_text())[1] for text in shown)
    assert all(text.get_visible() for text in shown)
    plt.close(figure)


def test_a_class_called_others_is_not_the_others():
    many = [*NAMES, "one more", "and another"] * 3
    with paper_style():
        figure = embedding.draw_plane(of_methods(spots(many)))
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    chosen = embedding._classes(of_methods(spots(many)), spots(many))[1]
    assert texts == ["label", "others", *chosen]
    plt.close(figure)


def test_axes_without_formulas_have_numbers(tmp_path, monkeypatch):
    """Ticks of a logarithmic axis are formulas, which would be printed as their source."""
    monkeypatch.chdir(tmp_path)
    plan = load_config(ROOT / "configs" / "lfw_view2.yaml")
    make_up_roc(plan, "view2")
    with paper_style():
        figure, _ = figures()["roc"].draw(FigureData.of(plan, "view2"))
        figure.draw_without_rendering()
    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert {"0.001", "0.01", "0.1", "1"} <= set(ticks)
    assert not any("$" in text for text in ticks)
    plt.close(figure)


def letter(have, lack):
    """A letter that some fonts have and others lack; None where there is none."""
    blocks = [range(0x2000, 0x3100), range(0x4E00, 0x4F00), range(0x12000, 0x13500)]
    known = map(chr, (code for block in blocks for code in block))
    return next((c for c in known if c.isprintable() and c in have and c not in lack), None)


def drawn(text):
    """Families of a title after fonts were looked for, and whether the letters are there then."""
    with paper_style():
        figure, axis = plt.subplots()
        axis.set_title(text)
        axis.set_yticks([0.5], [text])
        add_fonts(figure, "some_figure")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            figure.draw_without_rendering()
    plt.close(figure)
    return axis.title.get_fontfamily(), [str(one.message) for one in told]


def test_letters_that_the_font_lacks_come_from_another(caplog):
    others = set().union(*(letters for _, letters in _installed()))
    lacking = letter(others, _letters_of(FONT))
    assert lacking  # matplotlib brings fonts of mathematical signs along
    families, told = drawn(f"class {lacking}")
    assert families[0] == FONT
    assert len(families) == 2
    assert not told
    assert not caplog.records


def test_letters_that_no_font_has_are_told_in_one_line(caplog):
    everything = set().union(_letters_of(FONT), *(letters for _, letters in _installed()))
    anything = set(map(chr, range(0x110000)))
    if not (unknown := letter(anything, everything)):
        pytest.skip("the fonts of this machine have all letters")
    drawn(f"class {unknown}")
    (record,) = caplog.records
    assert f"some_figure: no installed font has {unknown}, which print as boxes" in record.message
    assert record.tell


def test_usual_letters_need_no_other_font():
    """A figure is then the same on every machine, whatever fonts that has."""
    families, told = drawn("Größe ± 5, Ω и α")  # noqa: RUF001
    assert families == [FONT]
    assert not told


TITLE = "1$ | 2$ <script> & 50% of 中"


@pytest.fixture
def report(tmp_path, monkeypatch, smoke_config):
    """Tables and pages of results whose title and label are hard to print; their names."""
    monkeypatch.chdir(tmp_path)
    dataset = written(tmp_path, rows().rename(columns={"label": "NA"}))
    smoke_config["datasets"] = {"mine": {"table": dataset.table, "labels": ["NA"]}}
    smoke_config["evaluation"] = {"recall_at": [1], "metrics": ["recall"]}
    smoke_config["selections"] = ["last"]
    smoke_config["recipes"]["digits_8d"]["image_size"] = 8
    smoke_config["experiments"]["even_odd"] |= {"dataset": "mine", "title": TITLE}
    plan = resolve_config(smoke_config, "test")
    make_results(plan, Path(paths.results("smoke")))
    gather(plan)
    write_tables(plan, "even_odd")
    write_pages(plan)
    write_means(plan)


def test_titles_and_labels_are_printed_as_they_are(report):
    markdown, tex, csv = (
        Path(paths.table("smoke", "even_odd", suffix)) for suffix in ("md", "tex", "csv")
    )
    # A dollar sign that is escaped is none of a formula's.
    assert r"## 1\$ \| 2\$ \<script> & 50% of 中" in markdown.read_text()
    assert r"1\$ | 2\$ \ensuremath{<}script\ensuremath{>} \& 50\%" in plain(tex.read_text())
    page = Path(paths.experiment_page("smoke", "even_odd")).read_text()
    assert "1$ | 2$ &lt;script&gt; &amp; 50% of 中" in page
    assert "<script>" not in page
    assert set(read_csv(csv)["label"]) == {"NA"}
    assert "test, NA" in page
    means = json.loads(Path(paths.means("smoke", "json")).read_text())["even_odd"]
    assert all("last test NA recall@1" in values for values in means.values())
