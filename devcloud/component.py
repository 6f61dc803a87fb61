"""What the supervisor asks of every part of the developer cloud.

A component is added by one module in `devcloud/components/` and one line in its table.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from devcloud.ports import HOST
from devcloud.processes import Daemon
from devcloud.site import Site


class Installer(Protocol):
    """Something on the machine that components need: Debian packages, a virtual environment.

    Components that need equal ones share the work: the supervisor runs each once.
    """

    @property
    def name(self) -> str:
        """Return what progress calls it."""

    def installed(self, site: Site) -> bool:
        """Tell whether nothing is to be done."""

    def install(self, site: Site) -> None:
        """Do it; safe to repeat after an interruption."""


class Component:
    """One part of the cloud: what it needs, how it is set up, started, asked and stopped.

    Subclasses give `name`, `requires`, `packages` and usually `daemons()`. Every method may be
    called again at any time, also after an interruption in its middle.
    """

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]] = ()
    wants: ClassVar[tuple[str, ...]] = ()
    """What must come up too, but needn't be ready before this is started: it waits by itself."""
    after: ClassVar[tuple[str, ...]] = ()
    """What this looks at, where it is there: it comes up after these, and again with them while it
    runs."""
    packages: ClassVar[tuple[str, ...]] = ()
    needs_cloud_venv: ClassVar[bool] = False
    by_default: ClassVar[bool] = True
    """Whether `up` without names brings it up, or only where it is named or required."""
    main_port: ClassVar[str | None] = None
    ready_within: ClassVar[float] = 180.0

    def __init__(self, site: Site) -> None:
        self.site = site
        self.tell: Callable[[str], None] = _tell_nobody
        """Told how far a long `configure` is; whoever brings the component up shows it."""

    def render(self) -> None:
        """Write configuration files; done before every configuring and starting."""

    def configured(self) -> bool:
        """Tell whether `configure` was completed."""
        return True

    def configure(self) -> None:
        """Prepare data and settings; what is required is ready by now."""

    def daemons(self) -> Sequence[Daemon]:
        """Return the processes to run, in the order of starting."""
        return ()

    def start(self) -> None:
        """Start the processes that don't run."""
        for daemon in self.daemons():
            self.site.processes.spawn(daemon)

    def ready(self) -> bool:
        """Tell, at once, whether others may use this component now."""
        return self.configured() and self.running()

    def running(self) -> bool:
        """Tell whether every process runs."""
        return all(self.site.processes.pid(d.name) is not None for d in self.daemons())

    def stop(self) -> None:
        """Stop the processes, last started first."""
        for daemon in reversed(self.daemons()):
            self.site.processes.stop(daemon)


def _tell_nobody(phase: str) -> None:
    del phase


def accepts_connections(port: int) -> bool:
    """Tell whether somebody listens on a loopback port."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def answers_http(port: int, path: str = "/", headers: dict[str, str] | None = None) -> bool:
    """Tell whether an HTTP server answers with anything but a failure of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path, headers=headers or {})
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
