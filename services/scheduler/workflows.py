"""The workflows by kind: a later kind adds its row."""

from __future__ import annotations

from services.scheduler.definitions import WorkflowDefinition
from services.scheduler.vm_workflow import VM_WORKFLOW

WORKFLOWS: dict[str, WorkflowDefinition] = {
    definition.kind: definition for definition in (VM_WORKFLOW,)
}
