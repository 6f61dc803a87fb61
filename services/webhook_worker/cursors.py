"""Cursors of keyset pages over (time, id), as opaque text."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from shared.runtime.errors import PermanentError

Position = tuple[datetime, str]
#: The largest page.
MAX_PAGE = 500


def to_cursor(at: datetime, id: str) -> str:
    """Return the cursor that continues after the row of this time and id."""
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{id}".encode()).decode("ascii")


def from_cursor(cursor: str) -> Position:
    """Return (time, id); raise `PermanentError` with status 400 for what is no cursor of ours."""
    try:
        at, _, id = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition("|")
        time = datetime.fromisoformat(at)
    except (ValueError, binascii.Error) as error:
        raise _bad_cursor() from error
    if time.tzinfo is None or not id or "\x00" in id:
        raise _bad_cursor()
    return time, id


def page_size(limit: int) -> int:
    """Return ``limit`` within the bounds of a page."""
    return max(1, min(limit, MAX_PAGE))


def _bad_cursor() -> PermanentError:
    return PermanentError("not a cursor of this list", reason="invalid_cursor", status=400)
