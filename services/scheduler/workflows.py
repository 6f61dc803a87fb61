"""The workflows by kind: a later kind adds its row."""

from __future__ import annotations

from services.scheduler.app_workflow import APP_WORKFLOW
from services.scheduler.attachment_workflow import ATTACHMENT_WORKFLOW
from services.scheduler.cluster_workflow import CLUSTER_WORKFLOW
from services.scheduler.definitions import WorkflowDefinition
from services.scheduler.machine_workflow import MACHINE_WORKFLOW
from services.scheduler.snapshot_workflow import SNAPSHOT_WORKFLOW
from services.scheduler.stack_workflow import STACK_WORKFLOW
from services.scheduler.vm_workflow import VM_WORKFLOW
from services.scheduler.volume_workflow import VOLUME_WORKFLOW
from shared.contract.kinds import KINDS
from shared.runtime.tenants import Tenants

WORKFLOWS: dict[str, WorkflowDefinition] = {
    definition.kind: definition
    for definition in (
        VM_WORKFLOW,
        MACHINE_WORKFLOW,
        VOLUME_WORKFLOW,
        SNAPSHOT_WORKFLOW,
        ATTACHMENT_WORKFLOW,
        CLUSTER_WORKFLOW,
        APP_WORKFLOW,
        STACK_WORKFLOW,
    )
}


def places_of(tenants: Tenants, definition: WorkflowDefinition) -> tuple[str, ...]:
    """Return the places that resources of a kind may be put on."""
    return tenants.places(KINDS[definition.kind].sort)
