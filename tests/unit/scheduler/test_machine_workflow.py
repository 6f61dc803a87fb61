"""A bare-metal machine on its way through the workflow: four workers, two witnesses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scheduler import operations, workflow
from services.scheduler.machine_sightings import inspect_disks
from services.scheduler.machine_workflow import MACHINE_WORKFLOW, hostname_of
from services.scheduler.state import Ending, Goal
from shared.contract.messages import (
    CommandFailed,
    ConfigVolumeDeprovisioned,
    ConfigVolumeProvisioned,
    DeployMachine,
    DisksExported,
    DisksWithdrawn,
    FloatingIpAssociated,
    FloatingIpReleased,
    MachineDeployStarted,
    MachineObserved,
    MachinePowerChangeStarted,
    MachineUndeployStarted,
    Message,
    NodeReleased,
    NodeReserved,
    ProvisionConfigVolume,
    RequestSubmitted,
    StorageObserved,
    VmPortPrepared,
    VmPortReleased,
    VolumeDeprovisioned,
    VolumeProvisioned,
)
from shared.contract.problems import Problem, Reason
from shared.contract.resources import OperationState, Phase, Placement, StepState, Verb
from tests.unit.scheduler.driver import START
from tests.unit.scheduler.walked import Walked

PLACEMENT = Placement(metal="lab", store="rack", cloud="devcloud")
SPEC = {"image": "debian-12", "flavor": "bare-metal", "arch": "aarch64", "floating_ip": True}
INITIATOR = "iqn.2026-11.org.colobus:test.bigtop.machine.initiator"
#: What workers that succeed answer.
ANSWERS: dict[str, Message] = {
    "ReserveNode": NodeReserved(node_id="node-1", node_name="r1-n7", allocation_id="allocation-1"),
    "ProvisionVolume": VolumeProvisioned(rbd_image="colobus.root", size_bytes=2 << 30),
    "ProvisionConfigVolume": ConfigVolumeProvisioned(rbd_image="colobus.root.config"),
    "ExportDisks": DisksExported(
        target_iqn="iqn.t",
        initiator_iqn=INITIATOR,
        lun=1,
        config_lun=2,
        portals=("192.0.2.1:3260", "192.0.2.2:3260"),
    ),
    "PrepareVmPort": VmPortPrepared(port_id="port-1", network_id="net-1", mac_address="02:00::1"),
    "AssociateFloatingIp": FloatingIpAssociated(
        floating_ip_id="fip-1", floating_ip_address="203.0.113.9"
    ),
    "DeployMachine": MachineDeployStarted(),
    "UndeployMachine": MachineUndeployStarted(),
    "ReleaseNode": NodeReleased(),
    "WithdrawDisks": DisksWithdrawn(),
    "DeprovisionConfigVolume": ConfigVolumeDeprovisioned(),
    "DeprovisionVolume": VolumeDeprovisioned(),
    "ReleaseFloatingIp": FloatingIpReleased(),
    "ReleaseVmPort": VmPortReleased(),
}
FIRST = {"ReserveNode", "ProvisionVolume", "ProvisionConfigVolume", "PrepareVmPort"}


class Machine(Walked):
    """One machine, walked by hand."""

    def __init__(
        self,
        spec: dict[str, Any] | None = None,
        placement: Placement = PLACEMENT,
        deadline: int | None = None,
        alternatives: tuple[str, ...] = (),
    ) -> None:
        spec, name = {**SPEC, **(spec or {})}, "builder-1"
        super().__init__(
            "machine", spec, placement, name=name, deadline=deadline, alternatives=alternatives
        )

    def work(self, *, until: str = "") -> None:
        """Answer commands as workers do that succeed, but for one."""
        while names := self.commands() - {until}:
            for name in sorted(names):
                self.answer(ANSWERS[name], name)

    def operation(self) -> OperationState:
        return self.status.operations[0].state

    def ironic(self, state: str, power: str = "power on", **fields: Any) -> None:
        self.observe(MachineObserved, provision_state=state, power_state=power, **fields)

    def store(self, **fields: Any) -> None:
        self.observe(StorageObserved, **fields)

    def firmware(self) -> None:
        self.store(initiators=(INITIATOR,))

    def system(self) -> None:
        self.store(initiators=(INITIATOR,), systems=(INITIATOR,))


def active() -> Machine:
    machine = Machine()
    machine.work()
    machine.ironic("active")
    machine.system()
    assert machine.phase() is Phase.ACTIVE
    return machine


def test_node_disks_and_port_are_made_side_by_side_and_the_boot_comes_last() -> None:
    """Nothing waits for what it doesn't need."""
    machine = Machine()
    assert machine.commands() == FIRST
    machine.answer(ANSWERS["ProvisionVolume"], "ProvisionVolume")
    assert "ExportDisks" not in machine.commands()
    machine.answer(ANSWERS["ProvisionConfigVolume"], "ProvisionConfigVolume")
    assert "ExportDisks" in machine.commands()
    machine.work(until="ReserveNode")
    assert machine.commands() == {"ReserveNode"}
    machine.answer(ANSWERS["ReserveNode"])
    assert machine.command().message == DeployMachine(
        metal="lab",
        node_id="node-1",
        target_iqn="iqn.t",
        initiator_iqn=INITIATOR,
        lun=1,
        portals=("192.0.2.1:3260", "192.0.2.2:3260"),
        port_id="port-1",
        name="builder-1",
        allocation_id="allocation-1",
    )


