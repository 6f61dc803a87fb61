"""Every message on the bus, as frozen structs: the data of a CloudEvent (`shared.contract.codec`).

Commands are imperative, events are past tense, and each name is used all the way: its handler
is the same words in snake case. ``step`` and ``attempt`` travel in the envelope, not here.

One long module on purpose: it is a table, read by its headings (who tells whom), and codec, schemas
and golden files take it whole. It has no logic in it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.contract.problems import Problem
from shared.contract.resources import Moment, Phase, Resource, Verb


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of all messages. Unknown fields are tolerated: parts may be upgraded apart."""


# ---- requests: front door or a CI system → scheduler ---------------------------------------


class RequestSubmitted(Message, frozen=True):
    """Somebody asks for ``verb`` on a resource. Secret fields of ``spec`` are sealed already.

    ``resource_id`` is minted by the front door for its own creates, and by the scheduler (None) for
    those from the bus; every other verb names it. ``operation_id`` names a power verb.
    ``lease_ttl`` and ``deadline`` are seconds. ``spec`` is complete for create. ``labels`` of None
    leaves labels as they are.
    """

    verb: Verb
    kind: str
    resource_id: str | None = None
    operation_id: str | None = None
    name: str | None = None
    labels: dict[str, str] | None = None
    spec: dict[str, Any] = {}
    lease_ttl: int | None = None
    deadline: int | None = None
    callback_url: str | None = None


# ---- answers to a request's reply_to: scheduler → whoever asked ------------------------------


class RequestAccepted(Message, frozen=True):
    """The ledger has the request. ``resource`` is as it was then; its id is in every status.

    ``repeated``: this very request (tenant, source, id) had been accepted before.
    """

    resource: Resource
    repeated: bool = False


class RequestRefused(Message, frozen=True):
    """Nothing was done: what is wrong with the request, field by field where it can be told."""

    problem: Problem


# ---- commands: scheduler → any worker --------------------------------------------------------


class TakeCensus(Message, frozen=True):
    """Say what ``place`` (a cloud) holds of this installation: → `CensusTaken`."""

    place: str


class RemoveOrphan(Message, frozen=True):
    """Remove one object of a resource that has ended; `Holding` has the meaning of the fields.

    The worker looks first: whose marks the object doesn't bear, it must not touch.
    """

    place: str
    what: str
    object_id: str
    resource_id: str


# ---- commands: scheduler → vm_worker --------------------------------------------------------


class PrepareVmPort(Message, frozen=True):
    """Make a VM's port on ``network`` (None: the tenant's default, made when missing)."""

    cloud: str
    network: str | None = None
    security_groups: tuple[str, ...] = ()
    name: str | None = None


class ProvisionVm(Message, frozen=True):
    """Start building the server on its port. ``sealed_user_data`` is a base64 sealed box."""

    cloud: str
    image: str
    flavor: str
    port_id: str
    name: str | None = None
    ssh_keys: tuple[str, ...] = ()
    sealed_user_data: str | None = None
    labels: dict[str, str] = {}


class AssociateFloatingIp(Message, frozen=True):
    """Make a floating IP on the VM's port."""

    cloud: str
    port_id: str


class ReleaseFloatingIp(Message, frozen=True):
    """Delete the VM's floating IP; what is unknown or gone counts as released."""

    cloud: str
    port_id: str | None = None
    floating_ip_id: str | None = None


class DeprovisionVm(Message, frozen=True):
    """Delete the VM's server, found by id or by its tag.

    ``doubtful``: there may be others of it than the one named.
    """

    cloud: str
    server_id: str | None = None
    doubtful: bool = False


class ReleaseVmPort(Message, frozen=True):
    """Delete the VM's port, found by id or by its name.

    ``doubtful``: there may be others of it than the one named.
    """

    cloud: str
    port_id: str | None = None
    doubtful: bool = False


class ChangeVmPower(Message, frozen=True):
    """Reboot, stop or start the server.

    ``asked_at`` is when the operation's first command was sent: a reboot since then is this one.
    """

    cloud: str
    server_id: str
    operation_id: str
    verb: Verb
    asked_at: Moment | None = None


class VmInspection(Message, frozen=True):
    """One VM to look at: what the ledger knows of it."""

    resource_id: str
    tenant: str
    server_id: str | None = None
    port_id: str | None = None
    floating_ip_id: str | None = None


class InspectVms(Message, frozen=True):
    """Look at all these VMs of one cloud with as few list calls as possible."""

    cloud: str
    vms: tuple[VmInspection, ...]


# ---- events: workers → scheduler (and live to the front door) --------------------------------


class Holding(Message, frozen=True):
    """One object of ours in a backend.

    ``what`` is the backend's word for it (server, port, floating_ip); ``resource_id`` is None for
    what serves a tenant as a whole. ``place`` names the backend (the cloud).
    """

    what: str
    id: str
    place: str
    tenant: str
    resource_id: str | None = None
    name: str | None = None
    status: str | None = None


