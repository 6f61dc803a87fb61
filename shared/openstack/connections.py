"""The clouds' door: the only file that imports the vendor's libraries (openstacksdk, keystoneauth).

Here are the HTTP session with our rules on it, the connections made from it, and the reading of
the vendor's errors. What is called through a connection is each worker's own business.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keystoneauth1 import exceptions as keystone
from keystoneauth1.session import Session, TCPKeepAliveAdapter
from openstack import exceptions as sdk
from openstack.config import OpenStackConfig
from openstack.connection import Connection
from requests import exceptions as http
from urllib3.exceptions import NewConnectionError

from shared.openstack.faults import Fault
from shared.openstack.metrics import ApiMetrics
from shared.runtime import tracing
from shared.runtime.errors import ConfigurationError
from shared.runtime.tracing import Attributes, Kind, Span, span

#: Everything that a call through openstacksdk raises for the cloud's or the network's faults.
VENDOR_ERRORS = (sdk.SDKException, keystone.ClientException, http.RequestException)
#: The oldest microversion that has all we use: tags when creating (2.52), and servers of cells
#: that are down shown as UNKNOWN rather than left out, which would look gone (2.69).
COMPUTE_MICROVERSION = "2.69"
#: Requests that may be sent again when their answer was lost: they change nothing.
_SAFE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class HttpBounds:
    """Bounds of every request, in seconds, and how many connections are kept to one host."""

    connect: float = 5.0
    read: float = 30.0
    connections: int = 24


class CloudSession(Session):  # type: ignore[misc]  # the vendor's library has no types
    """keystoneauth's session, bounded in time, counted, and never repeating in secret.

    A repeated POST whose first answer was lost would make a second server; so only what changes
    nothing is repeated here, once. Everything else is for the next attempt, which looks first.
    """

    def __init__(
        self, *, cloud: str, bounds: HttpBounds, metrics: ApiMetrics, **fields: Any
    ) -> None:
        super().__init__(**fields)
        self._metrics = metrics
        self._cloud = cloud
        # requests takes (connect, read); keystoneauth's own parameter takes one number only.
        self.timeout = (bounds.connect, bounds.read)
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, TCPKeepAliveAdapter(pool_maxsize=bounds.connections))

    def request(self, url: str, method: str, **fields: Any) -> Any:
        """Send one request, measured; bodies are never logged, since they carry user data."""
        fields |= {
            "connect_retries": 1 if method in _SAFE else 0,
            "status_code_retries": 0,
            "log": False,
        }
        service = (fields.get("endpoint_filter") or {}).get("service_type")
        service = service or ("identity" if "/auth/" in url else "discovery")
        of = {"http.request.method": method, "peer.service": service, "colobus.cloud": self._cloud}
        with span(method, kind=Kind.CLIENT, attributes=of) as traced:
            headers = {**(fields.get("headers") or {}), "traceparent": tracing.traceparent()}
            return self._counted(url, method, service, traced, {**fields, "headers": headers})

    def _counted(
        self, url: str, method: str, service: str, traced: Span, fields: dict[str, Any]
    ) -> Any:
        started, status = time.monotonic(), "aborted"
        try:
            response = super().request(url, method, **fields)
            status = str(response.status_code)
            traced.set(_seen(response))
        except keystone.HttpError as error:
            status = str(error.http_status)
            raise
        except keystone.ClientException as error:
            status = type(error).__name__
            raise
        finally:
            elapsed = time.monotonic() - started
            self._metrics.calls.labels(self._cloud, service, method, status).inc()
            self._metrics.seconds.labels(self._cloud, service, method).observe(elapsed)
        return response


def _seen(response: Any) -> Attributes:
    """What may be recorded of an answer: of its URL neither a query nor a login."""
    url = urlsplit(response.url)
    return {
        "http.response.status_code": response.status_code,
        "server.address": url.hostname,
        "server.port": url.port,
        "url.full": f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}",
    }


class ProjectConnection:
    """openstacksdk's connection to one project, safe to use from several threads.

    While Keystone hangs, callers don't queue up for one time-out each: those who were waiting
    when an attempt to authenticate failed share its failure.
    """

    def __init__(self, connection: Any, services: Sequence[str]) -> None:
        self._connection = connection
        self._services = services
        self._lock = threading.Lock()
        self._discovered = False
        self._failed_at = 0.0
        self._failure: Exception | None = None

    def ready(self) -> Any:
        """Return the connection with a valid token and all endpoints known; blocks.

        Raises one of `VENDOR_ERRORS`.
        """
        asked_at = time.monotonic()
        with self._lock:
            if self._failure is not None and self._failed_at >= asked_at:
                raise self._failure
            try:
                self._prepare()
            except VENDOR_ERRORS as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise
            return self._connection

    def _prepare(self) -> None:
        session = self._connection.session
        session.auth.get_access(session)
        if not self._discovered:
            for service in self._services:
                getattr(self._connection, service)
            self._discovered = True

    def close(self) -> None:
        """Close its HTTP connections."""
        self._connection.close()


class Connections:
    """The clouds of one ``clouds.yaml``, each as every project that was asked for.

    ``services`` are those that will be called, as openstacksdk names them: their endpoints are
    looked up together with the first token.
    """

    def __init__(
        self,
        clouds_file: Path,
        bounds: HttpBounds,
        metrics: ApiMetrics,
        services: Sequence[str],
    ) -> None:
        self._config = OpenStackConfig(
            config_files=[str(clouds_file)], load_envvars=False, app_name="colobus"
        )
        self._bounds = bounds
        self._metrics = metrics
        self._services = services
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], ProjectConnection] = {}

    def of(self, cloud: str, project_id: str) -> ProjectConnection:
        """Return the connection, made on first use; this asks nothing of the cloud yet.

        Raises `ConfigurationError` when ``clouds.yaml`` has no such cloud, or a broken entry.
        """
        key = (cloud, project_id)
        with self._lock:
            if key not in self._made:
                self._made[key] = ProjectConnection(
                    self._connect(cloud, project_id), self._services
                )
            return self._made[key]

    def _connect(self, cloud: str, project_id: str) -> Any:
        try:
            region = self._config.get_one(
                cloud,
                auth={"project_id": project_id},
                compute_default_microversion=COMPUTE_MICROVERSION,
            )
        except sdk.ConfigException as error:
            raise ConfigurationError(f"clouds file, cloud {cloud}: {error}") from error
        make = partial(CloudSession, cloud=cloud, bounds=self._bounds, metrics=self._metrics)
        region.set_session_constructor(make)
        return Connection(config=region, strict_proxies=True)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for made in self._made.values():
                made.close()
            self._made.clear()


#: How long a cloud that has not answered is left alone, in seconds (written like Retry-After).
_AFTER_NO_ANSWER = "15"


def fault_of(error: Exception) -> Fault:
    """Read one of `VENDOR_ERRORS`: HTTP status, the cloud's own words and name of the fault."""
    if isinstance(error, keystone.ConnectTimeout):
        # What it may yet do with the request is looked for before the next attempt: not too soon,
        # or it is done twice and one of the two removed again.
        words, sent = "The cloud did not answer in time.", _was_sent(error)
        return Fault(words, retry_after=_AFTER_NO_ANSWER if sent else "", unanswered=sent)
    if isinstance(error, keystone.ConnectionError):
        return Fault("The cloud can't be reached.", unanswered=_was_sent(error))
    details = getattr(error, "details", None)
    words = details if isinstance(details, str) and details.strip() else str(error)
    response = getattr(error, "response", None)
    words = ("" if response is None else _listed_words(response)) or words
    return Fault(
        detail=words.strip() or type(error).__name__,
        # What keystoneauth itself raises is about the token or the catalog, not about our request.
        status=error.status_code if isinstance(error, sdk.HttpException) else None,
        code="" if response is None else _neutron_type(response),
        retry_after="" if response is None else response.headers.get("Retry-After", ""),
        # It broke off; openstacksdk calls its own verdicts requests' errors too.
        unanswered=isinstance(error, http.RequestException)
        and not isinstance(error, sdk.HttpException),
    )


