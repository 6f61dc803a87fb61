"""Ironic's door: the only file that imports the vendors' libraries.

Here are the HTTP session with our rules on it, the client made on it, and the reading of the
vendors' errors. What is called through a client is in `ironic_calls`.
"""

from __future__ import annotations

import logging
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ironicclient import client as ironic_client
from ironicclient import exc as ironic
from keystoneauth1 import exceptions as keystone
from keystoneauth1.session import Session, TCPKeepAliveAdapter
from openstack import exceptions as sdk
from openstack.config import OpenStackConfig
from requests import exceptions as http
from urllib3.exceptions import NewConnectionError

from services.baremetal_worker.ironic_faults import Fault
from services.baremetal_worker.metrics import API_CALLS, API_SECONDS
from shared.runtime import tracing
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ConfigurationError
from shared.runtime.tracing import Kind, span

#: Everything that a call through the client raises for Ironic's or the network's faults.
VENDOR_ERRORS = (ironic.ClientException, keystone.ClientException, http.RequestException)
#: What `node_objects` reads is all in it; Ironic's 2024.2 release has it.
MICROVERSION = "1.95"
#: Requests that may be sent again when their answer was lost: they change nothing.
_SAFE = frozenset({"GET", "HEAD"})
#: The shortest time-out that is a time-out; a deadline may have less left.
_LEAST = 0.1
#: Until when the command that calls may work: one session serves all commands of a metal.
DEADLINE: ContextVar[Deadline | None] = ContextVar("ironic_deadline", default=None)


@dataclass(frozen=True)
class HttpBounds:
    """Bounds of every request, in seconds, and how many connections are kept to one host."""

    connect: float = 5.0
    read: float = 60.0
    connections: int = 24


class IronicSession(Session):  # type: ignore[misc]  # the vendor's library has no types
    """keystoneauth's session, bounded in time, counted, and never repeating in secret.

    Bodies are never logged: that of a volume target holds the account's password.
    """

    def __init__(self, *, metal: str, bounds: HttpBounds, **fields: Any) -> None:
        super().__init__(**fields)
        self._metal = metal
        self._bounds = bounds
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, TCPKeepAliveAdapter(pool_maxsize=bounds.connections))

    def request(self, url: str, method: str, **fields: Any) -> Any:
        """Send one request, measured, within what is left of the command's time."""
        fields |= {
            "connect_retries": 1 if method in _SAFE else 0,
            "status_code_retries": 0,
            "log": False,
            "timeout": self._timeout(),
        }
        of = {
            "http.request.method": method,
            "peer.service": "baremetal",
            "colobus.metal": self._metal,
        }
        with span(method, kind=Kind.CLIENT, attributes=of):
            headers = {**(fields.get("headers") or {}), "traceparent": tracing.traceparent()}
            return self._counted(url, method, {**fields, "headers": headers})

    def _timeout(self) -> tuple[float, float]:
        """As requests takes it; keystoneauth's own parameter takes one number only."""
        deadline = DEADLINE.get()
        connect, read = self._bounds.connect, self._bounds.read
        if deadline is None:
            return connect, read
        return (
            max(_LEAST, deadline.remaining(connect)),
            max(_LEAST, deadline.remaining(read)),
        )

    def _counted(self, url: str, method: str, fields: dict[str, Any]) -> Any:
        started, status = time.monotonic(), "aborted"
        try:
            response = super().request(url, method, **fields)
            status = str(response.status_code)
        except keystone.HttpError as error:
            status = str(error.http_status)
            raise
        except keystone.ClientException as error:
            status = type(error).__name__
            raise
        finally:
            API_CALLS.labels(self._metal, method, status).inc()
            API_SECONDS.labels(self._metal, method).observe(time.monotonic() - started)
        return response


class Connection:
    """The client of one metal, made when first needed; safe to use from several threads.

    While Keystone hangs, callers don't queue up for one time-out each: those who were waiting
    when an attempt failed share its failure.
    """

    def __init__(self, region: Any) -> None:
        self._region = region
        self._lock = threading.Lock()
        self._session: Any = None
        self._client: Any = None
        self._failed_at = 0.0
        self._failure: Exception | None = None

    def ready(self) -> Any:
        """Return the client, with a valid token; blocks. Raises one of `VENDOR_ERRORS`."""
        asked_at = time.monotonic()
        with self._lock:
            if self._failure is not None and self._failed_at >= asked_at:
                raise self._failure
            try:
                return self._prepared()
            except VENDOR_ERRORS as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise

    def _prepared(self) -> Any:
        if self._session is None:
            self._session = self._region.get_session()
        self._session.auth.get_access(self._session)
        if self._client is None:
            where = {
                "interface": self._region.get_interface("baremetal") or "public",
                "region_name": self._region.get_region_name("baremetal"),
            }
            endpoint = self._session.get_endpoint(service_type="baremetal", **where)
            if endpoint is None:
                raise ironic.EndpointNotFound("Keystone's catalogue has no bare metal service.")
            self._client = ironic_client.get_client(
                "1",
                session=self._session,
                endpoint=endpoint,
                os_ironic_api_version=MICROVERSION,
                max_retries=0,
                **where,
            )
        return self._client

    def close(self) -> None:
        """Close its HTTP connections."""
        with self._lock:
            if self._session is not None:
                self._session.session.close()
            self._session = self._client = None


def connect(clouds_file: Path, cloud: str, *, metal: str, bounds: HttpBounds) -> Connection:
    """Return the connection to a cloud of clouds.yaml; this asks nothing of it yet.

    Raises `ConfigurationError` when ``clouds.yaml`` has no such cloud, or a broken entry.
    """
    # It calls every refusal an error; what becomes of one is for us to say.
    logging.getLogger("ironicclient").setLevel(logging.CRITICAL)
    config = OpenStackConfig(
        config_files=[str(clouds_file)], load_envvars=False, app_name="colobus"
    )
    try:
        region = config.get_one(cloud)
        region.set_session_constructor(partial(IronicSession, metal=metal, bounds=bounds))
        return Connection(region)
    except sdk.ConfigException as error:
        raise ConfigurationError(f"clouds file, cloud {cloud}: {error}") from error


def fault_of(error: Exception) -> Fault:
    """Read one of `VENDOR_ERRORS`: HTTP status and Ironic's own words."""
    if isinstance(error, keystone.ConnectTimeout):
        return Fault("Ironic did not answer in time.", unanswered=_was_sent(error))
    if isinstance(error, keystone.ConnectionError):
        return Fault("Ironic can't be reached.", unanswered=_was_sent(error))
    if isinstance(error, ironic.HttpError):
        response = getattr(error, "response", None)
        return Fault(
            detail=str(error.message).strip() or type(error).__name__,
            status=error.http_status,
            retry_after="" if response is None else response.headers.get("Retry-After", ""),
        )
    # What keystoneauth itself raises is about the token or the catalogue, not about our request.
    words = str(error).strip() or type(error).__name__
    return Fault(words, unanswered=isinstance(error, http.RequestException))


def _was_sent(error: Exception) -> bool:
    """Tell whether the request may have reached Ironic: surely not without a connection."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, http.ConnectTimeout):
        return False
    why = cause.args[0] if isinstance(cause, http.ConnectionError) and cause.args else None
    return not isinstance(getattr(why, "reason", None), NewConnectionError)
