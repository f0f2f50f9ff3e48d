"""`dvc repro` on fresh machines, with real DVC, a file:// mirror and a local remote.

Fixtures that several tests share are not changed by them: who writes takes a clone or a copy.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import yaml
from clones import Clone, add_loss, fresh_clone, repository, trainings, widen_margin
from conftest import job_counts

NOTHING = "Nothing to be done"
MEANS = "results/benchmark/means/means.json"
ARCHIVE = "data/raw/mnist/t10k-labels-idx1-ubyte.gz"


@pytest.fixture(scope="module", autouse=True)
def _alone(tmp_path_factory):
    """No network, no settings of this machine, and the programs of this environment."""
    home = str(tmp_path_factory.mktemp("home"))
    who = ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL")
    places = ("HOME", "XDG_CONFIG_HOME", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR")
    variables = dict.fromkeys(who, "test") | dict.fromkeys(places, home)
    variables |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    variables |= {"GIT_CONFIG_NOSYSTEM": "1", "DVC_SITE_CACHE_DIR": home}
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith(("SNAKEMAKE", "DMLBENCH"))]:
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def mirror(shared_data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mirror")
    shutil.copytree(shared_data / "mnist", folder / "mnist")
    return folder


@pytest.fixture(scope="module")
def upstream(mirror, tmp_path_factory) -> Path:
    """The repository before anyone ran it."""
    return repository(tmp_path_factory.mktemp("upstream"), mirror)


@pytest.fixture(scope="module")
def first(upstream, tmp_path_factory) -> tuple[Clone, str]:
    """Case (a): a clone without a DVC remote after `dvc repro`, and what that said."""
    clone = fresh_clone(upstream, tmp_path_factory.mktemp("first") / "clone")
    return clone, clone.repro()


@pytest.fixture(scope="module")
def shared(first, tmp_path_factory) -> tuple[Clone, Path]:
    """The colleague's clone, committed and pushed, and the DVC remote."""
    remote = tmp_path_factory.mktemp("remote")
    colleague = first[0].copy(tmp_path_factory.mktemp("colleague") / "clone")
    colleague.dvc("remote", "add", "--local", "--default", "shared", remote)
    colleague.commit("results")
    colleague.dvc("push")
    return colleague, remote


@pytest.fixture(scope="module")
def pulled(shared, tmp_path_factory) -> tuple[Clone, str]:
    """Case (c): a fresh clone after `dvc repro --pull`, and what that said."""
    colleague, remote = shared
    clone = fresh_clone(colleague.folder, tmp_path_factory.mktemp("pulled") / "clone", remote)
    return clone, clone.repro("--pull")


@pytest.fixture
def dead_mirror(mirror):
    """For one test, no address has anything."""
    away = mirror.rename(mirror.with_name("away"))
    yield
    away.rename(mirror)


def test_without_a_remote_it_downloads_verifies_trains_and_makes_tables(first):
    clone, said = first
    assert said.count("fetch ") >= 4
    assert trainings(said) == ["triplet"]
    assert (clone.folder / ARCHIVE).exists()
    assert "recall" in (clone.results / "tables/mnist_even_odd.csv").read_text()
    # Git has the lock, what DVC compares, and what is read; all else is DVC's, with the archives.
    new = clone.git("status", "--porcelain", "--untracked-files=all").split()[1::2]
    folders = {name.rpartition("/")[0].removeprefix("results/benchmark/") for name in new}
    assert folders == {"", "figures", "means", "tables"}
    assert {"dvc.lock", MEANS, MEANS.replace("json", "csv")} <= set(new)
    pins = yaml.safe_load((clone.folder / "data.dvc").read_text())["outs"]
    for pin in [p for p in pins if "/mnist/" in p["path"]]:
        assert (clone.folder / f".dvc/cache/files/md5/{pin['md5'][:2]}/{pin['md5'][2:]}").exists()


def test_with_a_remote_and_dead_mirrors_the_data_come_from_the_remote(
    upstream, first, shared, dead_mirror, tmp_path
):
    clone = fresh_clone(upstream, tmp_path / "clone", shared[1])
    said = clone.repro()
    assert "fetch " not in said
    assert trainings(said) == ["triplet"]
    assert clone.contents() == first[0].contents()


def test_pulled_results_are_up_to_date_for_dvc_and_snakemake_whatever_their_times(pulled, tmp_path):
    clone, said = pulled
    assert "reproduce.py" not in said
    assert not (clone.folder / ".snakemake").exists()
    clone = clone.copy(tmp_path / "clone")
    draw = random.Random(0)
    for _ in range(2):  # the second time, Snakemake has records
        for file in sorted(clone.results.rglob("*.*")):
            when = draw.uniform(1e9, 2e9)
            os.utime(file, (when, when))
        assert NOTHING in clone.dry_run()
    assert clone.git("status", "--porcelain") == ""
    assert "up to date" in clone.dvc("status", "results@benchmark")


