"""What became of a run is kept, however it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.report import Report


def test_a_run_that_breaks_off_leaves_what_it_had_noted(tmp_path: Path) -> None:
    """A stuck seed is the one whose journal is wanted; and it isn't called good."""
    report = Report()
    with pytest.raises(TimeoutError) as broken:
        _break_off(report, tmp_path)
    assert "all is at rest" in broken.exconly()  # which is what is printed
    assert "all is at rest" in (tmp_path / "journal.txt").read_text()
    assert "broke off: TimeoutError()" in (tmp_path / "findings.txt").read_text()
    assert "1 wrong" in "\n".join(report.lines())


def _break_off(report: Report, folder: Path) -> None:
    with report.record("17", folder, []) as result:
        result.note("all is at rest")
        raise TimeoutError


def test_runs_of_one_test_are_kept_one_after_the_other(tmp_path: Path) -> None:
    """As the loads of a rolling restart are."""
    report = Report()
    for number in range(2):
        with report.record(f"load {number}", tmp_path, []) as result:
            result.note(f"this is load {number}")
    journal = (tmp_path / "journal.txt").read_text()
    assert "this is load 0" in journal
    assert "this is load 1" in journal
    assert "load 0" in "\n".join(report.lines())
