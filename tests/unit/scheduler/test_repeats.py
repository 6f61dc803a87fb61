"""When two requests of a tenant's own are one and the same."""

from __future__ import annotations

from typing import Any

import msgspec

from services.scheduler.repeats import digest_of
from shared.contract.kinds import SEALED
from shared.contract.messages import RequestSubmitted
from shared.contract.resources import Verb

SPEC = {"image": "debian-12", "flavor": "small"}


class LaterRequest(RequestSubmitted, frozen=True):
    """The request of a version to come."""

    priority: int = 0
    after: tuple[str, ...] = ()


def request(**fields: Any) -> RequestSubmitted:
    return RequestSubmitted(**{"verb": Verb.CREATE, "kind": "vm", "spec": SPEC, **fields})


def test_a_field_that_a_later_version_adds_makes_no_other_request() -> None:
    """Published again after an upgrade, it is still the same: defaults are not part of it."""
    asked = request(name="web", labels={"a": "b"})
    later = msgspec.convert(msgspec.to_builtins(asked), LaterRequest)
    assert digest_of(later) == digest_of(asked)
    assert digest_of(msgspec.structs.replace(later, priority=1)) != digest_of(asked)


def test_the_order_of_the_fields_makes_no_other_request() -> None:
    """JSON's objects have none."""
    other = request(spec=dict(reversed(SPEC.items())))
    assert digest_of(other) == digest_of(request())


def test_a_secret_sealed_again_makes_no_other_request() -> None:
    """The same secret is another box each time; any other field counts."""
    one, two = ({**SPEC, f"{SEALED}user_data": box} for box in ("box-1", "box-2"))
    assert digest_of(request(spec=one)) == digest_of(request(spec=two))
    assert digest_of(request(spec={**SPEC, "flavor": "large"})) != digest_of(request())
