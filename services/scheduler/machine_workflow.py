"""The steps of a machine: node, disks and port side by side; the target; then the boot.

The disks are the iscsi_worker's, port and floating IP the vm_worker's (decision 0035).
"""

from __future__ import annotations

import re

from services.scheduler.definitions import (
    Absorbed,
    Held,
    Inspection,
    OperationDefinition,
    StepDefinition,
    WorkflowDefinition,
)
from services.scheduler.machine_sightings import (
    NODE,
    PHONES_HOME,
    TARGET,
    booted,
    condition,
    exported_at,
    inspect_disks,
    inspect_nodes,
    is_about,
    mended_by,
    metal_of,
    outputs_of,
    power_changed,
    power_unchanged,
    so_far,
    store_of,
    unbooted,
)
from services.scheduler.network_steps import FLOATING_IP, HOLDS, PORT, floating_ip_step, port_step
from services.scheduler.state import ResourceState
from services.scheduler.storage_sightings import WORKER as STORAGE_WORKER
from shared.contract.messages import (
    ChangeMachinePower,
    ConfigVolumeDeprovisioned,
    ConfigVolumeProvisioned,
    DeployMachine,
    DeprovisionConfigVolume,
    DeprovisionVolume,
    DisksExported,
    DisksWithdrawn,
    ExportDisks,
    MachineDeployStarted,
    MachineObserved,
    MachinePowerChangeStarted,
    MachineUndeployed,
    MachineUndeployStarted,
    Message,
    NodeReleased,
    NodeReserved,
    ProvisionConfigVolume,
    ProvisionVolume,
    ReleaseNode,
    ReserveNode,
    StorageObserved,
    UndeployMachine,
    VolumeDeprovisioned,
    VolumeProvisioned,
    WithdrawDisks,
)
from shared.contract.resources import Operation

WORKER = "baremetal_worker"


def _reserve(state: ResourceState) -> Message:
    spec = state.resource.spec
    return ReserveNode(
        metal=state.place,
        flavor=spec["flavor"],
        arch=spec.get("arch"),
        name=state.resource.name,
    )


def _reserved(event: NodeReserved) -> Absorbed:
    return Absorbed(
        handles={"node_id": event.node_id, "allocation_id": event.allocation_id},
        outputs={"node": event.node_name},
    )


def _released(event: NodeReleased) -> Absorbed:
    if event.quarantined is None:
        return Absorbed()
    return Absorbed(outputs={"node_quarantined": event.quarantined})


def _provision_root(state: ResourceState) -> Message:
    spec = state.resource.spec
    return ProvisionVolume(
        store=store_of(state), size_gib=spec.get("root_gib"), image=spec["image"]
    )


def _root_provisioned(event: VolumeProvisioned) -> Absorbed:
    return Absorbed(
        handles={"rbd_image": event.rbd_image}, outputs={"root_bytes": event.size_bytes}
    )


def _provision_config(state: ResourceState) -> Message:
    return ProvisionConfigVolume(
        store=store_of(state),
        hostname=hostname_of(state.resource.name or state.resource.id),
        image=state.resource.spec["image"],
        ssh_keys=tuple(state.resource.spec.get("ssh_keys", ())),
        sealed_user_data=state.sealed.get("user_data"),
    )


def _config_provisioned(event: ConfigVolumeProvisioned) -> Absorbed:
    phones = {PHONES_HOME: "yes"} if event.phones_home else {}
    return Absorbed(handles={"config_image": event.rbd_image, **phones})


def hostname_of(name: str) -> str:
    """Return a machine's name as one label of a host name (RFC 1123 §2.1)."""
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:63].rstrip("-")


def _exported(event: DisksExported) -> Absorbed:
    return Absorbed(
        handles={
            "target_iqn": event.target_iqn,
            "initiator_iqn": event.initiator_iqn,
            "lun": str(event.lun),
            "portals": " ".join(event.portals),
        }
    )


