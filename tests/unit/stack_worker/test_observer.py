"""What Heat and Nova show of a stack, and what is told of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from services.stack_worker.backend import Backend, Part, PartEvent, Stack
from services.stack_worker.observer import (
    AT_ONCE,
    MOST_BYTES,
    inspect_stacks,
    observation_of,
)
from services.stack_worker.provisioner import Kit
from services.stack_worker.secret_words import MASK, UNTOLD
from services.stack_worker.templates import Templates
from shared.contract.codec import envelope_for
from shared.contract.messages import (
    InspectStacks,
    StackInspection,
    StackInspectionFailed,
    StackObserved,
)
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable
from shared.runtime.secrets import SealingKey, seal
from shared.worker.command import Command
from shared.worker.errors import Refused
from shared.worker.marks import Marks

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB = Part("web", "OS::Nova::Server", "CREATE_COMPLETE", "state changed", "server-1")
NET = Part("net", "OS::Neutron::Net", "CREATE_COMPLETE", "state changed", "net-1")


def stack(status: str, reason: str = "") -> Stack:
    return Stack("heat-1", "stack-1", status, reason)


def test_no_stack_is_gone() -> None:
    """With the id that the ledger knows."""
    seen = observation_of(NOW, None, stack_id="heat-1")
    assert (seen.gone, seen.stack_id, seen.stack_status) == (True, "heat-1", None)


@pytest.mark.parametrize(
    ("servers", "unproven"),
    [
        ({"server-1": "ACTIVE"}, ()),
        ({"server-1": "BUILD"}, ("web: BUILD",)),
        ({}, ("web: not found",)),
    ],
)
def test_of_a_complete_stack_each_server_has_to_run(
    servers: dict[str, str], unproven: tuple[str, ...]
) -> None:
    """Nova's word counts, not Heat's; what is no server is Heat's alone to know."""
    seen = observation_of(NOW, stack("CREATE_COMPLETE"), [NET, WEB], servers, {})
    assert seen.unproven == unproven


def test_while_it_changes_nothing_is_said_of_its_servers() -> None:
    """They are not asked for then."""
    assert observation_of(NOW, stack("CREATE_IN_PROGRESS"), [WEB]).unproven == ()


def test_a_failed_part_brings_its_reason_others_none() -> None:
    """Which only repeats that a state has changed."""
    failed = Part("web", "OS::Nova::Server", "CREATE_FAILED", "no host", "")
    seen = observation_of(NOW, stack("CREATE_FAILED", "failed"), [NET, failed])
    assert [part.reason for part in seen.parts] == [None, "no host"]
    assert seen.status_reason == "failed"


def test_what_is_too_large_to_be_told_is_named() -> None:
    """Every status message carries the outputs, so they are bounded."""
    outputs = {"a": 1, "large": "x" * MOST_BYTES, "b": [2]}
    seen = observation_of(NOW, stack("CREATE_COMPLETE"), [], {}, outputs)
    assert (seen.outputs, seen.left_out) == ({"a": 1, "b": [2]}, ("large",))


def test_of_two_servers_of_one_name_both_have_to_run() -> None:
    """Members of groups are called "0", "1", … in each of them."""
    servers = [Part("0", "OS::Nova::Server", "CREATE_COMPLETE", "", id) for id in ("a", "b", "c")]
    shown = {"a": "ERROR", "b": "BUILD", "c": "ACTIVE"}
    seen = observation_of(NOW, stack("CREATE_COMPLETE"), servers, shown, {})
    assert seen.unproven == ("0: ERROR", "0: BUILD")


MARKS = Marks("i1", "stack_worker")
KIT = Kit(MARKS, SealingKey.generate(), Templates({}))


def listed(name: str, id: str = "", created_at: str = "", owner: str = "") -> Stack:
    tags = MARKS.tags(owner or name)
    return Stack(id or f"heat-{name}", name, "CREATE_COMPLETE", "", tags, created_at)


class Listing:
    """A project, and all clouds: it lists these stacks, and can't show the parts of some."""

    def __init__(self, *stacks: Stack, broken: str = "", hides_events: bool = False) -> None:
        self._stacks = list(stacks)
        self._broken = broken
        self._hides_events = hides_events
        self.asked_for_events: list[str] = []
        self._under_way = 0
        self.most = 0

    def project(self, *_: Any) -> Listing:
        return self

    async def stacks(self, *_: str) -> list[Stack]:
        return self._stacks

    async def stack(self, name: str) -> Stack | None:
        return next((one for one in self._stacks if one.name == name), None)

    async def parts(self, stack: Stack) -> list[Part]:
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        await asyncio.sleep(0)
        self._under_way -= 1
        if stack.name == self._broken:
            raise BackendUnavailable("no answer")
        status, reason = (stack.status, stack.reason) if stack.reason else ("CREATE_COMPLETE", "")
        return [Part("net", "OS::Neutron::Net", status, reason, "net-1", stack.id)]

    async def events(self, stack: Stack) -> list[PartEvent]:
        self.asked_for_events.append(stack.name)
        if self._hides_events:
            raise Refused("Policy doesn't allow events:index to be performed.")
        return [PartEvent(stack.id, "net", "CREATE_COMPLETE", NOW)]

    async def server_statuses(self, _: Any) -> dict[str, str]:
        return {}

    async def outputs(self, _: Stack) -> dict[str, Any]:
        return {}

    async def inspected(self, *asked: StackInspection) -> dict[str, Any]:
        """What is told, by whom it is about."""
        message = InspectStacks(cloud="c", stacks=asked)
        envelope = envelope_for(message, source="/s", subject="cloud", tenant="nobody")
        command = Command(message, envelope, False, Deadline.after(60), False)
        told = await inspect_stacks(cast(Backend, self), KIT, command)
        return {one.resource_id: one.message for one in told}


