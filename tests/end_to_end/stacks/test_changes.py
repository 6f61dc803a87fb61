"""A living stack changed in place: what Heat does then, and what it refuses or fails at."""

from __future__ import annotations

import secrets
from typing import Any

from colobus.client import Client
from colobus.models import CreateStack, Phase, Resource, StepPart, StepState, UpdateStack
from tests.end_to_end.stacks.conftest import Heat, check_times, parts_of
from tests.support.conditions import eventually
from tests.support.installation import Installation
from tests.support.leaks import Leaks, Tap, search

#: So long a change or an end may take on a busy machine, in seconds.
LONG = 180


async def operated(client: Client, stack: str, count: int) -> Resource:
    """The stack when so many operations have ended."""

    async def ended() -> Resource | None:
        shown = await client.get(stack)
        finished = [one for one in shown.status.operations if one.finished_at is not None]
        return shown if len(finished) == count else None

    return await eventually(ended, within=LONG, what=f"{count} changes have ended")


def _template(*servers: str) -> dict[str, Any]:
    """Servers on a network of their own; the flavor of all but the first is a parameter."""
    network = {"get_resource": "network"}
    subnet = {"network": network, "cidr": "10.9.0.0/24"}
    resources: dict[str, Any] = {
        "network": {"type": "OS::Neutron::Net"},
        "subnet": {"type": "OS::Neutron::Subnet", "properties": subnet},
    }
    for number, name in enumerate(servers):
        properties = {
            "image": "debian-12",
            "flavor": {"get_param": "flavor"} if number else "small",
            "networks": [{"network": network}],
        }
        resources[name] = {
            "type": "OS::Nova::Server",
            "depends_on": "subnet",
            "properties": properties,
        }
    return {
        "heat_template_version": "2018-08-31",
        "parameters": {"flavor": {"type": "string", "default": "small"}},
        "resources": resources,
    }


async def test_a_change_adds_a_server_and_another_takes_it_away(bigtop: Client, heat: Heat) -> None:
    """The parts of the stack's step show it, with Heat's own times."""
    before, one, two = heat.belongings(), _template("first"), _template("first", "second")
    made = await bigtop.create_stack(CreateStack(template=one))
    await bigtop.wait(made.id, timeout=LONG)
    first = heat.noted(made.id)["first"]
    await bigtop.change_stack(made.id, UpdateStack(template=two))
    larger = await operated(bigtop, made.id, 1)
    second = heat.noted(made.id)["second"]
    assert larger.status.operations[0].error is None
    assert larger.spec["template"] == two
    assert _statuses(heat) == {first: "ACTIVE", second: "ACTIVE"}
    added = await _timed(bigtop, made.id, "second")
    assert (added.state, added.type) == (StepState.DONE, "OS::Nova::Server")
    check_times(added, larger.status.operations[0].started_at, larger.updated_at)
    await bigtop.change_stack(made.id, UpdateStack(template=one))
    smaller = await operated(bigtop, made.id, 2)
    assert smaller.status.operations[1].error is None
    assert smaller.spec["template"] == one
    assert _statuses(heat) == {first: "ACTIVE"}
    assert parts_of(smaller).keys() == {"network", "subnet", "first"}
    await bigtop.delete(made.id)
    await bigtop.wait(made.id, Phase.DELETED, timeout=LONG)
    assert heat.stacks() == []
    assert heat.belongings() == before


async def test_a_change_that_fails_has_heats_words_and_the_stack_can_still_go(
    bigtop: Client, heat: Heat
) -> None:
    """A server of a flavor that fails: what was there stays, and the spec is the old one."""
    before, one, two = heat.belongings(), _template("first"), _template("first", "second")
    made = await bigtop.create_stack(CreateStack(template=one))
    await bigtop.wait(made.id, timeout=LONG)
    first = heat.noted(made.id)["first"]
    change = UpdateStack(template=two, parameters={"flavor": "broken"})
    await bigtop.change_stack(made.id, change)
    failed = await operated(bigtop, made.id, 1)
    (operation,) = failed.status.operations
    assert operation.error is not None
    assert "resources.second: Went to status ERROR" in (operation.error.detail or "")
    assert (failed.status.phase, failed.status.reason) == (Phase.ACTIVE, "stack_failed")
    assert failed.spec == {"template": one}
    parts = parts_of(failed)
    assert (parts["first"].state, parts["second"].state) == (StepState.DONE, StepState.FAILED)
    assert "Went to status ERROR" in (parts["second"].reason or "")
    assert _statuses(heat)[first] == "ACTIVE"
    await bigtop.delete(made.id)
    await bigtop.wait(made.id, Phase.DELETED, timeout=LONG)
    assert heat.stacks() == []
    assert heat.belongings() == before


async def _timed(client: Client, stack: str, part: str) -> StepPart:
    """The part with its times: a look that was ordered before the change has asked for none."""

    async def timed() -> StepPart | None:
        shown = parts_of(await client.get(stack))[part]
        return shown if shown.finished_at is not None else None

    return await eventually(timed, within=LONG, what=f"the times of {part} are known")


def _statuses(heat: Heat) -> dict[str, str]:
    return {one.id: one.status for one in heat.of("bigtop").compute.servers()}


async def test_a_stack_is_changed_in_place(
    bigtop: Client, stacking: Installation, heat: Heat
) -> None:
    """Another template, one parameter hidden; what Heat refuses is told, and changes nothing."""
    template: dict[str, Any] = {
        "heat_template_version": "2018-08-31",
        "parameters": {"size": {"type": "number", "default": 8}},
        "resources": {
            "word": {"type": "OS::Heat::RandomString", "properties": {"length": 8}},
        },
        "outputs": {"size": {"value": {"get_param": "size"}}},
    }
    secret = f"hidden{secrets.token_hex(12)}"
    made = await bigtop.create_stack(CreateStack(template=template))
    await bigtop.wait(made.id, timeout=LONG)
    hidden = {"type": "string", "hidden": True}
    more = {**template, "parameters": {**template["parameters"], "secret": hidden}}
    async with Tap.on(stacking) as tap:
        change = UpdateStack(
            template=more, parameters={"size": 9}, hidden_parameters={"secret": secret}
        )
        await bigtop.change_stack(made.id, change)
        changed = await operated(bigtop, made.id, 1)
        leaks = Leaks({"secret": secret.encode()})
        await search(leaks, stacking, tap)
    assert changed.status.operations[0].error is None
    assert changed.status.outputs["outputs"]["size"] in (9, "9")
    assert changed.spec == {"template": more, "parameters": {"size": 9}}
    assert leaks.found == set()
    broken = {**more, "resources": {"broken": {"type": "OS::No::Such"}}}
    await bigtop.change_stack(made.id, UpdateStack(template=broken))
    refused = await operated(bigtop, made.id, 2)
    error = refused.status.operations[1].error
    assert error is not None
    assert "OS::No::Such" in (error.detail or "")
    assert (refused.status.phase, refused.spec) == (Phase.ACTIVE, changed.spec)
    assert [one["stack_status"] for one in heat.stacks()] == ["UPDATE_COMPLETE"]
    await bigtop.delete(made.id)
    await bigtop.wait(made.id, Phase.DELETED, timeout=LONG)
    assert heat.stacks() == []
