"""A stack made, found again, or deleted. Its name follows from the resource's id.

Heat has a name only once in a project, so its own refusal is the lock: whoever asks second finds
the first one's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from services.stack_worker.backend import NewStack, Project, Stack
from services.stack_worker.templates import Templates
from shared.contract.messages import ChangeStack, DeprovisionStack, ProvisionStack, RemoveOrphan
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.runtime.secrets import SealingKey, UnreadableSecret
from shared.worker.command import Command
from shared.worker.errors import Conflict, NotFound, Refused
from shared.worker.marks import Marks

WORKER = "stack_worker"
#: What the census calls what we make.
STACK = "stack"
_DELETING = "DELETE_"
#: What stands for a secret in Heat's words, as Heat itself writes it.
MASK = "******"
#: Shorter secrets can't be told from other words.
_SHORTEST = 3


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
        found = await _own(project, kit, command.resource_id)
        if found is not None:
            return found.id
    secrets = unsealed(kit.sealing_key, command.message.sealed_hidden_parameters)
    new = await _new_stack(project, kit, command, secrets, command.message.timeout)
    with _quoting_no(secrets):
        try:
            return await project.create_stack(new)
        except Conflict:
            found = await _own(project, kit, command.resource_id)
            if found is None:
                raise
            return found.id


async def change_stack(project: Project, kit: Kit, command: Command[ChangeStack]) -> None:
    """Have Heat start changing the stack; twice is as good as once.

    Raises `Refused` (template_invalid) with Heat's own line, before anything is changed.
    """
    found = await _own(project, kit, command.resource_id)
    if found is None:
        detail = "The stack no longer exists in Heat."
        raise NotFound(detail, reason=Reason.REMOVED_EXTERNALLY)
    secrets = unsealed(kit.sealing_key, command.message.sealed_hidden_parameters)
    new = await _new_stack(project, kit, command, secrets)
    with _quoting_no(secrets):
        await project.change_stack(found, new)


@contextmanager
def _quoting_no(secrets: Mapping[str, Any]) -> Iterator[None]:
    """What Heat refuses is told without the secrets that it quotes."""
    try:
        yield
    except Refused as error:
        words, reason = masked(str(error), secrets), Reason(error.reason or Reason.BACKEND_REFUSED)
        # Not from the error, whose words may be logged with ours.
        raise type(error)(words, reason=reason, code=error.code) from None


async def _new_stack(
    project: Project,
    kit: Kit,
    command: Command[ProvisionStack | ChangeStack],
    secrets: Mapping[str, Any],
    timeout: int | None = None,
) -> NewStack:
    message = command.message
    template = message.template or kit.templates.text(message.template_name or "")
    shown = sorted(await project.hidden_parameters(template) & message.parameters.keys())
    if shown:
        raise Refused(
            f"The template marks {', '.join(shown)} hidden: name it in hidden_parameters.",
            reason=Reason.TEMPLATE_INVALID,
        )
    return NewStack(
        name=command.resource_id,
        template=template,
        parameters={**message.parameters, **secrets},
        tags=kit.marks.tags(command.resource_id),
        timeout=None if timeout is None else -(-timeout // 60),
    )


def unsealed(key: SealingKey, sealed: str | None) -> dict[str, Any]:
    """Return the hidden parameters; raises `PermanentError` when they can't be read."""
    if sealed is None:
        return {}
    try:
        return msgspec.json.decode(key.open_text(sealed), type=dict[str, Any])
    except msgspec.DecodeError as error:
        detail = "What hidden_parameters were sealed from is no JSON object."
        raise UnreadableSecret(detail) from error


def masked(words: str, secrets: Mapping[str, Any]) -> str:
    """Return Heat's words without the secrets that they quote."""
    texts = {
        one if isinstance(one, str) else msgspec.json.encode(one).decode()
        for one in secrets.values()
    }
    for text in sorted(texts, key=len, reverse=True):
        if len(text) >= _SHORTEST:
            words = words.replace(text, MASK)
    return words


async def _own(project: Project, kit: Kit, resource_id: str) -> Stack | None:
    """Return the stack of that resource; raises `TemporaryError` while it is going."""
    found = await project.stack(resource_id)
    if found is None:
        return None
    if not kit.marks.are_only(resource_id, found.tags):
        raise Conflict(f"The stack {found.name} in this project does not bear our marks.")
    if found.status.startswith(_DELETING):
        detail = "An earlier stack of this resource is still being removed."
        raise TemporaryError(detail, reason=Reason.BACKEND_REFUSED)
    return found


async def deprovision_stack(
    project: Project, kit: Kit, command: Command[DeprovisionStack]
) -> str | None:
    """Start deleting the resource's stack; return its id, or None when there is none."""
    found = await project.stack(command.resource_id)
    if found is None or not kit.marks.are_only(command.resource_id, found.tags):
        return None
    return found.id if await project.delete_stack(found) else None


async def remove_orphan(project: Project, kit: Kit, order: RemoveOrphan) -> bool:
    """Remove the stack, if it bears our marks alone; False while it is going."""
    if order.what != STACK:
        raise Refused(f"A {order.what!r} is nothing that could be removed.")
    found = await project.stack(order.object_id)
    if found is None:
        return True
    if not kit.marks.are_only(order.resource_id, found.tags):
        raise Refused(f"The stack {found.id} does not bear the marks of {order.resource_id} alone.")
    return not await project.delete_stack(found)