def test_an_added_loss_trains_its_runs_alone(first, pulled, tmp_path):
    worker, clone = first[0].copy(tmp_path / "worker"), pulled[0].copy(tmp_path / "clone")
    for each in (worker, clone):
        each.change(add_loss)
    assert trainings(worker.dry_run()) == ["contrastive"]
    before = clone.contents()
    # Where the data were not pulled, Snakemake alone would train all: it says what to do instead.
    beside = clone.copy(tmp_path / "beside")
    said = beside.run("snakemake", "-c2", "all", fails=True)
    assert "error: 1 finished run(s) would be trained again" in said
    assert trainings(said) == []
    assert beside.contents() == before
    beside.run("snakemake", "-c2", "datasets")
    assert trainings(beside.dry_run()) == ["contrastive"]
    assert trainings(clone.repro()) == ["contrastive"]
    after = clone.contents()
    runs = {f for f in before if f.startswith("runs/")}
    assert {f: after[f] for f in runs} == {f: before[f] for f in runs}
    assert NOTHING in clone.dry_run()
    # Back to the colleague's results, and to them under the new config.
    clone.commit("another loss")
    clone.git("checkout", "--quiet", "HEAD~1")
    clone.dvc("checkout", "results@benchmark")
    assert NOTHING in clone.dry_run()


def test_results_without_records_are_never_recorded_as_those_of_a_changed_parameter(
    pulled, tmp_path
):
    """Two tools combined plainly say that nothing is to be done, and DVC writes that down."""
    clone = pulled[0].copy(tmp_path / "clone")
    (clone.results / "origins.json.gz").unlink()
    shutil.rmtree(clone.folder / ".snakemake", ignore_errors=True)
    before = clone.contents()
    clone.change(widen_margin)
    said = clone.repro()
    assert "nothing is known of what made this file" in said
    assert trainings(said) == ["triplet"]
    after = clone.contents()
    weights = [f for f in before if f.endswith(".safetensors")]
    assert weights
    assert all(before[f] != after[f] for f in weights)
    record = json.loads(next(clone.results.rglob("run.json")).read_text())
    assert "1.0" in json.dumps(record)


def test_results_of_another_parameter_that_were_put_in_place_are_out_of_date(first, tmp_path):
    """Snakemake's records are there, and of files that lay there before."""
    clone = first[0].copy(tmp_path / "clone")
    clone.change(widen_margin)
    assert trainings(clone.dry_run()) == ["triplet"]
    for file in clone.results.rglob("*.safetensors"):
        file.write_bytes(b"of nobody knows what")
    clone.config.write_text(first[0].config.read_text())
    assert trainings(clone.dry_run()) == ["triplet"]


@pytest.fixture
def spoilt(shared_data) -> bytes:
    """An archive with one byte changed."""
    content = bytearray((shared_data / "mnist" / Path(ARCHIVE).name).read_bytes())
    content[-1] ^= 1
    return bytes(content)


@pytest.mark.parametrize("place", ["mirror", "remote", "workspace"])
def test_an_archive_changed_by_one_byte_is_refused_by_name(
    upstream, mirror, shared, spoilt, tmp_path, place
):
    clone = fresh_clone(upstream, tmp_path / "clone")
    mine = tmp_path / "mirror"
    shutil.copytree(mirror, mine)
    clone.change(lambda config: config["data"].update(mirror=mine.as_uri()))
    if place == "workspace":
        (clone.folder / ARCHIVE).parent.mkdir(parents=True)
        (clone.folder / ARCHIVE).write_bytes(spoilt)
    else:
        (mine / "mnist" / Path(ARCHIVE).name).write_bytes(spoilt)
    if place == "remote":
        remote = tmp_path / "remote"
        shutil.copytree(shared[1], remote)
        pins = yaml.safe_load((clone.folder / "data.dvc").read_text())["outs"]
        md5 = next(pin["md5"] for pin in pins if pin["path"] == ARCHIVE)
        file = remote / "files" / "md5" / md5[:2] / md5[2:]
        file.chmod(0o600)
        file.write_bytes(spoilt)
        clone.dvc("remote", "add", "--local", "--default", "shared", remote)
    said = clone.repro(fails=True)
    lines = [line for line in said.splitlines() if "error: " in line and "checksum" in line]
    assert lines
    assert all(Path(ARCHIVE).name in line for line in lines)
    assert "Traceback" not in said
    assert trainings(said) == []
    assert not (clone.folder / "dvc.lock").exists()
    if place == "remote":
        assert f"{ARCHIVE}: not in the DVC remote 'shared'" in said


