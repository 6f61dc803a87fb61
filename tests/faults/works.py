"""What a world makes besides VMs: who makes it, of which parts of the cloud, and what there is.

`bare_metal` and `orchestration` are two: the harness knows no more of them than this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol

from tests.faults.facts import Held, Instance, Reservation
from tests.faults.plan import Wares
from tests.support.cloud import Cloud
from tests.support.proxy import Proxy


class NotSeen(OSError):
    """Whose works are to be counted could not be asked."""


class Works(Protocol):
    """What the harness asks of whoever makes something else than VMs."""

    @property
    def services(self) -> tuple[str, ...]:
        """All services that run there."""

    @property
    def parts(self) -> tuple[str, ...]:
        """What must run of devcloud besides what VMs need."""

    @property
    def components(self) -> tuple[str, ...]:
        """Those of devcloud's that may be paused, besides those of all worlds."""

    @property
    def wares(self) -> Wares:
        """What there is to be asked for."""

    def leads(self, cloud: Cloud) -> dict[str, str]:
        """Return {cable: where it leads} of the ways to their backends."""

    def lead_through(self, clouds: dict[str, Any], cables: Mapping[str, Proxy]) -> None:
        """Have the entries of a clouds.yaml lead through those cables."""

    def go_on(self) -> None:
        """Resume what is paused and no component of devcloud's."""

    def held(self) -> Iterator[Held]:
        """Yield everything of theirs that there is, object by object."""

    def said(
        self,
        ids: Collection[str],
        accepted: Mapping[str, str],
        reservations: Iterable[Reservation],
    ) -> Iterator[Instance]:
        """Yield what their backends remember of these resources.

        ``accepted``: {what a backend calls something: its resource}, of all that was told of.
        """

    def made(self, ids: Collection[str], reservations: Iterable[Reservation]) -> Counter[str]:
        """Return how many there ever were of each of these resources."""