def test_each_step_is_ordered_of_its_own_worker_and_place() -> None:
    """Disks on the metal's store, the port on its cloud."""
    machine = Machine()
    places = {
        command.step: (command.worker, getattr(command.message, where))
        for command in machine.open
        for where in ("metal", "store", "cloud")
        if hasattr(command.message, where)
    }
    assert places == {
        "node": ("baremetal_worker", "lab"),
        "root": ("iscsi_worker", "rack"),
        "config": ("iscsi_worker", "rack"),
        "port": ("vm_worker", "devcloud"),
    }
    for step, (worker, place) in places.items():
        assert machine.definition.step(step).worker == worker
        assert machine.definition.place_of(machine.state, step) == place


def test_neither_ironics_word_nor_the_firmwares_login_makes_it_active() -> None:
    """Both pass with a blank disk. A system's login does, once Ironic has said its word."""
    machine = Machine()
    machine.work()
    machine.system()  # what was there before Ironic has said anything is of no weight
    assert machine.phase() is Phase.PROVISIONING
    machine.ironic("deploying")
    machine.ironic("active")
    machine.firmware()
    assert machine.phase() is Phase.PROVISIONING
    machine.system()
    assert machine.phase() is Phase.ACTIVE
    outputs = machine.status.outputs
    assert outputs["node"] == "r1-n7"
    assert outputs["floating_ip"] == "203.0.113.9"
    assert outputs["power_state"] == "running"


def test_where_the_image_says_so_a_system_must_phone_home() -> None:
    """Its login alone doesn't prove it; and its call doesn't before Ironic has said its word."""
    machine = Machine()
    order = machine.command("ProvisionConfigVolume").message
    assert isinstance(order, ProvisionConfigVolume)
    assert order.image == SPEC["image"]
    told = ConfigVolumeProvisioned(rbd_image="c", phones_home=True)
    machine.answer(told, "ProvisionConfigVolume")
    machine.work()
    assert [one.phones_home for one in inspect_disks("rack", [machine.state]).things] == [True]
    machine.store(phoned_home=True)
    assert machine.phase() is Phase.PROVISIONING
    machine.ironic("active")
    machine.store(initiators=(INITIATOR,), systems=(INITIATOR,), phoned_home=False)
    assert machine.phase() is Phase.PROVISIONING
    machine.store(phoned_home=True)
    assert machine.phase() is Phase.ACTIVE
    assert [one.phones_home for one in inspect_disks("rack", [machine.state]).things] == [False]


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ((), "Ironic has not said that it is deployed."),
        (("active",), "Ironic says active, but nobody was seen logged in to its disk."),
        (
            ("active", "firmware"),
            "The firmware has logged in to its disk, but no operating system has.",
        ),
        (
            ("active", "firmware", "silent"),
            "An operating system has logged in to its disk, but has not phoned home.",
        ),
    ],
)
def test_who_is_too_late_is_told_how_far_it_came(seen: tuple[str, ...], words: str) -> None:
    """A wrong secret, a portal that can't be reached and a blank disk are told apart."""
    machine = Machine(deadline=60)
    if "silent" in seen:
        told = ConfigVolumeProvisioned(rbd_image="c", phones_home=True)
        machine.answer(told, "ProvisionConfigVolume")
    machine.work()
    if "active" in seen:
        machine.ironic("active")
    if "firmware" in seen:
        machine.firmware()
    if "silent" in seen:
        machine.store(initiators=(INITIATOR,), systems=(INITIATOR,), phoned_home=False)
    told_so = (Reason.NOT_BOOTED, words) if seen else (None, None)
    assert (machine.reason(), machine.status.message) == told_so
    machine.ring("deadline")
    error = machine.state.ending
    assert error is not None
    assert error.problem is not None
    assert error.problem.detail == f"Not active within 60 s of the request. {words}"