def ask(
    name: str, stack_id: str | None = None, *, with_times: bool = False, sealed: Sequence[str] = ()
) -> StackInspection:
    return StackInspection(
        resource_id=name,
        tenant="bigtop",
        stack_id=stack_id,
        with_times=with_times,
        sealed_hidden_parameters=tuple(sealed),
    )


async def test_a_stack_that_cannot_be_looked_at_blinds_us_to_no_other() -> None:
    """What failed is told of it alone."""
    told = await Listing(listed("s1"), listed("s2"), broken="s1").inspected(ask("s1"), ask("s2"))
    assert isinstance(told["s2"], StackObserved)
    assert "s1" not in told
    failed = told["cloud"]
    assert isinstance(failed, StackInspectionFailed)
    assert failed.resource_ids == ("s1",)


async def test_only_a_few_stacks_are_looked_at_side_by_side() -> None:
    """Commands need the threads, too."""
    names = [f"s{number}" for number in range(40)]
    heat = Listing(*(listed(name) for name in names))
    assert len(await heat.inspected(*map(ask, names))) == 40
    assert 1 < heat.most <= AT_ONCE


async def test_a_stack_of_another_name_is_not_the_resources_though_it_has_its_tags() -> None:
    """Tags can be copied, by hand."""
    told = await Listing(listed("mine", owner="s1")).inspected(ask("s1", "heat-1"))
    assert told["s1"].gone


async def test_of_twins_the_one_that_the_ledger_knows_is_shown_or_the_first() -> None:
    """Which one is listed first means nothing."""
    twins = [listed("s1", "b", "2026-01-01T00:00:01Z"), listed("s1", "a", "2026-01-01T00:00:02Z")]
    for order in (twins, twins[::-1]):
        assert (await Listing(*order).inspected(ask("s1", "a")))["s1"].stack_id == "a"
        assert (await Listing(*order).inspected(ask("s1")))["s1"].stack_id == "b"


async def test_events_are_asked_for_of_those_that_change_alone() -> None:
    """One call more for each of these."""
    heat = Listing(listed("s1"), listed("s2"))
    told = await heat.inspected(ask("s1", with_times=True), ask("s2"))
    assert heat.asked_for_events == ["s1"]
    assert [told[name].parts[0].finished_at for name in ("s1", "s2")] == [NOW, None]


async def test_a_cloud_that_shows_no_events_has_stacks_without_times() -> None:
    """Its policy may be so; that they are made is no less proven."""
    told = await Listing(listed("s1"), hides_events=True).inspected(ask("s1", with_times=True))
    (part,) = told["s1"].parts
    assert (part.status, part.started_at, part.finished_at) == ("CREATE_COMPLETE", None, None)


def box(**hidden: str) -> str:
    return seal(KIT.sealing_key.public_key, json.dumps(hidden).encode())


async def test_no_word_of_heats_quotes_a_hidden_parameter() -> None:
    """Of the stack or of a part, from its making or from a change; whole, before any cut."""
    words = f"{'x' * 490} Flavor 'gold-secret' and 'new-secret' not found"
    heat = Listing(Stack("heat-1", "s1", "UPDATE_FAILED", words, MARKS.tags("s1")))
    sealed = [box(flavor="gold-secret"), box(flavor="new-secret")]
    told = (await heat.inspected(ask("s1", sealed=sealed)))["s1"]
    masked = words.replace("gold-secret", MASK).replace("new-secret", MASK)
    assert (told.status_reason, told.parts[0].reason) == (masked, masked[:500])


@pytest.mark.parametrize("forgotten", [False, True])
async def test_where_nobody_knows_what_is_secret_no_words_are_told(forgotten: bool) -> None:
    """A box sealed to a key of before, or kept no longer; the state is told all the same."""
    heat = Listing(Stack("heat-1", "s1", "CREATE_FAILED", "hush not found", MARKS.tags("s1")))
    lost = "" if forgotten else seal(SealingKey.generate().public_key, b"{}")
    told = (await heat.inspected(ask("s1", sealed=[lost])))["s1"]
    assert (told.stack_status, told.status_reason) == ("CREATE_FAILED", UNTOLD)
    assert told.parts[0].reason == UNTOLD
