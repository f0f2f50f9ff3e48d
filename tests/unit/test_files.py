"""Files that are replaced in one step, and what killed processes leave behind."""

import signal
import subprocess
import sys

from conftest import ROOT, run_script

from dmlbench.files import replacing, write_text


def begun(target):
    """A process in the middle of writing ``target``."""
    code = (
        "import sys, time; from pathlib import Path; from dmlbench.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); print(temporary.name, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(target)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_what_a_killed_process_left_is_removed_and_a_living_ones_is_not(tmp_path):
    target = tmp_path / "pixels.bin"
    (killed, left), (living, held) = begun(target), begun(target)
    other = tmp_path / ".tmp-index-abc.bin"  # of another target
    other.touch()
    assert names(tmp_path) == sorted([left, held, other.name])
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    with replacing(target) as temporary:
        temporary.write_text("whole")
        assert names(tmp_path) == sorted([held, other.name, temporary.name])
    assert target.read_text() == "whole"
    assert names(tmp_path) == sorted([held, other.name, target.name])
    living.kill()
    living.communicate()


def test_a_name_with_signs_that_patterns_have(tmp_path):
    target = tmp_path / "a[1]*?.json"
    killed, _ = begun(target)
    killed.kill()
    killed.communicate()
    write_text(target, "{}")
    assert names(tmp_path) == [target.name]


def test_a_prepare_that_fails_leaves_no_summary_of_what_was_there(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("summary.txt", "images.png", "pairs.parquet"):
        (out / name).write_text("of another index")
    raw = tmp_path / "lfw.tgz"
    raw.touch()
    done = run_script("prepare", "--dataset", "lfw", "--raw", raw, "--out", out, cwd=ROOT)
    assert done.returncode == 2
    assert names(out) == []
