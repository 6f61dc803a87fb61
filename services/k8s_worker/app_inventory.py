"""Which objects an app is made of, kept in a ConfigMap of ours beside them.

So what a change leaves out is found and removed, and what somebody has removed is missed. It is
written before anything is applied, and again when all is, so that nothing is ever there that it
doesn't name; what is only on its way is set apart, since it can't be missed yet. Who owns the
cluster may write anything into it: it is read as what it must be or not at all, and says what is in
the app's own namespace alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from services.k8s_worker.backend import Unanswered
from services.k8s_worker.kubernetes_connection import KubernetesConnection
from shared.contract.manifests import INVENTORY

#: Under which name we apply; what others wrote into our fields is written over.
MANAGER = {"fieldManager": "colobus", "force": "true"}
_THERE, _COMING = "objects", "coming"
#: How many it names: what an app has, and what changes that failed have left beside it.
MOST = 500


#: The place of what is of the whole cluster.
WHOLE_CLUSTER = "*"


class Entry(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One object: ``api`` ("apps/v1"), its kind's word in paths ("deployments"), kind and name.

    ``place`` is another namespace than the app's own, or `WHOLE_CLUSTER`; what is there is only the
    app's while it bears the app's label.
    """

    api: Annotated[str, Meta(pattern=r"^([a-z0-9.-]{1,253}/)?v[a-z0-9]{1,63}$")]
    resource: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,252}$")]
    kind: Annotated[str, Meta(pattern=r"^[A-Z][A-Za-z0-9]{0,62}$")]
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9:._-]{0,252}$")]

    place: Annotated[str, Meta(pattern=r"^(\*|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$")] = ""

    def collection(self, namespace: str) -> str:
        """Where those of its kind and place are; ``namespace`` is the app's own."""
        if self.place == WHOLE_CLUSTER:
            return f"{group(self.api)}/{self.resource}"
        return collection(self.api, self.resource, self.place or namespace)

    def path(self, namespace: str) -> str:
        """Where it is on an API server."""
        return f"{self.collection(namespace)}/{self.name}"


@dataclass(frozen=True)
class Inventory:
    """``there`` has been applied; ``coming`` is to be, and may be there or not."""

    there: frozenset[Entry] = frozenset()
    coming: frozenset[Entry] = frozenset()

    @property
    def all(self) -> frozenset[Entry]:
        """Whatever may be there."""
        return self.there | self.coming


class Unreadable(Unanswered):
    """There is something else where an inventory should be."""


_Entries = Annotated[list[Entry], Meta(max_length=MOST)]


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] | None = None


def group(api: str) -> str:
    """Return the path of a version of a group: ``v1`` is that without a name."""
    return f"/apis/{api}" if "/" in api else f"/api/{api}"


def collection(api: str, resource: str, namespace: str) -> str:
    """Return the path of all objects of a kind in a namespace."""
    return f"{group(api)}/namespaces/{namespace}/{resource}"


def selector(labels: Mapping[str, str]) -> str:
    """Return what chooses the objects that bear these labels."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


async def read(connection: KubernetesConnection, namespace: str) -> Inventory | None:
    """Return what is in it; None when there is none. Raises `Unanswered`, also `Unreadable`."""
    answer = await connection.get(_path(namespace), _ConfigMap)
    if answer.status == 404:
        return None
    data = answer.value().data or {}
    try:
        return Inventory(*(_entries(data.get(key, "[]")) for key in (_THERE, _COMING)))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Unreadable(f"The ConfigMap {namespace}/{INVENTORY} can't be read.") from error


def _entries(text: str) -> frozenset[Entry]:
    return frozenset(msgspec.json.decode(text, type=_Entries))


async def write(
    connection: KubernetesConnection,
    namespace: str,
    labels: Mapping[str, str],
    book: Inventory,
) -> None:
    """Let it name these; raises `Unanswered`."""
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": INVENTORY, "namespace": namespace, "labels": dict(labels)},
        "data": {_THERE: _text(book.there), _COMING: _text(book.coming)},
    }
    (await connection.patch(_path(namespace), body, dict, **MANAGER)).value()


def _text(entries: Iterable[Entry]) -> str:
    return msgspec.json.encode(sorted(entries)).decode()


def _path(namespace: str) -> str:
    return f"{collection('v1', 'configmaps', namespace)}/{INVENTORY}"
