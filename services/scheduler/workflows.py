"""The workflows by kind: a later kind adds its row."""

from __future__ import annotations

from services.scheduler.attachment_workflow import ATTACHMENT_WORKFLOW
from services.scheduler.definitions import WorkflowDefinition
from services.scheduler.snapshot_workflow import SNAPSHOT_WORKFLOW
from services.scheduler.vm_workflow import VM_WORKFLOW
from services.scheduler.volume_workflow import VOLUME_WORKFLOW
from shared.contract.kinds import KINDS
from shared.contract.resources import Sort
from shared.runtime.tenants import Tenants

WORKFLOWS: dict[str, WorkflowDefinition] = {
    definition.kind: definition
    for definition in (VM_WORKFLOW, VOLUME_WORKFLOW, SNAPSHOT_WORKFLOW, ATTACHMENT_WORKFLOW)
}


def places_of(tenants: Tenants, definition: WorkflowDefinition) -> tuple[str, ...]:
    """Return the clouds or stores on which resources of a kind may be."""
    is_stored = KINDS[definition.kind].sort is Sort.STORE
    return tenants.stores if is_stored else tenants.clouds
