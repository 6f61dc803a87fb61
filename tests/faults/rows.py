"""Rows of OpenStack's own database, which is no part that is broken, but may be slow to answer."""

from __future__ import annotations

import subprocess

from devcloud.components.mariadb import query
from devcloud.site import Site
from devcloud.tools import ToolFailed
from tests.faults.works import NotSeen


def rows(site: Site, statement: str) -> list[list[str]]:
    """Return the columns of each row; no text among them may hold a control character.

    Raises:
        NotSeen: The database gave no answer.
    """
    try:
        shown = query(site, statement)
    except (ToolFailed, subprocess.TimeoutExpired) as error:
        raise NotSeen(f"OpenStack's database gave no answer: {error}") from error
    return columns(shown)


def columns(shown: str) -> list[list[str]]:
    """Return what the client printed, row by row: a row ends where it says so, and nowhere else.

    Others than a newline end a line for `str.splitlines`, and a reason may hold such a one.
    """
    return [line.split("\t") for line in shown.split("\n")[:-1]]


def plain(column: str) -> str:
    """Return SQL for the text of a column with a space for each control character; "" for NULL."""
    return f"REGEXP_REPLACE(COALESCE({column}, ''), '[[:cntrl:]]', ' ')"
