"""The server of a VM: building is started here, its end is seen by inspections."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from services.vm_worker.backend import Project
from services.vm_worker.cloud_objects import DELETING, NewServer, Server
from services.vm_worker.provisioner.kit import WORKER, Kit
from services.vm_worker.user_data import render
from shared.contract.messages import DeprovisionVm, ProvisionVm
from shared.contract.problems import Reason
from shared.runtime.errors import OutcomeUnknown, TemporaryError
from shared.worker.command import Command
from shared.worker.duplicates import keep_first, oldest_first
from shared.worker.errors import Conflict, Refused
from shared.worker.marks import Marks

_STALE_NAMES = frozenset({Reason.IMAGE_NOT_FOUND, Reason.FLAVOR_NOT_FOUND})
#: How soon what another worker may have asked for is looked for again, in seconds.
AFTER_ANOTHER = 5.0
_UNDECIDED = frozenset({"BUILD", "ERROR"})


async def provision_server(project: Project, kit: Kit, command: Command[ProvisionVm]) -> Server:
    """Return the VM's server, its building started when there is none yet."""
    user_data = _user_data(kit, command.message)
    if command.repeated:
        found = await _keep_one(project, kit, command)
        if found is not None:
            return found
    if command.redelivered:
        # Nova shows a server only some time after it was asked for one, and has no unique key.
        detail = "An earlier worker may have asked for the server just now; it is looked for again."
        raise OutcomeUnknown(detail, retry_after=AFTER_ANOTHER)
    _let_appear(command.message.look_until)
    made = await _start(project, kit, command, user_data)
    if command.repeated:  # an earlier attempt may have come through meanwhile
        return await _keep_one(project, kit, command) or made
    kit.memory.remember("server", command.resource_id, made.id)
    return made


def _let_appear(until: datetime | None) -> None:
    """Make nothing while what was asked for before may still come: then there would be two."""
    left = (until - datetime.now(UTC)).total_seconds() if until else 0.0
    if left > 0:
        detail = "Nova may still be at an earlier request for the server, which is looked for."
        raise TemporaryError(
            detail, reason=Reason.BACKEND_REFUSED, retry_after=min(left, AFTER_ANOTHER)
        )


def _user_data(kit: Kit, message: ProvisionVm) -> str | None:
    sealed = message.sealed_user_data
    text = None if sealed is None else kit.sealing_key.open_text(sealed)
    return render(message.ssh_keys, text)


async def _start(
    project: Project, kit: Kit, command: Command[ProvisionVm], user_data: str | None
) -> Server:
    try:
        return await _create(project, kit, command, user_data)
    except Conflict:  # its port has a server already; is it ours?
        found = await _keep_one(project, kit, command)
        if found is None:
            raise
        return found
    except Refused as error:
        if error.reason not in _STALE_NAMES:
            raise
        project.compute.forget()  # the name meant something else when we last asked
        return await _create(project, kit, command, user_data)


async def _create(
    project: Project, kit: Kit, command: Command[ProvisionVm], user_data: str | None
) -> Server:
    message, resource_id = command.message, command.resource_id
    new = NewServer(
        name=message.name or resource_id,
        image_id=await project.compute.image_id(message.image),
        flavor_id=await project.compute.flavor_id(message.flavor),
        port_id=message.port_id,
        tags=kit.marks.tags(resource_id),
        metadata=metadata(kit.marks, resource_id, message.labels),
        user_data=user_data,
    )
    return await project.compute.create_server(new)


def metadata(marks: Marks, resource_id: str, labels: dict[str, str]) -> dict[str, str]:
    """Return the server's metadata: our marks and the user's labels, which the guest can read.

    Nova allows no slash in a key, and at most 255 characters in a value; its usual database can't
    hold what is outside of Unicode's basic plane.
    """
    own = {
        "colobus_installation": marks.installation_id,
        "colobus_resource": resource_id,
        "colobus_worker": marks.worker,
    }
    return own | {
        f"colobus_label_{key.replace('/', ':')}": "".join(
            char if ord(char) <= 0xFFFF else "\ufffd" for char in value
        )
        for key, value in labels.items()
    }


def is_ours(marks: Marks, server: Server, resource_id: str | None = None) -> bool:
    """Tell whether a server is ours (and this VM's); metadata stays when a user takes the tags."""
    metadata = server.metadata
    by_metadata = metadata.get("colobus_installation") == marks.installation_id and (
        resource_id in (None, metadata.get("colobus_resource"))
    )
    return by_metadata or marks.owns(server.tags, resource_id)


