"""What OpenStack's database says is read row by row, whatever is in its texts."""

from __future__ import annotations

import subprocess
from typing import cast

import pytest

from devcloud.site import Site
from devcloud.tools import ToolFailed
from tests.faults.evidence import OUT
from tests.faults.rows import columns, rows
from tests.faults.words import Words

SITE = cast(Site, None)
#: All but "\n" at which `str.splitlines` ends a line, and that MariaDB's client prints as they are.
ENDS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


def _says(monkeypatch: pytest.MonkeyPatch, answer: str | Exception) -> None:
    def query(_site: Site, _statement: str) -> str:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("tests.faults.rows.query", query)


def test_a_row_ends_at_the_end_of_its_line_alone() -> None:
    """Two rows are two; none is none."""
    assert columns(f"a\tb{ENDS}c\nd\t\n") == [["a", f"b{ENDS}c"], ["d", ""]]
    assert columns("") == []


def test_a_reason_may_hold_whatever_ends_a_line_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one word still."""
    _says(monkeypatch, f"heat-1\tstack-1\tCREATE_FAILED\tno{ENDS}host\n")
    (word,) = Words(SITE).all()
    assert (word.name, word.reason) == ("stack-1", f"no{ENDS}host")


@pytest.mark.parametrize(
    "failure", [ToolFailed("mariadb ended with 1"), subprocess.TimeoutExpired("mariadb", 30)]
)
def test_a_database_that_gives_no_answer_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """As a cloud that is out is: under load a run doesn't break off over it."""
    _says(monkeypatch, failure)
    with pytest.raises(OUT, match="mariadb"):
        rows(SITE, "SELECT 1")