def test_what_is_told_of_a_boot_is_told_once_and_is_over_when_it_is_up() -> None:
    """Each look at it that shows the same is no news."""
    machine = Machine()
    machine.work()
    machine.ironic("active")
    machine.firmware()
    revision = machine.state.resource.revision
    for _ in range(2):
        machine.ironic("active")
        machine.firmware()
    assert machine.state.resource.revision == revision
    machine.system()
    assert (machine.phase(), machine.reason(), machine.status.message) == (
        Phase.ACTIVE,
        None,
        None,
    )


def test_what_holds_a_boot_up_is_told_before_how_far_it_has_come() -> None:
    """The gateway that lost its disk is away: the firmware's silence follows from it."""
    machine = Machine()
    machine.work()
    machine.ironic("active")
    machine.store(offered=False)
    machine.fail(Reason.BACKEND_UNAVAILABLE, retryable=True, detail="away", command="ExportDisks")
    machine.ironic("active")
    assert (machine.reason(), machine.status.message) == (Reason.BACKEND_UNAVAILABLE, "away")
    machine.ring("retry/target")
    machine.work()
    machine.ironic("active")
    assert machine.reason() is Reason.NOT_BOOTED


def test_a_deployment_that_fails_is_undone_from_the_end() -> None:
    """In Ironic's words; the node is off before its disk is taken away."""
    machine = Machine()
    machine.work()
    machine.ironic("deploy failed", "power off", last_error="The board does not answer")
    assert machine.reason() is Reason.DEPLOY_FAILED
    assert machine.commands() == {"UndeployMachine"}
    machine.work()
    assert machine.open == []  # Ironic is waited for
    machine.ironic("deleting")
    machine.ironic("available")
    assert machine.open == []  # and the power
    machine.ironic("available", "power off")
    assert machine.commands() == {"ReleaseNode", "WithdrawDisks", "ReleaseFloatingIp"}
    machine.work()
    assert machine.phase() is Phase.FAILED
    assert machine.status.error is not None
    assert machine.status.error.detail == "The board does not answer"
    assert {step.state for step in machine.status.steps} == {StepState.UNDONE}


@pytest.mark.parametrize("reason", [Reason.NO_FREE_NODE, Reason.NODE_MAINTENANCE])
def test_without_a_free_node_it_waits_and_holds_nothing(reason: Reason) -> None:
    """What was made beside is undone; it is tried again when something ends."""
    machine = Machine()
    machine.work(until="ReserveNode")
    machine.fail(reason, retryable=False, detail="no available nodes match", command="ReserveNode")
    machine.work()
    assert machine.phase() is Phase.WAITING
    assert machine.reason() is reason
    assert machine.status.message == "no available nodes match"
    assert machine.state.handles == {}
    assert machine.status.placement is None


def test_a_gateway_that_is_restarted_under_the_boot_is_told_again() -> None:
    """Or the firmware would knock at a door that isn't there."""
    machine = Machine()
    machine.work()
    machine.ironic("active")
    machine.store(offered=False)
    machine.store(offered=False)
    assert machine.commands() == {"ExportDisks"}
    machine.work()
    machine.system()
    assert machine.phase() is Phase.ACTIVE


def test_what_the_store_shows_says_nothing_of_the_node() -> None:
    """Two witnesses: what one has found wrong is not taken back by the other."""
    machine = active()
    machine.ironic("active", maintenance="a fan is broken")
    machine.system()
    assert machine.reason() is Reason.NODE_MAINTENANCE
    assert machine.status.message == "Its node is in maintenance: a fan is broken"
    machine.store(offered=False)
    assert machine.reason() is Reason.NODE_MAINTENANCE
    machine.ironic("active")
    assert machine.reason() is Reason.BACKEND_UNAVAILABLE
    machine.work()
    machine.system()
    assert machine.reason() is None
    assert machine.phase() is Phase.ACTIVE


