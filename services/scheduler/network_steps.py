"""The steps that put something on its tenant's network: a port, and a floating IP on it.

They are the vm_worker's, whatever is put there: it alone asks Neutron (decision 0035).
"""

from __future__ import annotations

from collections.abc import Callable

from services.scheduler.definitions import Absorbed, Held, StepDefinition, doubt_of
from services.scheduler.state import ResourceState
from shared.contract.messages import (
    AssociateFloatingIp,
    FloatingIpAssociated,
    FloatingIpReleased,
    Message,
    PrepareVmPort,
    ReleaseFloatingIp,
    ReleaseVmPort,
    VmPortPrepared,
    VmPortReleased,
)

WORKER = "vm_worker"
PORT, FLOATING_IP = "port", "floating_ip"
#: What these steps make, in the order of its removal.
HOLDS = {
    "floating_ip": Held("floating_ip_id", WORKER),
    "port": Held("port_id", WORKER),
}


def cloud_of(state: ResourceState) -> str:
    """Return the cloud whose network it is on."""
    placement = state.resource.status.placement
    if placement is None or placement.cloud is None:
        raise LookupError(f"{state.resource.id} is on no cloud")
    return placement.cloud


def port_step(wanted: Callable[[ResourceState], bool] = lambda _: True) -> StepDefinition:
    """Return the step that makes a port on the network that was asked for."""
    return StepDefinition(
        name=PORT,
        worker=WORKER,
        place=cloud_of,
        wanted=wanted,
        make=_prepare_port,
        made_by={VmPortPrepared: _port_prepared},
        undo=lambda state: ReleaseVmPort(
            cloud=cloud_of(state),
            port_id=state.handles.get("port_id"),
            doubtful=bool(state.handles.get(doubt_of(PORT))),
        ),
        undone_by={VmPortReleased: lambda _: Absorbed()},
    )


def floating_ip_step() -> StepDefinition:
    """Return the step that makes a floating IP on that port, if one was asked for."""
    return StepDefinition(
        name=FLOATING_IP,
        worker=WORKER,
        place=cloud_of,
        after=(PORT,),
        wanted=lambda state: bool(state.resource.spec.get("floating_ip")),
        make=lambda state: AssociateFloatingIp(
            cloud=cloud_of(state), port_id=state.handles["port_id"]
        ),
        made_by={FloatingIpAssociated: _floating_ip_associated},
        undo=lambda state: ReleaseFloatingIp(
            cloud=cloud_of(state),
            port_id=state.handles.get("port_id"),
            floating_ip_id=state.handles.get("floating_ip_id"),
        ),
        undone_by={FloatingIpReleased: lambda _: Absorbed()},
    )


def _prepare_port(state: ResourceState) -> Message:
    spec = state.resource.spec
    return PrepareVmPort(
        cloud=cloud_of(state),
        network=spec.get("network"),
        security_groups=tuple(spec.get("security_groups", ())),
        name=state.resource.name,
    )


def _port_prepared(event: VmPortPrepared) -> Absorbed:
    return Absorbed(
        handles={"port_id": event.port_id},
        outputs={
            "addresses": list(event.fixed_ips),
            "mac_address": event.mac_address,
            "network_id": event.network_id,
        },
    )


def _floating_ip_associated(event: FloatingIpAssociated) -> Absorbed:
    return Absorbed(
        handles={"floating_ip_id": event.floating_ip_id},
        outputs={"floating_ip": event.floating_ip_address},
    )
