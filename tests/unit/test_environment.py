"""The environment of a process decides no result: not a byte of a table, a figure or a number."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import SCRIPTS, config_with
from made_results import gather
from made_up import make_up

from dmlbench import paths
from dmlbench.config import resolve_config
from dmlbench.config.load import write_plan
from dmlbench.data.dataset import get_dataset
from dmlbench.data.prepare import prepare

#: Makes all that is made of stored runs and embeddings, and prints a hash of each file and number.
CODE = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from dmlbench import paths
from dmlbench.config import load_config
from dmlbench.evaluation.illustrations import in_plane, similarity_histogram
from dmlbench.evaluation.metric import METRICS, Sample
from dmlbench.evaluation.run_metrics import measure_images
from dmlbench.files import checksum_of
from dmlbench.reporting.collect import collect, write_means
from dmlbench.reporting.draw_figures import write_figures
from dmlbench.reporting.report import write_pages
from dmlbench.reporting.tables import write_overview, write_tables

plan = load_config(Path("results/smoke/config.json"))
collect(plan)
write_tables(plan, "even_odd")
for which in paths.OVERVIEWS:
    write_overview(plan, which)
write_means(plan)
write_figures(plan, "even_odd")
write_pages(plan)
for folder in ("tables", "figures", "means", "report", "summary"):
    for file in sorted(Path("results/smoke", folder).rglob("*.*")):
        print(file, checksum_of(file))
rng = np.random.default_rng(0)
vectors = rng.standard_normal((300, 64)).astype(np.float32)
labels = np.arange(300) % 5
print("plane", in_plane(vectors, 10, 0)[0].tobytes().hex()[:400])
print("similarities", similarity_histogram(vectors, labels, 200).to_csv(float_format="%r"))
settings = SimpleNamespace(recall_at=[1], nmi_plus=2, kmeans_seeds=[0], kmeans_restarts=1)
names = [name for name in METRICS.classes() if not METRICS.get(name).of_pairs]
for row in measure_images(Sample(vectors, labels, np.arange(300), settings, "label"), names):
    print(row)
"""
MATPLOTLIBRC = "figure.facecolor: pink\nfont.size: 30\naxes.grid: False\nsavefig.bbox: tight\n"
HOSTILE = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MATPLOTLIBRC": "mine",
    "MPLSTYLE": "dark_background",
    "LC_ALL": "C",
    "LANG": "de_DE.ISO-8859-1",
    "TZ": "Pacific/Kiritimati",
    "PYTHONHASHSEED": "7",
    "COLUMNS": "20",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "SOURCE_DATE_EPOCH": "86400",
    "PYTHONUTF8": "0",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The folder of made-up results, and what is made of them in an environment of a login."""
    folder = tmp_path_factory.mktemp("results")
    index = tmp_path_factory.mktemp("digits")
    prepare(get_dataset("digits_even_odd"), {}, index)
    before = Path.cwd()
    os.chdir(folder)
    try:
        config = config_with()
        config["experiments"]["even_odd"]["title"] = "Größe 5$ 中"
        plan = resolve_config(config, "test")
        data = plan.data_folder(next(iter(plan.runs.values())))
        data.parent.mkdir(parents=True)
        data.symlink_to(index)
        make_up(plan, pd.read_parquet(index / paths.INDEX_FILE))
        gather(plan)
        write_plan(plan, Path(paths.results("smoke")))
    finally:
        os.chdir(before)
    (folder / "mine").mkdir()
    (folder / "mine/matplotlibrc").write_text(MATPLOTLIBRC)
    return folder, made(folder, {})


def made(folder, environment):
    """What the code prints in a bare environment with these variables."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE], cwd=folder, capture_output=True,
        env={"PYTHONPATH": str(SCRIPTS), "LANG": "C.UTF-8", **kept, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode().splitlines()


def test_all_of_it_at_once_changes_nothing(results):
    folder, usual = results
    assert len(usual) > 100
    # The file in the working directory comes before the one that is named.
    (folder / "matplotlibrc").write_text(MATPLOTLIBRC)
    try:
        assert made(folder, HOSTILE) == usual
    finally:
        (folder / "matplotlibrc").unlink()
