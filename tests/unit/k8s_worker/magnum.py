"""A Magnum in memory: it shows clusters late where it is told to, as the real one does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from services.k8s_worker.app_backend import AppLook, AppObjects
from services.k8s_worker.backend import (
    Access,
    Check,
    Cluster,
    Look,
    NewCluster,
    Node,
    Project,
    Template,
    Unanswered,
)
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TemporaryError
from tests.support.kubernetes import Authority, new_authority

#: When certificates end that it signs.
END = datetime(2030, 1, 1, tzinfo=UTC)
#: What becomes of Magnum's 404 for a template that one of its clusters lacks.
NOT_SHOWN = TemporaryError("no template", reason=Reason.BACKEND_REFUSED)


@dataclass
class Magnum:
    """One project. ``lost``: errors that creates end in after they had their effect."""

    cloud: str = "devcloud"
    tenant: str = "bigtop"
    kept: dict[str, Cluster] = field(default_factory=dict)
    made: list[NewCluster] = field(default_factory=list)
    known: list[Template] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    resized: list[tuple[str, int]] = field(default_factory=list)
    lost: list[Exception] = field(default_factory=list)
    #: What the next lists end in; what resizes do.
    unlisted: list[Exception] = field(default_factory=list)
    no_resize: Exception | None = None
    signatures: int = 0
    #: Clusters, by id or name, that can't be shown, and so spoil the list.
    unshowable: set[str] = field(default_factory=set)
    #: What asking for a certificate ends in.
    unsigned: Exception | None = None
    authority_of_all: Authority = field(default_factory=lambda: new_authority("magnum"))

    def project(self, cloud: str, tenant: str, deadline: Deadline) -> Project:
        del deadline
        assert (cloud, tenant) == (self.cloud, self.tenant)
        return self

    async def clusters(self) -> list[Cluster]:
        if self.unlisted:
            raise self.unlisted.pop(0)
        if self.unshowable:
            raise NOT_SHOWN
        return list(self.kept.values())

    async def cluster(self, cluster_id: str) -> Cluster | None:
        if cluster_id in self.unshowable:
            raise NOT_SHOWN
        named = [one for one in self.kept.values() if one.name == cluster_id]
        if len(named) > 1:
            raise TemporaryError("409", reason=Reason.BACKEND_REFUSED)
        return self.kept.get(cluster_id) or next(iter(named), None)

    def add(self, name: str, labels: Mapping[str, str], **fields: Any) -> Cluster:
        number = len(self.kept) + 1
        shown = {"status": "CREATE_COMPLETE", "created_at": f"2026-01-{number:02}", **fields}
        cluster = Cluster(id=f"m-{number}", name=name, labels=dict(labels), **shown)
        self.kept[cluster.id] = cluster
        return cluster

    async def create_cluster(self, new: NewCluster) -> str:
        self.made.append(new)
        made = self.add(new.name, new.labels, template_id=new.template_id)
        if self.lost:
            raise self.lost.pop(0)
        return made.id

    async def resize_cluster(self, cluster_id: str, node_count: int) -> None:
        if self.no_resize is not None:
            raise self.no_resize
        self.resized.append((cluster_id, node_count))

    async def delete_cluster(self, cluster_id: str) -> bool:
        return self.kept.pop(cluster_id, None) is not None

    async def templates(self) -> list[Template]:
        shown = list(self.known)
        await asyncio.sleep(0)  # others ask meanwhile
        return shown

    async def create_template(self, body: Mapping[str, Any]) -> Template:
        self.bodies.append(dict(body))
        made = Template(f"t-{len(self.known) + 1}", body["name"], body["labels"])
        self.known.append(made)
        return made

    async def authority(self, cluster_id: str) -> str:
        assert cluster_id in self.kept
        if self.unsigned is not None:
            raise self.unsigned
        return self.authority_of_all.text

    async def signed(self, cluster_id: str, request: str) -> str:
        assert cluster_id in self.kept
        self.signatures += 1
        asked = x509.load_pem_x509_csr(request.encode())
        builder = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(self.authority_of_all.certificate.subject)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(END - timedelta(days=5000))
            .not_valid_after(END)
        )
        signed = builder.sign(self.authority_of_all.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()


class Server:
    """An API server that does as it is told; ``left`` is what it has outside, try by try."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.refuses = False
        self.closed = False
        self.left: list[list[str]] = []
        self.applied: list[AppObjects] = []
        self.app_looks: dict[str, AppLook] = {}
        self.apps_looked_at: list[str] = []
        self.removed: list[str] = []
        #: Apps whose namespaces are going, and those whose removal is refused.
        self.going: set[str] = set()
        self.kept: set[str] = set()
        self.looks = 0
        self.nodes: tuple[Node, ...] = ()
        self.checks: tuple[Check, ...] = ()
        #: What an answer waits for, what a list of apps does, and what applying one does.
        self.answering: asyncio.Event | None = None
        self.listing: asyncio.Event | None = None
        self.applying: asyncio.Event | None = None

    async def look(self, checks: Sequence[Check] = ()) -> Look:
        self.looks += 1
        self.checks = tuple(checks)
        if self.answering is not None:
            await self.answering.wait()
        assert not self.closed
        if self.refuses:
            raise Unanswered("refused", refused=True)
        return Look("v1.20.2", self.nodes)

    async def drain(self, seconds: float) -> list[str]:
        assert seconds > 0
        if self.refuses:
            raise Unanswered("It can't be reached.")
        return self.left.pop(0) if self.left else []

    async def apply_app(self, app: AppObjects, seconds: float) -> None:
        assert seconds > 0
        if self.refuses:
            raise Unanswered("It can't be reached.")
        self.applied.append(app)
        if self.applying is not None:
            await self.applying.wait()

    async def apps(self, labels: Mapping[str, str]) -> dict[str, bool]:
        assert list(labels) == ["colobus.org/installation"]
        if self.listing is not None:
            await self.listing.wait()
        if self.refuses:
            raise Unanswered("It can't be reached.")
        return {one: one in self.going for one in sorted(self.app_looks.keys() - set(self.removed))}

    async def remove_app(self, namespace: str) -> bool:
        if self.refuses or namespace in self.kept:
            raise Unanswered("It can't be reached.")
        self.removed.append(namespace)
        return namespace in self.app_looks

    async def look_at_app(self, namespace: str, labels: Mapping[str, str]) -> AppLook | None:
        self.apps_looked_at.append(namespace)
        assert labels == {"colobus.org/resource": namespace}
        if self.answering is not None:
            await self.answering.wait()
        if self.refuses:
            raise Unanswered("It can't be reached.")
        return self.app_looks.get(namespace)

    async def close(self) -> None:
        self.closed = True
