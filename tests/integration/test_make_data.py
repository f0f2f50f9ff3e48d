"""``make data``."""

import shutil
import subprocess

import pytest
from conftest import ROOT, error_lines, run_script


@pytest.fixture
def offline(monkeypatch):
    """No upstream: every address is refused at once."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def make_data(tmp_path, *arguments):
    """What `make data` runs, in an empty folder with the repository's workflow."""
    shutil.copy(ROOT / "Snakefile", tmp_path)
    for part in ("rules", "workflow_scripts"):
        (tmp_path / part).symlink_to(ROOT / part)
    return run_script(
        "data", "make", "--config", ROOT / "config.yaml", "--cores", 1, *arguments, cwd=tmp_path
    )


@pytest.mark.slow
def test_make_data_takes_a_mirror_of_any_name(tmp_path, shared_data, offline):
    mirror = tmp_path / "my mirror, {old}: it's"
    mirror.symlink_to(shared_data)
    done = make_data(tmp_path, "--dataset", "mnist", "--mirror", mirror)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mnist: 35,457 images" in done.stdout
    # The size stands on the terminal, before anything is written.
    assert "mnist/original: the store will take 27.8 MB of disk" in done.stderr


@pytest.mark.slow
def test_make_data_tells_everything_that_is_missing_at_once(tmp_path, offline):
    keys = "sources: {cars196: cars196_parquet}"
    mirror = tmp_path / "mirror" / "cars196_parquet"
    mirror.mkdir(parents=True)
    for name in ("test-00000-of-00002.parquet", "train-00001-of-00002.parquet"):
        (mirror / name).write_bytes(b"some bytes")
    done = make_data(
        tmp_path, "--dataset", "cars196", "--data", keys, "--mirror", tmp_path / "mirror"
    )
    assert done.returncode != 0
    lines = error_lines(done)
    assert len(lines) == 5
    assert sum("could not be had" in line for line in lines) == 3
    assert sum("nobody has published a checksum" in line for line in lines) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--dataset", "omniglott"], "there is no dataset 'omniglott'; did you mean 'omniglot'?"),
        (["--dataset", "x"], "there is no dataset 'x'; valid here: cars196, cars196_make, cub"),
        (
            ["--dataset", "mnist", "--store", "resize"],
            "there is no store 'resize'; did you mean 'resize256'?",
        ),
        (["--dataset", "mnist", "--data", "mirro: x"], "data.mirro: unknown key"),
        (["--dataset", "mnist", "--data", "mirror: ["], "DATA='mirror: [': no keys of the section"),
        (["--dataset", "mnist", "--data", "{a"], "DATA='{a': no keys of the section"),
    ],
)
def test_a_mistake_in_make_data_is_one_line(tmp_path, arguments, told):
    done = make_data(tmp_path, *arguments)
    assert done.returncode == 2
    (line,) = error_lines(done)
    assert told in line
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_the_makefile_hands_on_what_it_is_given():
    given = ["DATASET=cars196", "MIRROR=/x, y's", "DATA=sources: {cars196: cars196_parquet}"]
    command = ["make", "-n", "-C", str(ROOT), "data", *given]
    done = subprocess.run(command, capture_output=True, text=True)
    assert '--mirror "$MIRROR"' in done.stdout
    assert '--data "$DATA"' in done.stdout
    assert "--data " not in subprocess.run(command[:-1], capture_output=True, text=True).stdout
