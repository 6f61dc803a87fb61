"""The kinds of resource and what a user may say of each: one table, `KINDS`.

A later kind (pool, …) has a room of its own beside this one, and its row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from shared.contract import manifests as app_manifests
from shared.contract.kinds.app import AppChange, AppSpec, CreateApp, UpdateApp
from shared.contract.kinds.cluster import ClusterChange, ClusterSpec, CreateCluster, UpdateCluster
from shared.contract.kinds.common import NoChange, UpdateResource
from shared.contract.kinds.machine import CreateMachine, MachineSpec
from shared.contract.kinds.stack import CreateStack, StackChange, StackSpec, UpdateStack
from shared.contract.kinds.storage import (
    AttachmentSpec,
    CreateAttachment,
    CreateSnapshot,
    CreateVolume,
    SnapshotSpec,
    UpdateVolume,
    VolumeChange,
    VolumeSpec,
)
from shared.contract.kinds.vm import CreateVm, VmSpec
from shared.contract.problems import FieldError
from shared.contract.resources import POWER_VERBS, Resource, Sort, Verb

#: The prefix of a secret field of a spec that has been sealed to the worker that needs it.
SEALED = "sealed_"


class FindFaults(Protocol):
    """Tells what is wrong with a spec; ``anywhere``: its tenant's apps may be (`Tenant`)."""

    def __call__(self, spec: Mapping[str, Any], *, anywhere: bool = False) -> list[FieldError]:
        """Return the faults."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at, in a spec or in a change of one, beyond its types.

    ``faults`` are those of any JSON object; ``prepared`` makes of a good one what goes on the bus.
    Both may take some tenths of a second. ``unprepared`` are faults of what came by the bus without
    that, and is quick.
    """

    faults: FindFaults
    prepared: Callable[[dict[str, Any]], dict[str, Any]]
    unprepared: Callable[[Mapping[str, Any]], list[FieldError]]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What the parts need to know of a kind.

    ``sort`` is the sort of place that its resources are put on. ``secrets`` are the fields of the
    spec that are sealed to ``opener`` and never echoed; ``verbs`` are those beyond create and
    delete. ``references`` are the fields that name another resource of the tenant: {field: kind}.
    ``change`` are the fields of the spec that an update may name.
    ``takes_force``: a delete waits for who still uses it, unless it is forced.
    ``rules`` is what types can't tell of its specs; None: nothing.
    """

    name: str
    plural: str
    worker: str
    sort: Sort = Sort.CLOUD
    spec: type[msgspec.Struct]
    create: type[msgspec.Struct]
    update: type[msgspec.Struct]
    change: type[msgspec.Struct] = NoChange
    secrets: tuple[str, ...] = ()
    #: The worker that opens the secrets, where it is not ``worker``.
    opened_by: str | None = None
    verbs: frozenset[Verb] = frozenset()
    references: Mapping[str, str] = {}
    takes_force: bool = False
    rules: Rules | None = None

    @property
    def opener(self) -> str:
        """The worker that secret fields are sealed to."""
        return self.opened_by or self.worker


_LIVING = frozenset({Verb.EXTEND, Verb.UPDATE})


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="vm",
            plural="vms",
            worker="vm_worker",
            spec=VmSpec,
            create=CreateVm,
            update=UpdateResource,
            secrets=("user_data",),
            verbs=_LIVING | POWER_VERBS,
        ),
        Kind(
            name="machine",
            plural="machines",
            worker="baremetal_worker",
            sort=Sort.METAL,
            spec=MachineSpec,
            create=CreateMachine,
            update=UpdateResource,
            secrets=("user_data",),
            opened_by="iscsi_worker",
            verbs=_LIVING | POWER_VERBS,
        ),
        Kind(
            name="volume",
            plural="volumes",
            worker="iscsi_worker",
            sort=Sort.STORE,
            spec=VolumeSpec,
            create=CreateVolume,
            update=UpdateVolume,
            change=VolumeChange,
            verbs=_LIVING,
            references={"snapshot": "snapshot"},
        ),
        Kind(
            name="snapshot",
            plural="snapshots",
            worker="iscsi_worker",
            sort=Sort.STORE,
            spec=SnapshotSpec,
            create=CreateSnapshot,
            update=UpdateResource,
            verbs=_LIVING,
            references={"volume": "volume"},
        ),
        Kind(
            name="attachment",
            plural="attachments",
            worker="iscsi_worker",
            sort=Sort.STORE,
            spec=AttachmentSpec,
            create=CreateAttachment,
            update=UpdateResource,
            verbs=_LIVING,
            references={"volume": "volume", "machine": "machine"},
            takes_force=True,
        ),
        Kind(
            name="cluster",
            plural="clusters",
            worker="k8s_worker",
            spec=ClusterSpec,
            create=CreateCluster,
            update=UpdateCluster,
            change=ClusterChange,
            verbs=_LIVING,
            takes_force=True,
        ),
        Kind(
            name="app",
            plural="apps",
            worker="k8s_worker",
            spec=AppSpec,
            create=CreateApp,
            update=UpdateApp,
            change=AppChange,
            secrets=(app_manifests.SECRETS,),
            verbs=_LIVING,
            references={"cluster": "cluster"},
            rules=Rules(
                faults=app_manifests.faults,
                prepared=app_manifests.prepared,
                unprepared=app_manifests.unprepared,
            ),
        ),
        Kind(
            name="stack",
            plural="stacks",
            worker="stack_worker",
            spec=StackSpec,
            create=CreateStack,
            update=UpdateStack,
            change=StackChange,
            secrets=("hidden_parameters",),
            verbs=_LIVING,
        ),
    )
}


def without_secrets(resource: Resource) -> Resource:
    """Return the resource without what is write-only in its spec, sealed or not."""
    kind = KINDS.get(resource.kind)
    secrets = kind.secrets if kind else ()
    hidden = {name for secret in secrets for name in (secret, SEALED + secret)}
    spec = {name: value for name, value in resource.spec.items() if name not in hidden}
    return msgspec.structs.replace(resource, spec=spec)


#: What is counted against a quota by its size, not by the piece.
SIZES = frozenset({"volume_gib"})


def demand_of(kind: str, spec: dict[str, Any]) -> dict[str, int]:
    """What a resource counts for against its tenant's quota: {quota name: amount}."""
    demand = {KINDS[kind].plural: 1}
    if spec.get("floating_ip"):
        demand["floating_ips"] = 1
    size = spec.get("size_gib") or spec.get("root_gib")
    if size:
        demand["volume_gib"] = size
    return demand


def references_of(kind: str, spec: dict[str, Any]) -> dict[str, str]:
    """The other resources that a resource is made of or about: {field of the spec: id}."""
    fields = KINDS[kind].references
    return {field: spec[field] for field in fields if spec.get(field) is not None}