async def _own(project: Project, kit: Kit, resource_id: str) -> list[Server]:
    """The VM's servers that nothing marks as another's too: of two such, one will be removed."""
    marks = kit.marks
    found = await project.compute.servers(marks.installation, marks.resource(resource_id))
    return [one for one in found if marks.are_only(resource_id, one.tags, metadata=one.metadata)]


async def _keep_one(project: Project, kit: Kit, command: Command[ProvisionVm]) -> Server | None:
    """Return the VM's server, if it has one; raises `TemporaryError` while its last one is going.

    When a server goes, or its build is given up, Nova takes the port off whichever server has it
    by then (nova.network.neutron, `_unbind_ports`). So none is made before the last one is gone,
    one that has lost its port is replaced, and what there is beside it is for inspections to see.
    """
    found = await _own(project, kit, command.resource_id)
    living = [server for server in found if server.task_state != DELETING]
    if found and not living:
        for server in found:
            await project.compute.delete_server(server.id)
        raise _replacing("An earlier server of this VM is still being removed.")
    ports = await project.network.ports(ids=[command.message.port_id]) if living else []
    holder = ports[0].device_id if ports else ""
    if len(found) == 1 and ports and not holder and living[0].status == "ACTIVE":
        await project.compute.delete_server(living[0].id)
        raise _replacing("Nova has taken the port off the server, which is being replaced.")
    if len(found) == 1 and living[0].status == "ERROR":
        if holder == living[0].id:
            # When its host died over it before it had noted its ports, Nova takes them for ports
            # that it made itself, and deletes them with it (`deallocate_for_instance`).
            await project.network.free_port(command.message.port_id)
        await project.compute.delete_server(living[0].id)
        raise _replacing("An earlier server of this VM could not be built and is being replaced.")
    # A port serves one server: that one can live, the other can't.
    ordered = oldest_first(living, lambda one: (one.id != holder, one.status == "ERROR"))
    return await keep_first(WORKER, "server", ordered, project.compute.delete_server)


def _replacing(detail: str) -> TemporaryError:
    return TemporaryError(detail, reason=Reason.BACKEND_REFUSED)


async def living_server(
    project: Project, kit: Kit, resource_id: str, server_id: str | None, found: Sequence[Server]
) -> Server | None:
    """Return which of the VM's servers is the VM; ``server_id`` is the one that the ledger knows.

    A lost answer can leave two, of which only one gets the port. Once one runs, the others are
    nobody's and go. While none runs, each may still be the one.
    """
    if len(found) > 1:
        kit.memory.doubt("server", resource_id)
    ordered = oldest_first(
        found,
        lambda one: (one.task_state == DELETING, one.status == "ERROR", one.id != server_id),
    )
    if ordered and ordered[0].task_state != DELETING and ordered[0].status not in _UNDECIDED:
        extras = [one for one in ordered[1:] if one.task_state != DELETING]
        await keep_first(WORKER, "server", [ordered[0], *extras], project.compute.delete_server)
    return ordered[0] if ordered else None


async def deprovision_server(
    project: Project, kit: Kit, command: Command[DeprovisionVm]
) -> list[str]:
    """Start deleting the VM's servers; return the ids of those that go, the one named first.

    Those that are going already are deleted again, which Nova ignores, unless their host has died
    over it: then it takes up what else would never be done.
    """
    resource_id, server_id = command.resource_id, command.message.server_id
    sure = not command.message.doubtful
    if sure and server_id and kit.memory.is_sure("server", resource_id, server_id):
        accepted = await project.compute.delete_server(server_id)
        kit.memory.forget("server", resource_id)
        if accepted:
            return [server_id]
        # Somebody else has removed it, perhaps for another one of this VM's: look.
    going = [
        server
        for server in await _all_of(project, kit, command)
        if await project.compute.delete_server(server.id)
    ]
    return sorted((server.id for server in going), key=lambda one: one != server_id)


async def _all_of(project: Project, kit: Kit, command: Command[DeprovisionVm]) -> list[Server]:
    resource_id, server_id = command.resource_id, command.message.server_id
    found = await _own(project, kit, resource_id)
    if server_id is None or any(server.id == server_id for server in found):
        return found
    named = await project.compute.server(server_id)  # a list may lag behind
    if named is not None and is_ours(kit.marks, named, resource_id):
        return [named, *found]
    return found
