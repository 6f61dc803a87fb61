"""What a request on the bus may say."""

from __future__ import annotations

from typing import Any

import pytest

from services.scheduler.requests import check_request
from shared.bus import Delivery, RejectedMessage
from shared.contract.codec import envelope_for
from shared.contract.messages import RequestSubmitted
from shared.contract.resources import Verb
from tests.unit.scheduler.driver import VM


def _delivery(**fields: Any) -> tuple[Delivery, RequestSubmitted]:
    request = RequestSubmitted(**{"verb": Verb.CREATE, "kind": "vm", "resource_id": VM, **fields})
    envelope = envelope_for(request, source="/ci", subject=VM, tenant="bigtop")
    delivery = Delivery(
        envelope=envelope,
        message=request,
        queue="scheduler.requests",
        routing_key="bigtop.vm.create",
        headers={},
        user_id="ci-bigtop",
        reply_to=None,
        repeated=False,
    )
    return delivery, request


def test_what_the_front_door_takes_the_bus_takes_too() -> None:
    """The bounds are the same at both doors."""
    fields = {"name": "web-1", "labels": {"a/b": "c"}, "lease_ttl": 60, "deadline": 86400}
    delivery, request = _delivery(**fields, callback_url="https://example.org/", operation_id="op")
    assert check_request(delivery, request).name == "vm"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lease_ttl", 10**12),
        ("lease_ttl", 0),
        ("deadline", 10**12),
        ("deadline", -1),
        ("name", "x" * 64),
        ("labels", {"": "x"}),
        ("labels", {"x": "y" * 256}),
        ("labels", {f"k{number}": "" for number in range(65)}),
        ("callback_url", "https://" + "x" * 2048),
        ("operation_id", "x" * 101),
    ],
)
def test_what_is_beyond_the_bounds_is_rejected_by_name(field: str, value: object) -> None:
    """What no HTTP request could bring must not come in by the bus, to fail again and again."""
    with pytest.raises(RejectedMessage, match=field):
        check_request(*_delivery(**{field: value}))