def _was_sent(error: Exception) -> bool:
    """Tell whether the request may have reached the cloud: surely not without a connection."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, http.ConnectTimeout):
        return False
    why = cause.args[0] if isinstance(cause, http.ConnectionError) and cause.args else None
    return not isinstance(getattr(why, "reason", None), NewConnectionError)


def _listed_words(response: Any) -> str:
    """Magnum's faults are in the API working group's form, which openstacksdk doesn't read."""
    try:
        body: Any = response.json()
    except ValueError:
        return ""
    listed = body.get("errors") if isinstance(body, dict) else None
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return " ".join(str(one.get("detail") or one.get("title") or "") for one in found).strip()


def _neutron_type(response: Any) -> str:
    try:
        body: Any = response.json()
    except ValueError:
        return ""
    fault = body.get("NeutronError") if isinstance(body, dict) else None
    return str(fault.get("type", "")) if isinstance(fault, dict) else ""


def answer_of(response: Any) -> Any:
    """Return the JSON of an answer to a raw request; raises one of `VENDOR_ERRORS` for a fault."""
    check(response)
    return response.json()


def check(response: Any) -> None:
    """Raise one of `VENDOR_ERRORS` when the answer to a raw request is a fault."""
    sdk.raise_from_response(response)


def raw(connection: Any, service: str) -> Any:
    """Return an adapter for plain requests to a service, as the catalogue names it.

    For services whose list of versions openstacksdk can't follow (Heat's: it names none by the
    project's own address), which our strict connections therefore don't take.
    """
    return connection.config.get_session_client(service)
