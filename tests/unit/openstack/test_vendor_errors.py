"""The vendor's errors, made as the vendor's libraries make them, read as faults."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
import requests
from keystoneauth1 import exceptions as keystone
from openstack import exceptions as sdk
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from shared.openstack.connections import fault_of
from shared.openstack.faults import Fault, translate
from shared.runtime.errors import OutcomeUnknown, TemporaryError


def answer(status: int, body: object, headers: dict[str, str] | None = None) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.reason = "Some Reason"
    response.headers["Content-Type"] = "application/json"
    response.headers.update(headers or {})
    response._content = json.dumps(body).encode() if isinstance(body, dict) else str(body).encode()
    return response


def raised_for(response: requests.Response) -> Exception:
    with pytest.raises(sdk.HttpException) as raised:
        sdk.raise_from_response(response)
    error: Exception = raised.value
    return error


def test_novas_and_neutrons_own_words_are_kept() -> None:
    """Nova names its faults by HTTP words, Neutron by a type of its own."""
    nova = answer(403, {"forbidden": {"message": "Quota exceeded for cores", "code": 403}})
    assert fault_of(raised_for(nova)) == Fault("Quota exceeded for cores", 403)
    neutron = answer(
        409, {"NeutronError": {"type": "OverQuota", "message": "Quota exceeded", "detail": ""}}
    )
    assert fault_of(raised_for(neutron)) == Fault("Quota exceeded", 409, "OverQuota")


def test_retry_after_is_kept() -> None:
    """A cloud that says when to come again is heard."""
    response = answer(429, {"overLimit": {"message": "slow down"}}, {"Retry-After": "3"})
    assert fault_of(raised_for(response)).retry_after == "3"


def test_a_body_that_is_not_json_is_no_obstacle() -> None:
    """A load balancer's page still becomes a fault with its status."""
    response = answer(503, "<html><body><h1>503 Service Unavailable</h1></body></html>")
    response.headers["Content-Type"] = "text/html"
    fault = fault_of(raised_for(response))
    assert (fault.status, fault.code) == (503, "")
    assert "503 Service Unavailable" in fault.detail


@pytest.mark.parametrize(
    "error",
    [
        keystone.ConnectFailure("Unable to establish connection to http://10.0.0.1:5000/v3"),
        keystone.ConnectTimeout("Request to http://10.0.0.1 timed out"),
        keystone.Unauthorized("The request you have made requires authentication."),
        keystone.EndpointNotFound("no compute endpoint"),
        keystone.DiscoveryFailure("Could not find versioned identity endpoints"),
        sdk.ServiceDiscoveryException("Failed to create a working proxy"),
        requests.exceptions.ChunkedEncodingError("Connection broken"),
    ],
)
def test_what_never_answered_the_request_has_no_status(error: Exception) -> None:
    """No connection, no token, no catalog: none of it is a verdict on the request."""
    fault = fault_of(error)
    assert fault.status is None
    assert fault.detail


def test_a_cloud_that_did_not_answer_in_time_is_left_alone_for_a_while() -> None:
    """It may still be at it: asked again at once, it would do it twice."""
    fault = fault_of(keystone.ConnectTimeout("Request to http://10.0.0.1 timed out"))
    error = translate(fault)
    assert isinstance(error, TemporaryError)
    assert error.retry_after == 15
    assert isinstance(error, OutcomeUnknown)


REFUSED = MaxRetryError(cast(Any, None), "/", NewConnectionError(cast(Any, None), "refused"))
BROKEN = ProtocolError("Connection aborted.", ConnectionResetError())


@pytest.mark.parametrize(("why", "sent"), [(REFUSED, False), (BROKEN, True)])
def test_only_without_a_connection_nothing_was_asked(why: Exception, sent: bool) -> None:
    """A connection that broke off may have carried the request; a refused one has not."""
    raised = keystone.ConnectFailure("Unable to establish connection")
    raised.__context__ = requests.exceptions.ConnectionError(why)  # as keystoneauth raises it
    assert isinstance(translate(fault_of(raised)), OutcomeUnknown) is sent


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_what_a_proxy_could_not_hear_of_is_unknown(status: int) -> None:
    """503 is a refusal; the others say that nobody knows."""
    assert isinstance(translate(Fault("Bad Gateway", status)), OutcomeUnknown) is (status != 503)


def test_addresses_inside_the_cloud_are_not_told() -> None:
    """A connection failure's text names hosts and ports that are none of the tenant's business."""
    fault = fault_of(keystone.ConnectFailure("Unable to establish connection to http://10.0.0.1"))
    assert "10.0.0.1" not in fault.detail
