"""Drivers' output outlives the cluster."""

from __future__ import annotations

from pathlib import Path

from raysail.node.driverlogs import keep_driver_logs


def test_drivers_logs_are_kept_and_nothing_else(tmp_path: Path) -> None:
    logs = tmp_path / "0.tmp" / "ray" / "session_2026" / "logs"
    logs.mkdir(parents=True)
    (tmp_path / "0.tmp" / "ray" / "session_latest").symlink_to(logs.parent)
    (logs / "job-driver-train-x7k2p.log").write_text("hello\n")
    (logs / "raylet.out").write_text("noise")
    (tmp_path / "secret").write_text("secret")
    (logs / "job-driver-trick.log").symlink_to(tmp_path / "secret")
    target = tmp_path / "history"
    assert keep_driver_logs(tmp_path / "0.tmp", target) == [target / "train-x7k2p.log"]
    assert (target / "train-x7k2p.log").read_text() == "hello\n"
    assert [p.name for p in target.iterdir()] == ["train-x7k2p.log"]


def test_a_longer_log_of_the_same_submission_replaces_the_first(tmp_path: Path) -> None:
    logs = tmp_path / "0.tmp" / "ray" / "session_1" / "logs"
    logs.mkdir(parents=True)
    for text in ("one\n", "one\ntwo\n"):
        (logs / "job-driver-a-12345.log").write_text(text)
        keep_driver_logs(tmp_path / "0.tmp", tmp_path / "kept")
    assert (tmp_path / "kept" / "a-12345.log").read_text() == "one\ntwo\n"
