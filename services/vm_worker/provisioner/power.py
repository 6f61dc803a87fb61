"""Reboot, stop and start: what is so already counts as done."""

from __future__ import annotations

from datetime import timedelta

from services.vm_worker.backend import Project
from services.vm_worker.cloud_objects import PowerAction, Server
from shared.contract.messages import ChangeVmPower
from shared.contract.problems import Reason
from shared.contract.resources import Verb
from shared.runtime.errors import TemporaryError
from shared.worker.command import Command
from shared.worker.errors import Conflict, NotFound, Refused

_ACTIONS = {
    Verb.REBOOT: PowerAction.SOFT_REBOOT,
    Verb.STOP: PowerAction.STOP,
    Verb.START: PowerAction.START,
}
#: Statuses and task states in which the verb's effect is there or under way.
_DONE = {
    Verb.REBOOT: frozenset(
        {"REBOOT", "HARD_REBOOT", "rebooting", "reboot_pending", "reboot_started", "powering-on"}
    ),
    Verb.STOP: frozenset({"SHUTOFF", "powering-off"}),
    Verb.START: frozenset({"ACTIVE", "powering-on"}),
}
#: By how much our clock and Nova's may differ when a repeated reboot looks for the first one.
_CLOCKS_DIFFER = timedelta(seconds=2)


async def change_power(project: Project, command: Command[ChangeVmPower]) -> None:
    """Start the power action, unless it was started already.

    Raises `Refused` when the server's state forbids it, `TemporaryError` while another task of
    Nova's is under way on it, `NotFound` (removed_externally) when the server is gone.
    """
    message = command.message
    action = _ACTIONS.get(message.verb)
    if action is None:
        raise Refused(f"{message.verb.value} is no power action.", reason=Reason.COMMAND_REJECTED)
    rebooting = message.verb is Verb.REBOOT
    if rebooting and command.repeated and await _rebooted_since(project, command):
        return
    try:
        await project.compute.change_power(message.server_id, action)
    except Conflict as error:
        await _after_conflict(project, message, error)


async def _rebooted_since(project: Project, command: Command[ChangeVmPower]) -> bool:
    """A second reboot would cut off the first: Nova's own record tells whether there was one."""
    asked_at = (command.message.asked_at or command.envelope.time) - _CLOCKS_DIFFER
    actions = await project.compute.actions(command.message.server_id)
    return any(one.action == "reboot" and one.started_at >= asked_at for one in actions)


async def _after_conflict(project: Project, message: ChangeVmPower, error: Conflict) -> None:
    server = await project.compute.server(message.server_id)
    if server is None:
        detail = "The server no longer exists."
        raise NotFound(detail, reason=Reason.REMOVED_EXTERNALLY) from error
    if {server.status, server.task_state} & _DONE[message.verb]:
        return
    if server.task_state is not None:
        raise TemporaryError(error.detail, reason=Reason.BACKEND_REFUSED) from error
    if message.verb is Verb.REBOOT and _is_off(server):
        await project.compute.change_power(server.id, PowerAction.HARD_REBOOT)
        return
    raise error


def _is_off(server: Server) -> bool:
    """What is off (or hangs) can't be rebooted softly, and boots by a hard reboot."""
    return server.status in {"SHUTOFF", "ERROR", "PAUSED", "SUSPENDED"}
