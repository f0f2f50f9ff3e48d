"""The theory simulation: exact expectations against every label drawn, then collapse or not."""

import itertools
import math
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, error_lines
from expected_losses import EXPECTED, label_chances, squared_distances
from hypothesis import given, settings
from hypothesis import strategies as st
from show import write_figure, write_tables
from simulation import LOSSES, Settings, collapsed_value, measure, simulate

SCRIPT = ROOT / "studies" / "theory" / "theory.py"


def loss_of_labels(loss, easy, distance, labels, beta):
    """The loss once labels are known, in plain loops: EPS section 3, with alpha = 1."""
    n = len(labels)
    total = 0.0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        positives = [j for j in others if labels[j] == labels[i]]
        negatives = [j for j in others if labels[j] != labels[i]]
        if easy:
            positives = sorted(positives, key=lambda j: distance[i][j])[:1]
        pull = {j: max(0.0, distance[i][j] - beta[i] + 1) for j in positives}
        push = {k: max(0.0, beta[i] - distance[i][k] + 1) for k in negatives}
        if loss == "margin" and not easy:
            total += (sum(pull.values()) + sum(push.values())) / (n * (n - 1))
            continue
        terms = [
            max(0.0, distance[i][j] - distance[i][k] + 1)
            if loss == "triplet"
            else pull[j] + push[k]
            for j in positives
            for k in negatives
        ]
        total += sum(terms) / (n * (n - 2) if easy else n * (n - 1) * (n - 2))
    return total


