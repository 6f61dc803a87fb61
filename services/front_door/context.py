"""All that a route may use, wired once (`services.front_door.wiring`)."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from services.front_door.auth import CALLER, Authenticator, Caller
from services.front_door.callback_urls import CallbackUrls
from services.front_door.rate_limit import RateLimit
from services.front_door.settings import FrontDoorSettings
from services.front_door.submission import Submitter
from services.front_door.wakeups import Slots, Wakeups
from shared.bus import Bus
from shared.storage import Database


@dataclass(frozen=True)
class FrontDoor:
    """The parts.

    ``source`` is our CloudEvents source, ``webhook_id_key`` makes ids repeatable, ``has_stores``:
    there are stores, so an iscsi_worker can be asked for what they offer.
    """

    settings: FrontDoorSettings
    database: Database
    bus: Bus
    authenticator: Authenticator
    submitter: Submitter
    wakeups: Wakeups
    rate_limit: RateLimit
    callback_urls: CallbackUrls
    streams: Slots
    waits: Slots
    source: str
    webhook_id_key: bytes
    has_stores: bool


FRONT_DOOR = web.AppKey("front_door", FrontDoor)
REQUEST_ID = web.RequestKey("request_id", str)


def front_door(request: web.Request) -> FrontDoor:
    """Return the parts."""
    return request.app[FRONT_DOOR]


def caller(request: web.Request) -> Caller:
    """Return who asks; only where `services.front_door.guard` has let the request through."""
    return request[CALLER]