class CensusTaken(Message, frozen=True):
    """What ``place`` held of this installation at ``taken_at``; in several parts when it is much.

    ``part`` counts from 1 to ``parts``. Half a census is never published.
    """

    place: str
    taken_at: Moment
    holdings: tuple[Holding, ...]
    part: int = 1
    parts: int = 1


class OrphanRemoved(Message, frozen=True):
    """The object is gone (also when it already was)."""

    place: str
    what: str
    object_id: str


class CloudNotificationsChanged(Message, frozen=True):
    """Whether the cloud's own notifications are being received, by the replica that says so."""

    cloud: str
    receiving: bool
    changed_at: Moment


class VmPortPrepared(Message, frozen=True):
    """The port is there. ``fixed_ips`` are its addresses."""

    port_id: str
    network_id: str
    mac_address: str
    fixed_ips: tuple[str, ...] = ()


class VmBuildStarted(Message, frozen=True):
    """Nova has accepted the server; the open step now waits for `VmObserved`.

    ``doubtful``: an earlier try may have come through as well. Two servers with one port do each
    other harm up to the end of the second: only an inspection, which sees all, proves the VM.
    """

    server_id: str
    doubtful: bool = False


class FloatingIpAssociated(Message, frozen=True):
    """The floating IP exists on the VM's port."""

    floating_ip_id: str
    floating_ip_address: str


class FloatingIpReleased(Message, frozen=True):
    """No floating IP of this VM is left."""


class VmDeletionStarted(Message, frozen=True):
    """Nova has accepted the deletion; the open undo now waits for `VmObserved` with ``gone``.

    ``doubtful``: not the only server of this VM, perhaps; only an inspection tells that all went.
    """

    server_id: str
    doubtful: bool = False


class VmDeprovisioned(Message, frozen=True):
    """No server of this VM is left."""


class VmPortReleased(Message, frozen=True):
    """No port of this VM is left."""


class VmPowerChangeStarted(Message, frozen=True):
    """Nova has accepted the power action; the operation now waits for `VmObserved`."""

    operation_id: str


class VmObserved(Message, frozen=True):
    """What the cloud said of one VM at ``observed_at``; None means it was not asked or not said.

    ``server_status`` and ``port_status`` are Nova's and Neutron's own words (ACTIVE, BUILD,
    SHUTOFF, ERROR, …). ``gone`` means Nova knows no such server any more. ``task_state`` is Nova's
    transient state, None when nothing is under way. ``floating_ip_port_id`` is the port that the
    floating IP is on. ``notified``: the cloud told of it by itself, no inspection had to ask.
    ``port_lost``: the server runs, alone, and its port serves nobody: when Nova gives up a second
    server it takes the port off whichever has it. ``beside``: there is such a second server.
    """

    observed_at: Moment
    server_id: str | None = None
    gone: bool = False
    server_status: str | None = None
    task_state: str | None = None
    fault: Problem | None = None
    port_status: str | None = None
    addresses: tuple[str, ...] = ()
    floating_ip_port_id: str | None = None
    floating_ip_address: str | None = None
    launched_at: Moment | None = None
    notified: bool = False
    port_lost: bool = False
    beside: bool = False


class VmInspectionFailed(Message, frozen=True):
    """The cloud could not be asked about these VMs."""

    cloud: str
    resource_ids: tuple[str, ...]
    problem: Problem


class CommandFailed(Message, frozen=True):
    """A command ended without its effect, or with an unknown one.

    ``retryable`` means the same command may succeed later (another attempt will look first).
    ``unknown``: the backend did not answer, and may yet do what it was asked. ``retry_after`` is
    how long it wants to be left alone, in seconds. ``problem.reason`` is from the vocabulary
    (`shared.contract.problems.Reason`).
    """

    command: str
    problem: Problem
    retryable: bool
    operation_id: str | None = None
    unknown: bool = False
    retry_after: int | None = None


class WebhookDisabled(Message, frozen=True):
    """An endpoint kept failing; deliveries to it have stopped."""

    webhook_id: str
    url: str
    problem: Problem


# ---- status: scheduler → everybody ----------------------------------------------------------


class ResourceStatusChanged(Message, frozen=True):
    """The resource as it now is. ``callback_url`` travels in every status of a resource with one.

    ``previous_phase`` lets a reader tell a change of phase from a change within it.
    """

    resource: Resource
    previous_phase: Phase | None = None
    callback_url: str | None = None


# ---- queries and their answers: front door → owner, by direct reply-to ------------------------


class GetQuota(Message, frozen=True):
    """→ scheduler: what the tenant may hold, and holds."""


class QuotaReported(Message, frozen=True):
    """``limits`` and ``used``: {quota name: amount}; ``waiting`` counts what isn't admitted."""

    limits: dict[str, int]
    used: dict[str, int]
    waiting: int


class GetCapacity(Message, frozen=True):
    """→ scheduler: what the clouds of the tenant can take now."""


