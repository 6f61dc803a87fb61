"""Background: rows whose confirm never came are brought to their end, and old rows go."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import structlog

from services.front_door.request_store import RequestStore
from services.front_door.submission import Submitter
from shared.runtime.errors import TemporaryError

#: How many rows are brought on at once.
BATCH = 50

_log = structlog.get_logger(__name__)


async def republish(store: RequestStore, submitter: Submitter, *, every: float) -> NoReturn:
    """Look every ``every`` seconds; several replicas share the rows by claiming them."""
    while True:
        try:
            while await republish_batch(store, submitter) == BATCH:
                pass
        except TemporaryError as error:
            _log.warning("cannot republish now", error=str(error))
        await asyncio.sleep(every)


async def republish_batch(store: RequestStore, submitter: Submitter) -> int:
    """Bring up to `BATCH` rows to their end; return how many were claimed.

    Raises `TemporaryError` when one of them could not be published; it is open again.
    """
    rows = await store.claim_stale(BATCH)
    ends = await asyncio.gather(*map(submitter.republish, rows), return_exceptions=True)
    for error in ends:
        if isinstance(error, BaseException):
            raise error
    return len(rows)
