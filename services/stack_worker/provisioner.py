"""A stack made, found again, or deleted. Its name follows from the resource's id.

Heat has a name only once in a project: whoever asks second is refused, and finds the first one's.
Where both passed, one of the two is removed (`ownership`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from services.stack_worker import template_rules
from services.stack_worker.backend import Declared, NewStack, Project, Stack
from services.stack_worker.ownership import is_ours, own_stacks, standing
from services.stack_worker.secret_words import Mask, withheld
from services.stack_worker.templates import Templates
from shared.contract.messages import ChangeStack, DeprovisionStack, ProvisionStack, RemoveOrphan
from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError
from shared.runtime.secrets import SealingKey, UnreadableSecret
from shared.worker.command import Command
from shared.worker.errors import Conflict, NotFound, Refused
from shared.worker.marks import Marks

WORKER = "stack_worker"
#: What the census calls what we make.
STACK = "stack"
_FAILED_CHANGE = "UPDATE_FAILED"


@dataclass(frozen=True)
class Kit:
    """What all provisioning functions need besides the project and the command."""

    marks: Marks
    sealing_key: SealingKey
    templates: Templates


async def provision_stack(project: Project, kit: Kit, command: Command[ProvisionStack]) -> str:
    """Return the id of the resource's stack, its making started when there is none yet.

    Raises `Refused` (template_invalid) with Heat's own line, before anything is made.
    """
    if command.repeated:
        found = await standing(project, kit.marks, command.resource_id)
        if found is not None:
            return found.id
    new = await _new_stack(project, kit, command)
    try:
        made = await project.create_stack(new)
    except Conflict:
        found = await standing(project, kit.marks, command.resource_id)
        if found is None:
            raise
        return found.id
    # Another create of the same command may have passed Heat's look at names beside ours.
    found = await standing(project, kit.marks, command.resource_id)
    return made if found is None else found.id


async def change_stack(project: Project, kit: Kit, command: Command[ChangeStack]) -> None:
    """Have Heat start changing the stack; twice is as good as once.

    Raises `Refused` (template_invalid) with Heat's own line, before anything is changed.
    """
    stack_id = command.message.stack_id
    found = await standing(project, kit.marks, command.resource_id, stack_id)
    if found is None:
        detail = "The stack no longer exists in Heat."
        raise NotFound(detail, reason=Reason.REMOVED_EXTERNALLY)
    await project.change_stack(found, await _changed(project, kit, command, found))


async def _new_stack(project: Project, kit: Kit, command: Command[ProvisionStack]) -> NewStack:
    message, secrets = command.message, _secrets(kit, command.message)
    template = await _template(kit, message)
    declared = await project.declared(template)
    _check_names(declared, message.parameters.keys(), secrets.keys())
    timeout = message.timeout
    return NewStack(
        name=command.resource_id,
        template=template,
        parameters={**message.parameters, **secrets},
        tags=kit.marks.tags(command.resource_id),
        masked=Mask(secrets),
        timeout=None if timeout is None else -(-timeout // 60),
    )


async def _changed(
    project: Project, kit: Kit, command: Command[ChangeStack], found: Stack
) -> NewStack:
    """What the stack is to be: all parameters of the spec, since a failed change has left its own.

    Those of the spec that another template no longer has are left out; asking for one is an error.
    """
    message, secrets = command.message, _secrets(kit, command.message)
    failed = found.status == _FAILED_CHANGE  # then Heat's template is that of the change, too
    kept = message.stored_template and not failed
    template = None if kept else await _template(kit, message)
    declared = await project.declared(template or await project.template(found))
    _check_names(declared, message.named, secrets.keys())
    shown = declared.names - declared.hidden
    parameters = {name: one for name, one in message.parameters.items() if name in shown}
    return NewStack(
        name=command.resource_id,
        template=template,
        parameters={**parameters, **secrets},
        tags=kit.marks.tags(command.resource_id),
        masked=mask_of(kit.sealing_key, message.sealed_before, secrets),
        clear=tuple(sorted(shown - parameters.keys() - secrets.keys())) if failed else (),
    )


async def _template(kit: Kit, message: ProvisionStack | ChangeStack) -> dict[str, Any]:
    """Return the template, looked at: in a thread, since a large one takes its time."""
    given = message.template or kit.templates.text(message.template_name or "")
    template = await asyncio.to_thread(template_rules.read, given)
    await asyncio.to_thread(template_rules.check, template)
    return template


def _check_names(declared: Declared, shown: Collection[str], sealed: Collection[str]) -> None:
    """Heat drops what a change names and the template hasn't, and says nothing."""
    if unknown := sorted({*shown, *sealed} - declared.names):
        raise Refused(
            f"The template has no parameter {', '.join(unknown)}.", reason=Reason.TEMPLATE_INVALID
        )
    if hidden := sorted(declared.hidden & set(shown)):
        raise Refused(
            f"The template marks {', '.join(hidden)} hidden: name it in hidden_parameters.",
            reason=Reason.TEMPLATE_INVALID,
        )


def _secrets(kit: Kit, message: ProvisionStack | ChangeStack) -> dict[str, Any]:
    return unsealed(kit.sealing_key, message.sealed_hidden_parameters)


def unsealed(key: SealingKey, sealed: str | None) -> dict[str, Any]:
    """Return the hidden parameters; raises `PermanentError` when they can't be read."""
    if sealed is None:
        return {}
    try:
        return msgspec.json.decode(key.open_text(sealed), type=dict[str, Any])
    except msgspec.DecodeError as error:
        detail = "What hidden_parameters were sealed from is no JSON object."
        raise UnreadableSecret(detail) from error


def mask_of(
    key: SealingKey, sealed: Iterable[str], secrets: Mapping[str, Any] | None = None
) -> Callable[[str], str]:
    """Return what tells Heat's words without those secrets; no words where one can't be read."""
    try:
        opened = [unsealed(key, one) for one in sealed]
    except PermanentError:
        return withheld
    return Mask({"": [*opened, secrets or {}]})


async def deprovision_stack(
    project: Project, kit: Kit, command: Command[DeprovisionStack]
) -> str | None:
    """Start deleting the resource's stack, twins too; return its id, or None when there is none.

    Raises `Conflict` when there is one of its name that is not ours: it is not gone, then.
    """
    stack_id = command.message.stack_id
    found = await own_stacks(project, kit.marks, command.resource_id, stack_id)
    going = [one.id for one in found if await project.delete_stack(one)]
    return going[0] if going else None


async def remove_orphan(project: Project, kit: Kit, order: RemoveOrphan) -> bool:
    """Remove the stack, if it bears our marks alone; False while it is going."""
    if order.what != STACK:
        raise Refused(f"A {order.what!r} is nothing that could be removed.")
    found = await project.stack(order.object_id)
    if found is None:
        return True
    if not is_ours(kit.marks, found, order.resource_id):
        raise Refused(f"The stack {found.id} does not bear the marks of {order.resource_id} alone.")
    return not await project.delete_stack(found)