def test_a_node_that_was_taken_away_is_the_end_of_its_machine() -> None:
    """It fails, and what it had elsewhere goes: when it is seen again, since a disk goes too."""
    machine = active()
    machine.observe(MachineObserved, gone=True)
    machine.observe(MachineObserved, gone=True)
    assert (machine.phase(), machine.open) == (Phase.ACTIVE, [])
    assert machine.reason() is Reason.REMOVED_EXTERNALLY
    machine.ironic("active")
    assert machine.reason() is None  # the first looks had gone wrong
    machine.observe(MachineObserved, gone=True)
    machine.now += timedelta(seconds=5)
    machine.observe(MachineObserved, gone=True)
    machine.work()
    machine.observe(MachineObserved, gone=True)
    machine.work()
    assert machine.phase() is Phase.FAILED
    assert machine.reason() is Reason.REMOVED_EXTERNALLY


def test_what_was_seen_before_the_boot_says_nothing_of_the_living() -> None:
    """A node is available before it is deployed; that look may come late."""
    machine = active()
    before = MachineObserved(
        observed_at=START, provision_state="available", power_state="power off"
    )
    for _ in range(2):
        machine._take(workflow.observe(machine.state, MACHINE_WORKFLOW, machine.now, before))
        machine.now += timedelta(minutes=5)
    assert (machine.phase(), machine.reason(), machine.open) == (Phase.ACTIVE, None, [])


def test_a_second_deployment_is_not_proven_by_the_first_ones_session() -> None:
    """So there is none: the machine fails, with a target that is withdrawn."""
    machine = Machine()
    machine.work()
    machine.ironic("active")
    machine.ironic("available", "power off")
    assert machine.reason() is Reason.DEPLOY_FAILED
    machine.work()
    machine.ironic("available", "power off")
    machine.system()
    machine.work()
    assert machine.phase() is Phase.FAILED


def test_a_machine_does_not_leave_its_metal_with_disks_in_a_store() -> None:
    """Another metal may share the store: what is undone behind it would be made again before."""
    machine = Machine(alternatives=("lab-2",))
    machine.fail(Reason.BACKEND_UNAVAILABLE, retryable=True, command="ReserveNode")
    machine.work()
    machine.ring("retry/node", resting={"lab"})
    assert machine.phase() is Phase.PROVISIONING
    assert machine.state.left_behind == ()
    assert machine.commands() == {"ReserveNode"}


def test_a_system_that_does_not_stop_is_told_again() -> None:
    """The worker cuts the power then; what Ironic says of the first try is told."""
    machine = active()
    _ask(machine, Verb.STOP)
    machine.answer(MachinePowerChangeStarted(operation_id="op-1"))
    machine.ironic("active")
    assert machine.open == []
    machine.now += timedelta(seconds=60)
    machine.ironic("active", last_error="it ignores the button")
    machine.ring("retry/operation-op-1")
    machine.answer(MachinePowerChangeStarted(operation_id="op-1"), "ChangeMachinePower")
    machine.ironic("active", "power off")
    assert machine.operation() is OperationState.DONE


def test_a_target_that_is_mended_before_the_boot_has_its_time_too() -> None:
    """Or it would wait without end for a gateway that stays away."""
    machine = Machine()
    machine.work(until="ReserveNode")
    assert "overdue/target" not in machine.timers
    machine.store(offered=False)
    assert machine.commands() == {"ReserveNode", "ExportDisks"}
    assert "overdue/target" in machine.timers


def _ask(machine: Machine, verb: Verb) -> None:
    asked = RequestSubmitted(
        verb=verb, kind="machine", resource_id=machine.state.resource.id, operation_id="op-1"
    )
    machine._take(operations.request(machine.state, MACHINE_WORKFLOW, machine.now, asked))


def test_an_undeployment_that_fails_is_ordered_again() -> None:
    """A delete never gives up; Ironic's words say why it waits."""
    machine = active()
    machine.delete()
    machine.work()
    machine.ironic("error", last_error="The board does not answer")
    assert machine.phase() is Phase.DEPROVISIONING
    assert machine.status.message == "The board does not answer"
    machine.ring("retry/boot")
    assert machine.commands() == {"UndeployMachine"}
    machine.work()
    machine.ironic("available", "power off")
    machine.answer(NodeReleased(quarantined="it stays on"), "ReleaseNode")
    machine.work()
    assert machine.phase() is Phase.DELETED
    assert machine.status.outputs["node_quarantined"] == "it stays on"


