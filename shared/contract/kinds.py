"""The kinds of resource and what a user may say of each: one table, `KINDS`.

A later kind (pool, …) adds its spec struct and its row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from shared.contract import manifests as app_manifests
from shared.contract.problems import FieldError
from shared.contract.resources import POWER_VERBS, Resource, Sort, Verb

#: The prefix of a secret field of a spec that has been sealed to the worker that needs it.
SEALED = "sealed_"

#: Ends every pattern: Python's ``$`` also matches before a last line feed, ECMAScript's doesn't.
_END = r"$(?!\n)"

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?" + _END,
        description="1-63 letters, digits, '.', '_', '-'; first and last a letter or digit",
    ),
]
LabelKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?" + _END)]
#: No control characters: PostgreSQL can't store NUL, and nobody can read the others.
LabelValue = Annotated[str, Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*" + _END)]
#: A name or id of something in the cloud (image, flavor, network, security group).
CloudName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+" + _END)]
SshKey = Annotated[
    str,
    Meta(
        max_length=16384,
        pattern=r"^(ssh-(rsa|ed25519|dss)|ecdsa-sha2-nistp(256|384|521)"
        r"|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) [A-Za-z0-9+/=]+( [^\x00\r\n]*)?"
        + _END,
        description="one OpenSSH public key, as in authorized_keys",
    ),
]
Seconds = Annotated[int, Meta(ge=1, le=30 * 86400, description="seconds, 1 s to 30 days")]
Labels = Annotated[dict[LabelKey, LabelValue], Meta(max_length=64)]
MakingSeconds = Annotated[int, Meta(ge=1, le=86400, description="seconds for the making")]
CallbackUrl = Annotated[str, Meta(min_length=1, max_length=2048)]
#: At most 64 TiB.
SizeGib = Annotated[int, Meta(ge=1, le=65536, description="GiB")]
#: A GiB in bytes.
GIB = 1 << 30
_ULID = r"[0-7][0-9a-hjkmnp-tv-z]{25}"
VolumeId = Annotated[str, Meta(pattern="^volume-" + _ULID + _END, description="the id of a volume")]
SnapshotId = Annotated[
    str, Meta(pattern="^snapshot-" + _ULID + _END, description="the id of a snapshot")
]
MachineId = Annotated[
    str, Meta(pattern="^machine-" + _ULID + _END, description="the id of a machine")
]
ClusterId = Annotated[
    str, Meta(pattern="^cluster-" + _ULID + _END, description="the id of a cluster")
]
#: RFC 3720 §3.2.6.3: lower case after normalisation, 223 bytes at most.
InitiatorIqn = Annotated[
    str,
    Meta(
        max_length=223,
        pattern=r"^(iqn\.[0-9]{4}-(0[1-9]|1[0-2])\.[a-z0-9.-]+(:[a-z0-9.:-]+)?"
        r"|eui\.[0-9a-f]{16}|naa\.([0-9a-f]{16}|[0-9a-f]{32}))" + _END,
        description="an iSCSI initiator's name, in lower case: iqn., eui. or naa. (RFC 3720)",
    ),
]


class VmSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A virtual machine. ``user_data`` is write-only: it is sealed at the door and never shown."""

    image: CloudName
    flavor: CloudName
    network: CloudName | None = None
    floating_ip: bool = False
    ssh_keys: Annotated[tuple[SshKey, ...], Meta(max_length=64)] = ()
    user_data: Annotated[str, Meta(min_length=1, max_length=49152)] | None = None
    security_groups: Annotated[tuple[CloudName, ...], Meta(max_length=32)] = ()
    arch: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}" + _END)] | None = None


class MachineSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A bare-metal machine: the same words as a VM. It boots from a copy of a golden image.

    ``flavor`` is the operator's name for a class of nodes. The copy has the size of the image, or
    the larger ``root_gib``. ``user_data`` is write-only: it is sealed at the door and never shown.
    """

    image: CloudName
    flavor: CloudName
    root_gib: SizeGib | None = None
    network: CloudName | None = None
    floating_ip: bool = False
    ssh_keys: Annotated[tuple[SshKey, ...], Meta(max_length=64)] = ()
    user_data: Annotated[str, Meta(min_length=1, max_length=49152)] | None = None
    security_groups: Annotated[tuple[CloudName, ...], Meta(max_length=32)] = ()
    arch: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}" + _END)] | None = None


class VolumeSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A block volume: blank (``size_gib`` alone), or a copy of ``image`` or of ``snapshot``.

    A copy has the size of what it is made of, or the larger ``size_gib``.
    """

    size_gib: SizeGib | None = None
    image: CloudName | None = None
    snapshot: SnapshotId | None = None

    def __post_init__(self) -> None:
        if self.size_gib is None and self.image is None and self.snapshot is None:
            raise ValueError("Name one of size_gib, image, snapshot.")
        if self.image is not None and self.snapshot is not None:
            raise ValueError("Name either image or snapshot, not both.")


class SnapshotSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What a volume holds at a moment; new volumes can be made of it."""

    volume: VolumeId


class AttachmentSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A volume offered over iSCSI to one initiator, and to no other.

    To one of which the name is known, or to the tenant's own ``machine``.
    """

    volume: VolumeId
    initiator_iqn: InitiatorIqn | None = None
    machine: MachineId | None = None

    def __post_init__(self) -> None:
        if (self.initiator_iqn is None) == (self.machine is None):
            raise ValueError("Name either initiator_iqn or machine, and not both.")


#: A name in a template of Heat's.
ParameterName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,255}" + _END)]
TemplateText = Annotated[
    str, Meta(min_length=1, max_length=131072, description="a HOT template in YAML or JSON")
]
StackSeconds = Annotated[int, Meta(ge=60, le=3600, description="seconds, in whole minutes of Heat")]


class StackSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What Heat makes of a ``template`` (HOT, as text or as an object), or of one by its name.

    ``hidden_parameters`` are those that the template marks ``hidden``; they are write-only: sealed
    at the door and never shown. After ``timeout`` Heat gives the making up.
    """

    template: TemplateText | dict[str, Any] | None = None
    template_name: CloudName | None = None
    parameters: Annotated[dict[ParameterName, Any], Meta(max_length=200)] = {}
    hidden_parameters: (
        Annotated[dict[ParameterName, Any], Meta(min_length=1, max_length=200)] | None
    ) = None
    timeout: StackSeconds | None = None

    def __post_init__(self) -> None:
        if (self.template is None) == (self.template_name is None):
            raise ValueError("Name either template or template_name, and not both.")


#: How many workers a cluster may have.
NodeCount = Annotated[int, Meta(ge=1, le=1000, description="worker nodes")]
KubernetesVersion = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,2}\.[0-9]{1,3}(\.[0-9]{1,3})?" + _END,
        description="a version of Kubernetes: 1.20, or 1.20.2 to the letter",
    ),
]


class ClusterSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A Kubernetes cluster of ``node_count`` workers.

    ``flavor`` is that of its nodes, else the operator's. ``template`` is one of Magnum's by its
    name or id; without one, that of version, flavor and arch is found or made.
    """

    node_count: NodeCount
    version: KubernetesVersion
    flavor: CloudName | None = None
    template: CloudName | None = None
    arch: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}" + _END)] | None = None


