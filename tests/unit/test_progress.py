"""What long work tells of itself."""

import logging

from dmlbench import progress


def test_items_are_counted_in_a_log(monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="dmlbench")
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    assert list(progress.progress(range(3), 4, "made", "images")) == [0, 1, 2]
    assert "made: 2 images of 4 images (50%)" in caplog.text
    assert caplog.text.rstrip().endswith("left")


def test_a_line_tells_amount_speed_and_time_left():
    lines = progress._Lines("a.bin", 110_000_000, "B", 10_000_000)
    lines.done = 60_000_000
    assert lines.line(10) == "a.bin: 60.0 MB of 110.0 MB (55%), 5.0 MB/s, 00:10 left"
    assert progress._Lines("a.bin", None, "B").line(1) == "a.bin: 0.0 MB, 0.0 MB/s"
