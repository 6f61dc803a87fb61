"""The vm_worker's commands, events and catalog."""

from __future__ import annotations

import msgspec

from shared.contract.messages.base import Message
from shared.contract.problems import Problem
from shared.contract.resources import Moment, Verb


class PrepareVmPort(Message, frozen=True):
    """Make a VM's port on ``network`` (None: the tenant's default, made when missing)."""

    cloud: str
    network: str | None = None
    security_groups: tuple[str, ...] = ()
    name: str | None = None


class ProvisionVm(Message, frozen=True):
    """Start building the server on its port. ``sealed_user_data`` is a base64 sealed box.

    Before ``look_until`` an earlier request that was not answered may still have its effect, so
    that none is made yet: it is only looked for.
    """

    cloud: str
    image: str
    flavor: str
    port_id: str
    name: str | None = None
    ssh_keys: tuple[str, ...] = ()
    sealed_user_data: str | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    look_until: Moment | None = None


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


class CloudNotificationsChanged(Message, frozen=True):
    """Whether the cloud's own notifications are being received, by the replica that says so."""

    cloud: str
    receiving: bool
    changed_at: Moment


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