def _deploy(state: ResourceState) -> Message:
    handles = state.handles
    return DeployMachine(
        metal=state.place,
        node_id=handles["node_id"],
        target_iqn=handles["target_iqn"],
        initiator_iqn=handles["initiator_iqn"],
        lun=int(handles["lun"]),
        portals=tuple(handles["portals"].split()),
        port_id=handles.get("port_id"),
        name=state.resource.name,
        allocation_id=handles.get("allocation_id"),
    )


def _change_power(state: ResourceState, operation: Operation) -> Message:
    return ChangeMachinePower(
        metal=state.place,
        node_id=state.handles["node_id"],
        operation_id=operation.id,
        verb=operation.verb,
        asked_at=operation.started_at,
        allocation_id=state.handles.get("allocation_id"),
    )


def _is_networked(state: ResourceState) -> bool:
    """Before it is placed nobody knows."""
    placement = state.resource.status.placement
    return placement is None or placement.cloud is not None


MACHINE_WORKFLOW = WorkflowDefinition(
    kind="machine",
    worker=WORKER,
    steps=(
        StepDefinition(
            name=NODE,
            worker=WORKER,
            make=_reserve,
            made_by={NodeReserved: _reserved},
            undo=lambda state: ReleaseNode(metal=state.place, node_id=state.handles.get("node_id")),
            undone_by={NodeReleased: _released},
        ),
        StepDefinition(
            name="root",
            worker=STORAGE_WORKER,
            place=store_of,
            make=_provision_root,
            made_by={VolumeProvisioned: _root_provisioned},
            undo=lambda state: DeprovisionVolume(store=store_of(state)),
            undone_by={VolumeDeprovisioned: lambda _: Absorbed()},
        ),
        StepDefinition(
            name="config",
            worker=STORAGE_WORKER,
            place=store_of,
            make=_provision_config,
            made_by={ConfigVolumeProvisioned: _config_provisioned},
            undo=lambda state: DeprovisionConfigVolume(store=store_of(state)),
            undone_by={ConfigVolumeDeprovisioned: lambda _: Absorbed()},
        ),
        StepDefinition(
            name=TARGET,
            worker=STORAGE_WORKER,
            place=store_of,
            after=("root", "config"),
            make=lambda state: ExportDisks(store=store_of(state)),
            made_by={DisksExported: _exported},
            undo=lambda state: WithdrawDisks(store=store_of(state)),
            undone_by={DisksWithdrawn: lambda _: Absorbed()},
        ),
        port_step(_is_networked),
        floating_ip_step(),
        StepDefinition(
            name="boot",
            worker=WORKER,
            # A floating IP that can't be had sends it back into the queue: not once it is on.
            after=(NODE, TARGET, PORT, FLOATING_IP),
            make=_deploy,
            made_by={MachineDeployStarted: lambda _: Absorbed(done=False)},
            sees_made=booted,
            so_far=so_far,
            undo=lambda state: UndeployMachine(
                metal=state.place,
                node_id=state.handles["node_id"],
                allocation_id=state.handles.get("allocation_id"),
            ),
            undone_by={
                MachineUndeployed: lambda _: Absorbed(),
                MachineUndeployStarted: lambda _: Absorbed(done=False),
            },
            sees_undone=unbooted,
        ),
    ),
    inspections=(
        Inspection(WORKER, MachineObserved, inspect_nodes, metal_of),
        Inspection(STORAGE_WORKER, StorageObserved, inspect_disks, exported_at),
    ),
    is_about=is_about,
    outputs=outputs_of,
    condition=condition,
    operations=OperationDefinition(
        command=_change_power,
        accepted_by=MachinePowerChangeStarted,
        done=power_changed,
        in_vain=power_unchanged,
    ),
    holds={
        "volume_connector": Held(None, WORKER),
        "volume_target": Held(None, WORKER),
        "allocation": Held("allocation_id", WORKER),
        "iscsi_target": Held("target_iqn", STORAGE_WORKER),
        "config_image": Held("config_image", STORAGE_WORKER),
        "rbd_image": Held("rbd_image", STORAGE_WORKER),
        **HOLDS,
    },
    mended_by=mended_by,
)
