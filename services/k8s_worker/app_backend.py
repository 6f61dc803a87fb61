"""What we ask of an API server about apps, and what it shows of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.contract.messages import AppPart
from shared.contract.problems import Reason
from shared.worker.errors import Refused

#: Labels that say whose an object is, and of which resource.
INSTALLATION, RESOURCE = "colobus.org/installation", "colobus.org/resource"


@dataclass(frozen=True)
class AppObjects:
    """All objects of an app, for ``namespace``, which is the app's own; ``labels`` mark them ours.

    Objects can hold what is secret: never log them. With ``keeps_secrets`` Secrets that the app has
    already stay although they are not among ``objects``; with ``anywhere`` it may have some of the
    whole cluster, and in other namespaces.
    """

    namespace: str
    labels: Mapping[str, str]
    objects: tuple[Mapping[str, Any], ...] = field(repr=False)
    keeps_secrets: bool = False
    anywhere: bool = False


@dataclass(frozen=True)
class AppLook:
    """What is there of an app: its parts; or, of one that ends, what its namespace still has."""

    parts: tuple[AppPart, ...] = ()
    going: str | None = None


class ManifestRefused(Refused):
    """The cluster does not take an object of the app; the text says which and why."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, reason=Reason.MANIFEST_INVALID)


class AppServer(Protocol):
    """The part of an API server's connection that is about apps; all raise `Unanswered`."""

    async def apply_app(self, app: AppObjects, seconds: float) -> None:
        """Apply all objects, and remove what the app has had besides.

        It takes so many seconds at most. Raises `ManifestRefused`.
        """

    async def apps(self, labels: Mapping[str, str]) -> dict[str, bool]:
        """Return the apps whose namespaces bear these labels, and which of them are going.

        Some tens at most.
        """

    async def remove_app(self, namespace: str) -> bool:
        """Order the end of the app's namespace; False when there is none."""

    async def look_at_app(self, namespace: str, labels: Mapping[str, str]) -> AppLook | None:
        """Return what is there of it; None when there is no such namespace."""
