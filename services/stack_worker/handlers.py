"""One function per command: unpack, call, emit. `HANDLERS` is the map of this worker."""

from __future__ import annotations

from collections.abc import Sequence

from services.stack_worker import census, observer, provisioner
from services.stack_worker.context import Context
from shared.contract.messages import (
    ChangeStack,
    DeprovisionStack,
    InspectStacks,
    Message,
    OrphanRemoved,
    ProvisionStack,
    RemoveOrphan,
    StackChangeStarted,
    StackCreateStarted,
    StackDeletionStarted,
    StackDeprovisioned,
    TakeCensus,
)
from shared.worker.command import Answer, Command, Handlers


async def provision_stack(command: Command[ProvisionStack], context: Context) -> Sequence[Message]:
    """→ `StackCreateStarted`; that it is made is seen by an inspection."""
    stack_id = await provisioner.provision_stack(context.project(command), context.kit, command)
    return [StackCreateStarted(stack_id=stack_id)]


async def deprovision_stack(
    command: Command[DeprovisionStack], context: Context
) -> Sequence[Message]:
    """→ `StackDeletionStarted`, or `StackDeprovisioned` when there is no stack (any more)."""
    going = await provisioner.deprovision_stack(context.project(command), context.kit, command)
    return [StackDeprovisioned() if going is None else StackDeletionStarted(stack_id=going)]


async def change_stack(command: Command[ChangeStack], context: Context) -> Sequence[Message]:
    """→ `StackChangeStarted`; that it is done is seen by an inspection."""
    await provisioner.change_stack(context.project(command), context.kit, command)
    return [StackChangeStarted(operation_id=command.message.operation_id)]


async def inspect_stacks(command: Command[InspectStacks], context: Context) -> Sequence[Answer]:
    """→ `StackObserved` for each stack, or `StackInspectionFailed` for those of a tenant."""
    return await observer.inspect_stacks(context.backend, context.kit, command)


async def take_census(command: Command[TakeCensus], context: Context) -> Sequence[Answer]:
    """→ `CensusTaken`, in as many parts as it takes."""
    return await census.answer_census(context.backend, context.kit.marks, context.tenants, command)


async def remove_orphan(command: Command[RemoveOrphan], context: Context) -> Sequence[Message]:
    """→ `OrphanRemoved`, or nothing while it is going: the next census tells whether it went."""
    order = command.message
    gone = await provisioner.remove_orphan(context.project(command), context.kit, order)
    removed = OrphanRemoved(place=order.place, what=order.what, object_id=order.object_id)
    return [removed] if gone else []


HANDLERS: Handlers[Context] = {
    ProvisionStack: provision_stack,
    DeprovisionStack: deprovision_stack,
    ChangeStack: change_stack,
    InspectStacks: inspect_stacks,
    TakeCensus: take_census,
    RemoveOrphan: remove_orphan,
}