Manifests = (
    Annotated[
        str, Meta(min_length=1, max_length=262144, description="documents of YAML, '---' between")
    ]
    | Annotated[
        tuple[dict[str, Any], ...], Meta(max_length=100, description="objects of Kubernetes")
    ]
)
SecretManifests = Annotated[
    tuple[dict[str, Any], ...], Meta(max_length=100, description="objects of the kind Secret")
]
ContainerImage = Annotated[
    str, Meta(min_length=1, max_length=512, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*" + _END)
]
Port = Annotated[int, Meta(ge=1, le=65535, description="a TCP port of the container")]
Replicas = Annotated[int, Meta(ge=0, le=1000)]
#: RFC 1123, with a star for a whole domain, as an Ingress takes it.
HostName = Annotated[
    str,
    Meta(
        max_length=253,
        pattern=r"^(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
        r"(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*" + _END,
        description="a DNS name in lower case",
    ),
]


class AppSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A workload on a ``cluster``: ``manifests``, or the short form of ``image`` and the rest.

    Manifests are objects of Kubernetes without a namespace: the app has one of its own, and nothing
    outside of it. Those of the kind Secret are write-only: they are taken from ``manifests`` to
    ``secret_manifests``, sealed at the door and never shown. The short form is a Deployment of
    ``replicas``; with a ``port`` also a Service and an Ingress, for ``host`` alone where it is
    said.
    """

    cluster: ClusterId
    manifests: Manifests | None = None
    secret_manifests: SecretManifests | None = None
    image: ContainerImage | None = None
    port: Port | None = None
    replicas: Replicas = 1
    host: HostName | None = None

    def __post_init__(self) -> None:
        if (self.manifests is None) == (self.image is None):
            raise ValueError("Name either manifests or image, and not both.")
        if self.image is None and (self.port, self.replicas, self.host) != (None, 1, None):
            raise ValueError("Without image there are no port, replicas and host.")
        if self.host is not None and self.port is None:
            raise ValueError("A host needs a port, which the Ingress leads to.")
        if self.image is not None and self.secret_manifests is not None:
            raise ValueError("Beside image there are no secret_manifests.")


def is_version(shown: str, wanted: str) -> bool:
    """Tell whether a version ("v1.20.2-1") is the one asked for ("1.20.2"), or of it ("1.20")."""
    found = shown.removeprefix("v").split("+")[0].split("-")[0].split(".")
    asked = wanted.split(".")
    return found[: len(asked)] == asked


class LeaseRequest(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """How long the resource may live, in seconds."""

    ttl: Seconds


class CreateVm(VmSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/vms``: the spec and what all kinds have, side by side."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class CreateMachine(
    MachineSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/machines``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class CreateVolume(
    VolumeSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/volumes``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class CreateSnapshot(
    SnapshotSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/snapshots``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class CreateAttachment(
    AttachmentSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/attachments``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class StackChange(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What of a stack can change in place; parameters that are not named stay as they are."""

    template: TemplateText | dict[str, Any] | None = None
    template_name: CloudName | None = None
    parameters: Annotated[dict[ParameterName, Any], Meta(max_length=200)] | None = None
    hidden_parameters: (
        Annotated[dict[ParameterName, Any], Meta(min_length=1, max_length=200)] | None
    ) = None

    def __post_init__(self) -> None:
        if self.template is not None and self.template_name is not None:
            raise ValueError("Name either template or template_name, not both.")


class CreateStack(
    StackSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/stacks``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class CreateCluster(
    ClusterSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST /v1/clusters``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class CreateApp(AppSpec, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/apps``."""

    name: Name | None = None
    labels: Labels = {}
    lease: LeaseRequest | None = None
    deadline: MakingSeconds | None = None
    callback_url: CallbackUrl | None = None


class UpdateResource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``PATCH …/{id}``: what can change in place. ``labels`` replaces all."""

    labels: Labels | None = None
    lease: LeaseRequest | None = None


class VolumeChange(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What of a volume's spec can change in place: it can grow."""

    size_gib: SizeGib | None = None


class UpdateVolume(
    VolumeChange, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``PATCH /v1/volumes/{id}``: ``size_gib`` makes it larger, never smaller."""

    labels: Labels | None = None
    lease: LeaseRequest | None = None


class ClusterChange(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What of a cluster's spec can change in place: it grows and shrinks."""

    node_count: NodeCount | None = None


class UpdateCluster(
    ClusterChange, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``PATCH /v1/clusters/{id}``: ``node_count`` is how many workers it is to have."""

    labels: Labels | None = None
    lease: LeaseRequest | None = None


class UpdateStack(
    StackChange, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``PATCH /v1/stacks/{id}``: Heat changes the living stack to what it says."""

    labels: Labels | None = None
    lease: LeaseRequest | None = None


class AppChange(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What of an app can change in place, in the form that it has.

    ``manifests`` replace all that are shown; Secrets stay unless some are named, which then replace
    all of them.
    """

    manifests: Manifests | None = None
    secret_manifests: SecretManifests | None = None
    image: ContainerImage | None = None
    port: Port | None = None
    replicas: Replicas | None = None
    host: HostName | None = None


class UpdateApp(
    AppChange, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``PATCH /v1/apps/{id}``: what it says is rolled out."""

    labels: Labels | None = None
    lease: LeaseRequest | None = None


class NoChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing of a spec can change in place."""


class ExtendLease(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The body of ``POST …/extend``: the lease then ends ``ttl`` seconds from now."""

    ttl: Seconds


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


def least_size_gib(spec: dict[str, Any], outputs: dict[str, Any]) -> int:
    """The least ``size_gib`` that a volume can be asked to have: what it has already."""
    in_bytes: int = outputs.get("size_bytes") or 0
    return max(spec.get("size_gib") or 1, -(-in_bytes // GIB))


def references_of(kind: str, spec: dict[str, Any]) -> dict[str, str]:
    """The other resources that a resource is made of or about: {field of the spec: id}."""
    fields = KINDS[kind].references
    return {field: spec[field] for field in fields if spec.get(field) is not None}
