"""What notifications leave open is asked of the real cloud: together, and in its own words."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from services.vm_worker.cloud_objects import Port, Server
from services.vm_worker.notifications import ServerNotified
from services.vm_worker.questions import Questions
from tests.end_to_end.vm_worker.world import CLOUD, Replica, Vm, api_calls
from tests.support.conditions import eventually

VMS = 4


def told(vm: Vm, status: str) -> ServerNotified:
    """Nova has told of its server."""
    assert vm.server_id is not None
    return ServerNotified(
        id="n",
        at=datetime.now(UTC),
        project_id="p",
        resource_id=vm.id,
        server=Server(vm.server_id, "n", status),
        port_ids=(vm.port_id or "",),
    )


class Answers:
    """What the cloud answered, by VM."""

    def __init__(self, replica: Replica) -> None:
        self.ports: dict[str, Port | None] = {}
        self.faults: dict[str, Server | None] = {}
        self.questions = Questions(CLOUD, replica.context, self._port, self._fault)

    async def _port(self, told: ServerNotified, port: Port | None, _: datetime) -> None:
        self.ports[told.resource_id] = port

    async def _fault(self, told: ServerNotified, server: Server | None, _: datetime) -> None:
        self.faults[told.resource_id] = server


async def test_what_comes_up_together_is_asked_together(replica: Replica) -> None:
    """The first at once; all others, however many, in one list call after it."""
    vms = [replica.vm() for _ in range(VMS)]
    for vm in vms:
        await vm.port()
        await vm.server()
    for vm in vms:
        await vm.active()
    answers = Answers(replica)
    before = api_calls()
    for vm in vms:
        answers.questions.ask_port("bigtop", told(vm, "ACTIVE"))
        await asyncio.sleep(0)  # the first question is on its way

    async def answered() -> bool:
        return len(answers.ports) == VMS

    await eventually(answered, what="all are answered")
    assert api_calls() - before == 2
    assert all((port := answers.ports[vm.id]) and port.id == vm.port_id for vm in vms)
    await asyncio.gather(answers.questions.close(), *(vm.remove() for vm in vms))


async def test_why_a_server_is_in_error_is_asked_of_nova(replica: Replica) -> None:
    """Its own words, as an inspection would have them; of one that is gone, that it is."""
    vm = replica.vm()
    await vm.port()
    await vm.server(flavor="broken")
    await vm.until(lambda seen: seen.server_status == "ERROR")
    answers = Answers(replica)
    answers.questions.ask_fault("bigtop", told(vm, "ERROR"))

    async def answered() -> bool:
        return vm.id in answers.faults

    await eventually(answered, what="the fault is answered")
    server = answers.faults.pop(vm.id)
    assert server is not None
    assert "simulated spawn failure" in (server.fault or "")
    await vm.remove()
    answers.questions.ask_fault("bigtop", told(vm, "ERROR"))
    await eventually(answered, what="its absence is answered")
    assert answers.faults[vm.id] is None
