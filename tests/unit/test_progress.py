"""Progress of long work in a log."""

import logging
import re

from dmlbench import progress


def test_items_are_counted_in_a_log(monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="dmlbench")
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    with progress.counting("made", 4, "images") as count:
        for _ in range(3):
            count(1)
    assert "made: 2 images of 4 images (50%)" in caplog.text
    assert caplog.text.rstrip().endswith("left")


def test_a_line_tells_amount_speed_and_time_left(monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="dmlbench")
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    with progress.counting("a.bin", 110_000_000, "B", 10_000_000) as count:
        count(50_000_000)
    line = r"a\.bin: 60\.0MB of 110MB \(55%\), [\d.]+.?B/s, 00:0\d left"
    assert re.search(line, caplog.text)
    with progress.counting("b.bin", None, "B") as count:
        count(500)
    assert re.search(r"b\.bin: 500B, [\d.]+.?B/s", caplog.text)


def test_a_log_has_no_line_of_work_that_is_soon_done(caplog):
    caplog.set_level(logging.INFO, logger="dmlbench")
    with progress.counting("made", 3, "images") as count:
        count(3)
    assert not caplog.text
