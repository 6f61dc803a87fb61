"""Whatever happens in whatever order, the ledger's books are right: on the real PostgreSQL.

Several tenants, two clouds, a worker that fails, answers late, twice and out of order, commands
that come twice, timers, and a scheduler that is killed before and after its commits. Time is not
waited for: a timer rings when the machine says so.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.scheduler import admitting, operations
from shared.contract.identifiers import new_id, new_ulid
from shared.contract.kinds import demand_of
from shared.contract.problems import Reason
from shared.contract.resources import HOLDING_PHASES, TERMINAL_PHASES, Phase, Verb
from tests.integration.scheduler.clouds import failed
from tests.integration.scheduler.desk import desk
from tests.integration.scheduler.ledger_hands import Event, LedgerHands, Mail
from tests.integration.scheduler.neighbours import SPEC

CLOUDS = ("devcloud", "othercloud")
QUOTAS = {"bigtop": {"vms": 3, "floating_ips": 1}, "openlab": {"vms": 1}}
_REASONS = st.sampled_from(
    [Reason.BACKEND_UNAVAILABLE, Reason.QUOTA_EXCEEDED, Reason.NO_VALID_HOST, Reason.BUILD_FAILED]
)
_index = st.integers(0, 10_000)


class LedgerMachine(LedgerHands):
    """The rules, and what always holds."""

    # ---- users

    @rule(
        tenant=st.sampled_from(sorted(QUOTAS)),
        floating_ip=st.booleans(),
        deadline=st.sampled_from([None, 600]),
        times=st.integers(1, 2),
    )
    def create(self, tenant: str, floating_ip: bool, deadline: int | None, times: int) -> None:
        """Somebody asks for a VM; the request may come twice."""
        vm, request = new_id("vm"), new_ulid()
        self.vms[vm] = tenant
        spec = {**SPEC, "floating_ip": floating_ip}
        for _ in range(times):
            self.act(self.desk.create(tenant, vm=vm, id=request, spec=spec, deadline=deadline))

    @precondition(lambda self: self.vms)
    @rule(
        which=_index,
        verb=st.sampled_from([Verb.DELETE, Verb.DELETE, Verb.REBOOT, Verb.STOP, Verb.EXTEND]),
        key=st.integers(0, 2),
    )
    def ask(self, which: int, verb: Verb, key: int) -> None:
        """Somebody asks for something else, or deletes."""
        vm = self._vm(which)
        fields: dict[str, Any] = {}
        if verb is Verb.EXTEND:
            fields = {"lease_ttl": 3600}
        elif verb is not Verb.DELETE:
            fields = {"operation_id": f"op-{key}"}
        self.act(self.desk.request(verb, vm, self.vms[vm], **fields))

    # ---- the scheduler

    @precondition(lambda self: self.vms)
    @rule(kill=st.sampled_from(["no", "no", "before the commit", "after it"]))
    def hold_round(self, kill: str) -> None:
        """A round of admission."""
        self._kill(kill)
        self.act(admitting.hold_round(self.desk.context))

    @rule()
    def recover(self) -> None:
        """Another replica finds what a dead one left in the outbox."""
        self.run(self.desk.recover())
        self._take(self.desk.shelf.sent, copy=True)

    @precondition(lambda self: self.due)
    @rule(which=_index)
    def ring(self, which: int) -> None:
        """A timer is due. An expiry means that the command can't start any more."""
        vm, name = self.due[which % len(self.due)]
        what, _, step = name.partition("/")
        if what == "expiry":
            self.mail = [one for one in self.mail if one.key != (vm, step)]
        self.act(self._ring(vm, name))

    # ---- the worker and the clouds

    @precondition(lambda self: self.mail)
    @rule(which=_index, again=st.booleans(), kill=st.sampled_from(["no", "no", "after"]))
    def work(self, which: int, again: bool, kill: str) -> None:
        """A command is carried out; killed before its acknowledgement, it comes again."""
        mail = self._pick(self.mail, which)
        answer = self.clouds.work(mail.envelope, mail.message)
        self._answer(mail, answer)
        if again or kill == "after":
            self.mail.append(Mail(mail.envelope, mail.message, copy=True))

    @precondition(lambda self: self.mail)
    @rule(which=_index, reason=_REASONS, retryable=st.booleans(), worked=st.booleans())
    def fail(self, which: int, reason: Reason, retryable: bool, worked: bool) -> None:
        """A command fails; it may have had its effect all the same."""
        mail = self._pick(self.mail, which)
        if worked:
            self.clouds.work(mail.envelope, mail.message)
        self._answer(mail, failed(mail.message, reason, retryable=retryable))

    @precondition(lambda self: self.clouds.statuses)
    @rule(which=_index, status=st.sampled_from(["ACTIVE", "ACTIVE", "ERROR"]))
    def boot(self, which: int, status: str) -> None:
        """A server gets on."""
        servers = list(self.clouds.statuses)
        self.clouds.statuses[servers[which % len(servers)]] = status

    @precondition(lambda self: self.vms)
    @rule(which=_index)
    def look(self, which: int) -> None:
        """An inspection; what it saw may arrive late."""
        state = self.states[self._vm(which)]
        if state.resource.status.placement is not None and state.phase not in TERMINAL_PHASES:
            self._see(state)

    @rule(cloud=st.sampled_from(CLOUDS))
    def census(self, cloud: str) -> None:
        """A census; what it saw may arrive late."""
        self.events.append(Event(self.clouds.census(cloud), cloud, "colobus", {}))

    # ---- what arrives

    @precondition(lambda self: self.events)
    @rule(which=_index, kill=st.sampled_from(["no", "no", "no", "before the commit", "after it"]))
    def hear(self, which: int, kill: str) -> None:
        """An event arrives, in any order; killed before the commit, it arrives again."""
        event = self._pick(self.events, which)
        self._kill(kill)
        if kill == "before the commit":
            self.events.append(event)
        else:
            self.heard.append(event)
        self.act(self._deliver(event))

    @precondition(lambda self: any(event.attributes for event in self.heard))
    @rule(which=_index, anew=st.booleans())
    def hear_again(self, which: int, anew: bool) -> None:
        """An answer that was absorbed comes again, or under a new id: it changes nothing."""
        answers = [event for event in self.heard if event.attributes]
        event = answers[which % len(answers)]
        if anew:  # the inbox doesn't know it; that its attempt is over must be enough
            event = replace(event, attributes={**event.attributes, "id": new_ulid()})
        before = self.states
        self.act(self._deliver(event))
        assert self.states == before

    # ---- what always holds

    @invariant()
    def usage_is_what_is_held(self) -> None:
        """Quota is counted with every change, never lost and never doubled, and never exceeded."""
        held: dict[tuple[str, str], int] = {}
        for state in self.states.values():
            if state.phase in HOLDING_PHASES:
                for name, amount in demand_of("vm", state.resource.spec).items():
                    key = (state.resource.tenant, name)
                    held[key] = held.get(key, 0) + amount
        used = {key: amount for key, amount in self.used.items() if amount}
        assert used == {key: amount for key, amount in held.items() if amount}
        for (tenant, name), amount in used.items():
            assert amount <= QUOTAS[tenant].get(name, amount)

    @invariant()
    def the_ended_are_at_rest(self) -> None:
        """No timers, no open steps, and nothing in the cloud but what a stray copy made."""
        due = {vm for vm, _ in self.due}
        for vm, state in self.states.items():
            if state.phase in TERMINAL_PHASES:
                assert vm not in due
                open_steps = [
                    name
                    for name, progress in state.progress.items()
                    if not progress.answered and not operations.is_operation(name)
                ]
                assert not open_steps

    @invariant()
    def nothing_is_stuck(self) -> None:
        """Whatever isn't at rest waits for an admission, an observation, or a timer."""
        due = {vm for vm, _ in self.due}
        for vm, state in self.states.items():
            waits = any(progress.accepted for progress in state.progress.values())
            if state.phase in {Phase.PROVISIONING, Phase.DEPROVISIONING}:
                assert vm in due or waits

    def teardown(self) -> None:
        """All deleted: everything ends, is told of, and the clouds are empty."""
        self.recover()
        for vm, tenant in self.vms.items():
            self.act(self.desk.request(Verb.DELETE, vm, tenant))
        for _ in range(60):
            if all(state.phase is Phase.DELETED for state in self.states.values()):
                break
            self._settle()
        assert {state.phase for state in self.states.values()} <= {Phase.DELETED}
        self.usage_is_what_is_held()
        for vm, state in self.states.items():
            assert sorted(set(self.told[vm])) == list(range(1, state.resource.revision + 1))
        self._clean_up()

    def _settle(self) -> None:
        """From here on all goes well, in order."""
        while self.mail:
            mail = self.mail.pop(0)
            self._answer(mail, self.clouds.work(mail.envelope, mail.message))
        while self.events:
            self.act(self._deliver(self.events.pop(0)))
        for state in list(self.states.values()):
            if state.resource.status.placement and state.phase not in TERMINAL_PHASES:
                self._see(state)
        for vm, name in self.due:
            if name.startswith("retry/"):
                self.act(self._ring(vm, name))

    def _clean_up(self) -> None:
        """What stray copies made after the end is found by censuses, and goes."""
        for _ in range(12):
            for cloud in CLOUDS:
                self.act(self._deliver(Event(self.clouds.census(cloud), cloud, "colobus", {})))
            self._settle()
            if not self.clouds.things:
                return
        raise AssertionError(f"left in the clouds: {self.clouds.things}")


def test_the_ledger_is_right_whatever_happens(ledger_dsn: str, tmp_path: Path) -> None:
    """Hypothesis looks for an order of events that breaks a rule."""
    with asyncio.Runner() as runner:
        opened = desk(ledger_dsn, tmp_path, QUOTAS, clouds=CLOUDS, orphan_margin_seconds=0.0001)
        LedgerMachine.runner = runner
        LedgerMachine.desk = runner.run(opened.__aenter__())
        try:
            run_state_machine_as_test(
                LedgerMachine, settings=settings(stateful_step_count=40, deadline=None)
            )
        finally:
            runner.run(opened.__aexit__(None, None, None))