def test_an_experiment_with_a_changed_key_can_be_compared(shared, tmp_path):
    clone = shared[0].copy(tmp_path / "clone")
    said = clone.dvc(
        *("exp", "run", "results@benchmark", "-S", "config.yaml:losses.triplet.margin=1.0")
    )
    assert trainings(said) == ["triplet"]
    margin = json.loads(clone.dvc("params", "diff", "--json", "--targets", "config.yaml"))
    assert margin["config.yaml"]["losses.triplet.margin"] == {
        "old": 0.2,
        "new": 1.0,
        "diff": 0.8,
    }
    # A line above says that another config of dvc.yaml has not been run.
    said = clone.dvc("metrics", "diff", "--json").splitlines()[-1]
    changes = json.loads(said)[MEANS]
    recall = {key: value["diff"] for key, value in changes.items() if "recall@1" in key}
    assert recall
    assert all(recall.values())
    clone.dvc("plots", "diff", "HEAD", "--targets", MEANS.replace("json", "csv"))
    assert "mnist_even_odd: Triplet" in (clone.folder / "dvc_plots/index.html").read_text()


def test_another_profile_invalidates_nothing(first, tmp_path):
    clone = first[0].copy(tmp_path / "clone")
    lock = (clone.folder / "dvc.lock").read_bytes()
    assert "didn't change" in clone.repro(SNAKEMAKE_PROFILE="slurm")
    assert NOTHING in clone.dry_run("--profile", "slurm")
    assert NOTHING in clone.repro("--force", SNAKEMAKE_PROFILE="local")
    assert (clone.folder / "dvc.lock").read_bytes() == lock


def test_who_has_some_of_the_datasets_pulls_and_pushes_those(upstream, shared, tmp_path):
    clone = fresh_clone(upstream, tmp_path / "clone", shared[1])
    clone.run("sh", "-c", "dvc pull $(grep -o 'data/raw/mnist/.*' data.dvc)")
    assert len(list((clone.folder / "data/raw/mnist").glob("*.gz"))) == 4
    assert "up to date" in clone.dvc("status", *sorted(clone.folder.glob("data/raw/mnist/*")))
    empty = tmp_path / "another remote"
    clone.dvc("remote", "add", "--local", "another", empty)
    clone.dvc("push", "--remote", "another")
    assert sum(file.is_file() for file in empty.rglob("*")) == 4


def flip(file: Path) -> None:
    """Another bit in the middle of a file, as a failing disk leaves it: its mode and time stay."""
    facts = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(content)
    file.chmod(facts.st_mode)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def in_cache(clone: Clone, file: Path) -> Path:
    """Where DVC's cache has the content of a file."""
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    return clone.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


@pytest.mark.parametrize("name", ["model_last.safetensors", "metrics.json"])
def test_a_flipped_byte_in_the_cache_is_never_taken_for_a_result(pulled, tmp_path, name):
    """DVC trusts its cache; Snakemake is told by what came along, and makes the file anew."""
    clone = pulled[0].copy(tmp_path / "clone")
    (file,) = clone.results.rglob(name)
    flip(in_cache(clone, file))
    file.unlink()
    clone.dvc("checkout", "results@benchmark")
    said = clone.dry_run()
    assert f"{file.relative_to(clone.folder)}: nothing is known of what made this file" in said
    rule = "train" if name.endswith("safetensors") else "evaluate"
    assert job_counts(said)[rule] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="whole groups of processes are killed")
def test_a_push_that_was_cut_is_ended_by_the_next_one(shared, tmp_path):
    colleague = shared[0].copy(tmp_path / "colleague")
    whole = {f.relative_to(shared[1]) for f in shared[1].rglob("*") if f.is_file()}
    remote = tmp_path / "remote"
    colleague.dvc("remote", "add", "--local", "--force", "--default", "shared", remote)
    push = colleague.begin("dvc", "push", "--jobs", "1")
    try:
        while not any(f.is_file() for f in remote.rglob("*")):
            assert push.poll() is None
            time.sleep(0.001)
    finally:
        os.killpg(push.pid, signal.SIGKILL)
        push.wait()
    left = {f.relative_to(remote) for f in remote.rglob("*") if f.is_file()}
    assert whole - left, "the push was too fast to be cut"
    colleague.dvc("push")
    clone = fresh_clone(colleague.folder, tmp_path / "clone", remote)
    clone.dvc("pull", "results@benchmark")
    assert clone.contents() == colleague.contents()
    assert NOTHING in clone.dry_run()
