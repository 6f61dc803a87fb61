"""The routes that every kind of resource has, from its row in `shared.contract.kinds.KINDS`."""

from __future__ import annotations

from services.front_door.http_handlers import changing, events, reading
from services.front_door.parameter_table import (
    ETAG,
    FILTERS,
    FORCE,
    IF_MATCH,
    IF_NONE_MATCH,
    KEY,
    LAST_EVENT_ID,
    LINK,
    LOCATION,
    PAGE,
    TRACE,
    WAIT,
)
from services.front_door.route import Route
from shared.contract.http import ResourcePage, TimelinePage
from shared.contract.kinds import ExtendLease, Kind
from shared.contract.resources import POWER_VERBS, Resource, Verb


def kind_routes(kind: Kind) -> tuple[Route, ...]:
    """Return the routes of ``kind``."""
    return (*_reading(kind), *_changing(kind), *_verbs(kind))


def _reading(kind: Kind) -> tuple[Route, ...]:
    return (
        Route(
            "GET",
            f"/v1/{kind.plural}",
            reading.list_resources(kind),
            f"list_{kind.plural}",
            f"List {kind.plural}, newest first",
            kind.plural,
            answer=ResourcePage,
            answer_headers=LINK,
            parameters=FILTERS,
        ),
        Route(
            "GET",
            _one(kind),
            reading.get_resource(kind),
            f"get_{kind.name}",
            f"Show {_a(kind)}, or wait for its next revision",
            kind.plural,
            answer=Resource,
            answer_headers=ETAG,
            parameters=(IF_NONE_MATCH, WAIT),
            other_answers={304: "It is as you know it"},
            faults=(404,),
        ),
        Route(
            "GET",
            f"{_one(kind)}/events",
            events.events(kind),
            f"get_{kind.name}_events",
            f"The timeline of {_a(kind)}, as JSON or live",
            kind.plural,
            answer=TimelinePage,
            answer_headers=LINK,
            parameters=(*PAGE, LAST_EVENT_ID),
            streams=True,
            faults=(404,),
        ),
    )


def _changing(kind: Kind) -> tuple[Route, ...]:
    return (
        Route(
            "POST",
            f"/v1/{kind.plural}",
            changing.create(kind),
            f"create_{kind.name}",
            f"Ask for {_a(kind)}",
            kind.plural,
            body=kind.create,
            answer=Resource,
            status=202,
            answer_headers=ETAG | LOCATION,
            parameters=(KEY, WAIT, TRACE),
            writes=True,
        ),
        Route(
            "DELETE",
            _one(kind),
            changing.delete(kind),
            f"delete_{kind.name}",
            f"Ask for the end of {_a(kind)}; again is fine",
            kind.plural,
            answer=Resource,
            status=202,
            answer_headers=ETAG,
            parameters=(*((FORCE,) if kind.takes_force else ()), IF_MATCH, KEY, TRACE),
            faults=(404, 412),
            writes=True,
        ),
    )


def _verbs(kind: Kind) -> tuple[Route, ...]:
    routes = []
    if Verb.UPDATE in kind.verbs:
        summary = f"Change labels or lease of {_a(kind)}"
        routes.append(_verb(kind, Verb.UPDATE, "", "PATCH", summary, kind.update))
    if Verb.EXTEND in kind.verbs:
        summary = "Let the lease end ttl seconds from now"
        routes.append(_verb(kind, Verb.EXTEND, "/extend", "POST", summary, ExtendLease))
    for verb in sorted(kind.verbs & POWER_VERBS):
        summary = f"{verb.capitalize()} {_a(kind)}; status.operations tells how that goes"
        routes.append(_verb(kind, verb, f"/{verb}", "POST", summary, None))
    return tuple(routes)


def _verb(kind: Kind, verb: Verb, path: str, method: str, summary: str, body: type | None) -> Route:
    handlers = {Verb.UPDATE: changing.update, Verb.EXTEND: changing.extend}
    make = handlers.get(verb)
    return Route(
        method,
        f"{_one(kind)}{path}",
        make(kind) if make else changing.change_power(kind, verb),
        f"{verb}_{kind.name}",
        summary,
        kind.plural,
        body=body,
        answer=Resource,
        status=202,
        answer_headers=ETAG,
        parameters=(KEY, TRACE),
        faults=(404, 409),
        writes=True,
    )


def _a(kind: Kind) -> str:
    return f"{'an' if kind.name[0] in 'aeiou' else 'a'} {kind.name}"


def _one(kind: Kind) -> str:
    return f"/v1/{kind.plural}/{{id}}"
