"""docs/adding-a-metric.md, followed to the letter."""

import re
import shutil

import pytest
import yaml
from conftest import ROOT
from test_docs import run_demo

DOC = (ROOT / "docs" / "adding-a-metric.md").read_text()
(METRIC,) = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
(CONFIG,) = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL))


@pytest.mark.slow
def test_a_metric_is_one_file(tmp_path):
    for part in ("workflow_scripts", "rules"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / "Snakefile", tmp_path)
    folder = tmp_path / "workflow_scripts/dmlbench/evaluation/metrics"
    (folder / "precision_at_five.py").write_text(METRIC)
    table = run_demo(tmp_path, [CONFIG], tmp_path)
    mine = table[table["metric"] == "precision_at_5"]
    assert len(mine) > 0
    assert mine["mean"].between(0, 100).all()
    assert set(table["metric"]) == {"recall", "nmi", "precision_at_5"}
    assert "P@5" in (tmp_path / "results/demo/tables/even_odd.md").read_text()