def brute_force(loss, easy, points, p, beta):
    """The mean over all label assignments, each with its chance."""
    n = len(points)
    distance = [
        [sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for y in points] for x in points
    ]
    expected = 0.0
    for labels in itertools.product((0, 1), repeat=n):
        right = [label == (i >= n // 2) for i, label in enumerate(labels)]
        chance = math.prod(p if ok else 1 - p for ok in right)
        expected += chance * loss_of_labels(loss, easy, distance, labels, beta)
    return expected


def some_points(seed, n, dim):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    return points, 0.5 + 2 * torch.rand(n, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("loss", "easy"), EXPECTED)
@given(seed=st.integers(0, 10**6), n=st.integers(3, 6), dim=st.integers(1, 4))
@settings(max_examples=10)
def test_expectation_is_the_mean_over_all_labels(loss, easy, seed, n, dim):
    points, beta = some_points(seed, n, dim)
    p = torch.tensor([1.0, 0.85, 0.6], dtype=torch.float64)
    distances = squared_distances(points.expand(3, n, dim))
    values = EXPECTED[loss, easy](distances, label_chances(p, n), beta.expand(3, n))
    for value, right in zip(values.tolist(), p.tolist(), strict=True):
        expected = brute_force(loss, easy, points.tolist(), right, beta.tolist())
        assert value == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(("loss", "easy"), EXPECTED)
def test_gradient_equals_finite_differences(loss, easy):
    points, beta = some_points(1, 8, 3)
    chances = label_chances(torch.tensor([0.8], dtype=torch.float64), 8)

    def value(points, beta):
        return EXPECTED[loss, easy](squared_distances(points[None]), chances, beta[None])

    assert torch.autograd.gradcheck(value, (points.requires_grad_(), beta.requires_grad_()))


@pytest.fixture(scope="module")
def table():
    small = Settings(
        p=[1.0, 0.9, 0.75], dimensions=[2, 5], points_per_mode=4, starts=2, steps=800, beta_start=6
    )
    return simulate(small)


def last_step(table, **chosen):
    last = table[table["step"] == table["step"].max()]
    for column, value in chosen.items():
        last = last[last[column] == value]
    assert len(last)
    return last


class TestSeparation:
    """Every start counts: the worst class of the worst start decides."""

    @pytest.mark.parametrize("p", [0.9, 0.75])
    @pytest.mark.parametrize("dimension", [2, 5])
    @pytest.mark.parametrize("loss", LOSSES)
    def test_under_noise_classes_collapse_without_eps_and_not_with_it(
        self, table, loss, dimension, p
    ):
        apart = 1.0 if loss == "triplet" else math.sqrt(2)
        plain = last_step(table, loss=loss, eps=False, dimension=dimension, p=p)
        easy = last_step(table, loss=loss, eps=True, dimension=dimension, p=p)
        assert len(plain) == len(easy) == 6
        assert (plain["diameter_max"] < 0.1 * apart).all()
        assert plain["gap"].to_numpy() == pytest.approx(apart, rel=0.05)
        assert (easy["diameter_min"] > 0.9 * apart).all()

    @pytest.mark.parametrize("loss", LOSSES)
    def test_theorems_1_and_2_the_descent_ends_at_the_value_of_collapsed_classes(self, table, loss):
        plain = last_step(table, loss=loss, eps=False)
        assert plain["value"].to_numpy() == pytest.approx(plain["collapsed_value"], abs=2e-3)

    @pytest.mark.parametrize("loss", LOSSES)
    def test_claims_1_and_2_with_eps_collapsed_classes_cost_more(self, table, loss):
        easy = last_step(table, loss=loss, eps=True)
        noisy = easy[easy["p"] < 1]
        assert (noisy["value"] < 0.9 * noisy["collapsed_value"]).all()

    def test_without_noise_no_loss_with_room_for_modes_collapses_them(self, table):
        for loss in ("triplet", "margin_learned"):
            clean = last_step(table, loss=loss, p=1.0, kind="modes")
            assert (clean["diameter_min"] > 0.2).all()
            assert clean["value"].to_numpy() == pytest.approx(0, abs=1e-4)

    def test_without_noise_the_margin_loss_with_beta_alpha_collapses(self, table):
        """Section 4.1 says otherwise: (D - beta + alpha)_+ is D there."""
        clean = last_step(table, loss="margin", eps=False, p=1.0)
        assert (clean["diameter_max"] < 0.01).all()


@pytest.mark.parametrize(("loss", "boundary"), [("triplet", 1.0), ("margin", 3.0)])
def test_equilateral_classes_are_as_good_as_collapsed_ones(loss, boundary):
    """Where n points fit into the space at two distances, the theorems' minimum is not unique."""
    n, side = 8, 2.0
    of_class = torch.arange(n) < n // 2
    same = of_class[:, None] == of_class
    distances = torch.where(same, side, side + (1 if loss == "triplet" else 2)).fill_diagonal_(0)
    # Squared Euclidean distances: the doubly centred matrix has no negative eigenvalue.
    centred = torch.eye(n) - 1 / n
    assert torch.linalg.eigvalsh(-centred @ distances @ centred).min() > -1e-5
    p = torch.tensor([0.8])
    value = EXPECTED[loss, False](
        distances[None], label_chances(p, n), torch.full((1, n), boundary)
    ).item()
    assert value == pytest.approx(collapsed_value(loss, False, 0.8, n), rel=1e-5)


def test_collapsed_value_is_the_least_over_a_fine_grid():
    n, p = 8, 0.8
    for loss, (kind, learned) in LOSSES.items():
        for easy in (False, True):
            grid = torch.linspace(0, 4, 41)
            betas = torch.linspace(0, 3, 31) if learned else torch.ones(1)
            apart, beta = torch.cartesian_prod(grid, betas).unbind(1)
            half = torch.ones(n // 2, n // 2)
            distances = apart[:, None, None] * (torch.block_diag(half, half) == 0)
            chances = label_chances(torch.full_like(apart, p), n)
            values = EXPECTED[kind, easy](distances, chances, beta[:, None].expand(-1, n))
            least = collapsed_value(loss, easy, p, n)
            assert values.min().item() == pytest.approx(least, rel=1e-5)


def test_measures_of_known_points():
    modes = torch.tensor([[0.0, 0.0], [0.0, 4.0], [3.0, 0.0], [3.0, 2.0]])
    points = modes.repeat_interleave(2, 0)
    points[0, 0] = -1.0
    measured = {name: value.item() for name, value in measure(points[None]).items()}
    assert measured == pytest.approx(
        {
            "diameter_min": 2.0,
            "diameter_max": math.sqrt(17),
            "gap": 3.0,
            "mode_diameter": 0.25,
            "mode_distance": (math.hypot(0.5, 4.0) + 2) / 2,
        }
    )


def test_the_same_config_gives_the_same_numbers_and_the_global_stream_is_left_alone():
    small = Settings(p=[0.9], dimensions=[3], points_per_mode=2, starts=1, steps=5, beta_start=6)
    before = torch.get_rng_state()
    first, second = simulate(small), simulate(small)
    assert first.equals(second)
    assert (torch.get_rng_state() == before).all()


def test_tables_and_figure_are_written(table, tmp_path):
    write_tables(table, tmp_path)
    write_figure(table, tmp_path)
    file = tmp_path / "collapse"
    summary = pd.read_csv(file.with_suffix(".csv"))
    assert len(summary) == 3 * 2 * 2 * 3 * 3
    text = file.with_suffix(".md").read_text()
    worst = last_step(table, loss="triplet", dimension=2, kind="modes", p=0.9)
    largest = worst.loc[~worst["eps"], "diameter_max"].max()
    smallest = worst.loc[worst["eps"], "diameter_min"].min()
    row = next(line for line in text.splitlines() if line.startswith("| Triplet"))
    assert row.split("|")[5].strip() == f"{largest:.2f} / {smallest:.2f}"
    assert file.with_suffix(".pdf").read_bytes()[:5] == b"%PDF-"
    assert file.with_suffix(".png").stat().st_size > 10_000
    compiles(file.with_suffix(".tex").read_text(), tmp_path)


def compiles(table, folder):
    assert r"$\beta$ = $\alpha$" in table
    if shutil.which("pdflatex") is None:
        return
    document = (
        r"\documentclass[10pt]{article}\usepackage{booktabs}\begin{document}"
        + table
        + r"\end{document}"
    )
    (folder / "t.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def theory(folder, **changes):
    """The script with the default settings but for ``changes``."""
    given = yaml.safe_load(SCRIPT.with_name("config.yaml").read_text()) | changes
    (folder / "mine.yaml").write_text(yaml.safe_dump(given))
    command = [sys.executable, SCRIPT, "--config", "mine.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_script_makes_everything(tmp_path):
    small = {"p": [1.0, 0.9], "dimensions": [2], "points_per_mode": 2, "starts": 1, "steps": 50}
    done = theory(tmp_path, **small)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "results/theory"
    table = pd.read_parquet(made / "collapse.parquet")
    assert table.groupby(["loss", "eps", "p", "kind"]).ngroups == 3 * 2 * 2 * 3
    suffixes = {".parquet", ".csv", ".md", ".tex", ".pdf", ".png"}
    assert {file.suffix for file in made.iterdir()} == suffixes


def test_a_wrong_setting_is_refused_in_one_line(tmp_path):
    for wrong in ({"p": [0.5]}, {"p": [0.9, 0.9]}, {"points_per_mode": 1}, {"step": 3}):
        done = theory(tmp_path, **wrong)
        assert done.returncode == 2
        (line,) = error_lines(done)
        assert f"mine.yaml: {next(iter(wrong))}" in line