def test_a_metal_without_networks_gives_no_port() -> None:
    """There is nothing to put it on, and nothing to undo."""
    machine = Machine({"floating_ip": False}, Placement(metal="lab", store="rack"))
    assert [step.name for step in machine.status.steps] == [
        "node",
        "root",
        "config",
        "target",
        "boot",
    ]
    machine.work()
    machine.ironic("active")
    machine.system()
    assert machine.phase() is Phase.ACTIVE
    machine.delete()
    machine.work()
    machine.ironic("available", "power off")
    machine.work()
    assert machine.phase() is Phase.DELETED


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        (Verb.STOP, "power on", "power off"),
        (Verb.START, "power off", "power on"),
        (Verb.REBOOT, "power off", "power on"),
    ],
)
def test_the_power_is_as_it_was_asked_for(verb: Verb, before: str, after: str) -> None:
    """And nothing is under way any more."""
    machine = active()
    _ask(machine, verb)
    machine.answer(MachinePowerChangeStarted(operation_id="op-1"))
    machine.ironic("active", before, target_power_state=after)
    machine.ironic("active", after, target_power_state="rebooting")
    assert machine.operation() is OperationState.RUNNING
    machine.ironic("active", after)
    assert machine.operation() is OperationState.DONE
    assert machine.phase() is Phase.ACTIVE


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("builder-1", "builder-1"),
        ("Build_Host.example", "build-host-example"),
        ("-_-", ""),
        ("a" * 70, "a" * 63),
    ],
)
def test_a_name_becomes_a_host_name(name: str, hostname: str) -> None:
    """One label, lower case."""
    assert hostname_of(name) == hostname


@settings(max_examples=200)
@given(st.data())
def test_whatever_happens_in_whatever_order_it_ends(data: st.DataObject) -> None:
    """Failures, repeats, restarts, a delete at any time: active or gone, with nothing left open."""
    machine = Machine(deadline=10_000)
    problems = [Reason.BACKEND_UNAVAILABLE, Reason.NO_VALID_HOST, Reason.BACKEND_REFUSED]
    for _ in range(data.draw(st.integers(0, 40))):
        event = data.draw(st.sampled_from(["answer", "fail", "see", "timer", "delete"]))
        if event == "delete" and data.draw(st.booleans()):
            machine.delete()
        elif event == "answer" and machine.open:
            name = data.draw(st.sampled_from(sorted(machine.commands())))
            machine.answer(ANSWERS[name], name)
        elif event == "fail" and machine.open:
            name = data.draw(st.sampled_from(sorted(machine.commands())))
            reason = data.draw(st.sampled_from(problems))
            problem = Problem(title="x", detail="y", reason=reason)
            retryable = reason is Reason.BACKEND_UNAVAILABLE
            machine.answer(CommandFailed(command=name, problem=problem, retryable=retryable), name)
        elif event == "see":
            _see(machine, data)
        elif event == "timer" and machine.timers:
            machine.ring(data.draw(st.sampled_from(sorted(machine.timers))))
    _finish(machine)
    assert machine.phase() in {Phase.ACTIVE, Phase.FAILED, Phase.DELETED}
    machine.end(Ending(goal=Goal.DELETE, reason=Reason.DELETE_REQUESTED))
    _finish(machine)
    assert machine.phase() is Phase.DELETED
    assert machine.timers == {}


def _see(machine: Machine, data: st.DataObject) -> None:
    what = data.draw(
        st.sampled_from(["active", "deploying", "deploy failed", "available", "system", "lost"])
    )
    if what == "system":
        machine.system()
    elif what == "lost":
        machine.store(offered=False)
    else:
        machine.ironic(what, data.draw(st.sampled_from(["power on", "power off"])))


def _finish(machine: Machine) -> None:
    """Everything works from now on, and time passes."""
    for _ in range(200):
        machine.work()
        if machine.state.ending is not None:
            machine.ironic("available", "power off")
        else:
            machine.ironic("active")
            machine.system()
        machine.work()
        for retry in sorted(name for name in machine.timers if name.startswith("retry/")):
            if retry in machine.timers:
                machine.ring(retry)
        settled = machine.phase() in {Phase.ACTIVE, Phase.FAILED, Phase.DELETED}
        if settled and not machine.open and machine.state.ending is None:
            return
        if machine.phase() in {Phase.FAILED, Phase.DELETED}:
            return