class CloudCapacity(Message, frozen=True):
    """One cloud: builds under way, how many at once at most, and recent failures.

    ``resting_until``: it kept failing, so that nothing is placed there before.
    """

    cloud: str
    building: int
    limit: int
    recent_failures: int
    resting_until: Moment | None = None


class CapacityReported(Message, frozen=True):
    """The clouds that the tenant may use, and how many requests wait (of all tenants)."""

    clouds: tuple[CloudCapacity, ...]
    waiting: int


class GetVmCatalog(Message, frozen=True):
    """→ vm_worker: what the tenant can ask for."""


class VmFlavor(Message, frozen=True):
    """A flavor: virtual CPUs, memory in MiB, root disk in GiB."""

    name: str
    vcpus: int
    ram_mib: int
    disk_gib: int


class CloudCatalog(Message, frozen=True):
    """What one cloud offers the tenant, by name."""

    cloud: str
    images: tuple[str, ...]
    flavors: tuple[VmFlavor, ...]
    networks: tuple[str, ...]
    security_groups: tuple[str, ...]


class VmCatalogReported(Message, frozen=True):
    """The clouds' offers, and the faults of those that could not be asked."""

    clouds: tuple[CloudCatalog, ...]
    problems: tuple[Problem, ...] = ()


class CreateWebhook(Message, frozen=True):
    """→ webhook_worker: subscribe. ``webhook_id`` is minted by the asker, so a repeat is harmless.

    ``phases`` and ``kinds`` say which changes (empty: all).
    """

    webhook_id: str
    url: str
    phases: tuple[Phase, ...] = ()
    kinds: tuple[str, ...] = ()
    description: str | None = None
    reply_public_key: str | None = None


class Webhook(Message, frozen=True):
    """A subscription as shown to its owner. ``sealed_secret`` only in the answer to its making."""

    id: str
    url: str
    created_at: Moment
    phases: tuple[Phase, ...] = ()
    kinds: tuple[str, ...] = ()
    description: str | None = None
    resource_id: str | None = None
    disabled_at: Moment | None = None
    disabled_reason: str | None = None
    sealed_secret: str | None = None


class ListWebhooks(Message, frozen=True):
    """→ webhook_worker: the tenant's subscriptions."""

    after: str | None = None
    limit: int = 100


class WebhooksListed(Message, frozen=True):
    """A page of subscriptions; ``next`` continues it."""

    webhooks: tuple[Webhook, ...]
    next: str | None = None


class GetWebhook(Message, frozen=True):
    """→ webhook_worker: one subscription."""

    webhook_id: str


class DeleteWebhook(Message, frozen=True):
    """→ webhook_worker: end a subscription; its pending deliveries end with it."""

    webhook_id: str


class WebhookDeleted(Message, frozen=True):
    """The subscription is gone (also when it already was)."""

    webhook_id: str


class RotateWebhookSecret(Message, frozen=True):
    """→ webhook_worker: a new secret; the old one signs along for a day."""

    webhook_id: str
    reply_public_key: str


class GetCallbackSecret(Message, frozen=True):
    """→ webhook_worker: the tenant's key for ``callback_url`` deliveries, sealed to the asker."""

    reply_public_key: str


class CallbackSecretIssued(Message, frozen=True):
    """The sealed ``whsec_…`` secret (base64 of a libsodium sealed box)."""

    sealed_secret: str


class ListWebhookDeliveries(Message, frozen=True):
    """→ webhook_worker: the deliveries of one subscription, newest first."""

    webhook_id: str
    after: str | None = None
    limit: int = 100


class WebhookAttempt(Message, frozen=True):
    """One try: the HTTP status, or the error when there was none."""

    at: Moment
    status: int | None = None
    error: str | None = None
    milliseconds: int | None = None


class WebhookDelivery(Message, frozen=True):
    """One message to one endpoint. ``state``: pending, delivered, failed, cancelled."""

    id: str
    webhook_id: str
    resource_id: str
    sequence: int
    state: str
    created_at: Moment
    next_attempt_at: Moment | None = None
    attempts: tuple[WebhookAttempt, ...] = ()


class WebhookDeliveriesListed(Message, frozen=True):
    """A page of deliveries; ``next`` continues it."""

    deliveries: tuple[WebhookDelivery, ...]
    next: str | None = None


class RedeliverWebhook(Message, frozen=True):
    """→ webhook_worker: send again one delivery, or (None) all failed ones of the subscription."""

    webhook_id: str
    delivery_id: str | None = None


class WebhookRedeliveryQueued(Message, frozen=True):
    """How many deliveries were queued again."""

    count: int


class QueryFailed(Message, frozen=True):
    """The owner's answer when it can't answer: a problem whose ``status`` is the HTTP status."""

    problem: Problem


def _leaves(base: type[Message]) -> list[type[Message]]:
    return [leaf for child in base.__subclasses__() for leaf in (child, *_leaves(child))]


#: Message name → type: every struct above that travels on its own, and the parts they are made of.
MESSAGES: dict[str, type[Message]] = {message.__name__: message for message in _leaves(Message)}
