"""Stacks from POST to their outputs and back to nothing, on the real Heat, Nova and Neutron."""

from __future__ import annotations

import secrets

import pytest

from colobus.client import Client
from colobus.errors import ApiError, ResourceEnded
from colobus.models import CreateStack, Phase, StepState
from services.stack_worker.secret_words import MASK
from tests.end_to_end.stacks.conftest import Heat, check_times, parts_of
from tests.support.installation import Installation
from tests.support.leaks import Leaks, Tap, search

#: So long a making or an end may take on a busy machine, in seconds.
LONG = 180
#: What the catalog's template is made of.
PARTS = {
    *("network", "subnet", "router", "router_interface", "floating_ip"),
    *("database", "database_port", "database_access", "web", "web_port", "web_access"),
}


async def test_two_vms_of_the_catalog_from_post_to_outputs_to_nothing(
    bigtop: Client, stacking: Installation, heat: Heat
) -> None:
    """The catalog's template: MySQL on the first, nginx and the floating IP on the second.

    Its hidden parameter is on the first VM, and in no message, table or log.
    """
    before, secret = heat.belongings(), f"hidden{secrets.token_hex(12)}"
    request = CreateStack(
        template_name="two-vms",
        parameters={"image": "debian-12", "flavor": "small"},
        hidden_parameters={"mysql_password": secret},
        name="shop",
    )
    async with Tap.on(stacking) as tap:
        made = await bigtop.create_stack(request)
        stack = await bigtop.wait(made.id, timeout=LONG)
        outputs = stack.status.outputs["outputs"]
        (shown,) = heat.stacks()
        servers = {one.id: one.status for one in heat.of("bigtop").compute.servers()}
        floating_ips = {one.floating_ip_address: one for one in heat.of("bigtop").network.ips()}
        noted = heat.noted(made.id)
        first, second = noted["database"], noted["web"]
        carrier = heat.of("bigtop").network.get_port(floating_ips[outputs["web_address"]].port_id)
        configs = {one: heat.cloud_config(one) for one in (first, second)}
        await bigtop.delete(made.id)
        await bigtop.wait(made.id, Phase.DELETED, timeout=LONG)
        leaks = Leaks({"mysql_password": secret.encode()})
        await search(leaks, stacking, tap)
    assert "hidden_parameters" not in stack.spec
    assert (shown["stack_name"], shown["stack_status"]) == (made.id, "CREATE_COMPLETE")
    assert shown["id"] == stack.status.outputs["stack_id"]
    assert servers == {first: "ACTIVE", second: "ACTIVE"}
    parts = parts_of(stack)
    assert parts.keys() == PARTS
    assert {one.status for one in parts.values()} == {"CREATE_COMPLETE"}
    assert parts["web"].type == "OS::Nova::Server"
    for one in parts.values():
        check_times(one, stack.created_at, stack.updated_at)
    assert outputs["url"] == f"http://{outputs['web_address']}/"
    assert outputs["database_address"].startswith("192.168.77.")
    assert carrier.device_id == second
    (mysql,), (nginx,) = configs[first]["runcmd"], configs[second]["runcmd"]
    assert mysql[:2] == nginx[:2] == ["docker", "run"]
    assert mysql[-1] == "docker.io/library/mysql:8.4"
    assert nginx[-1] == "docker.io/library/nginx:1.28"
    assert f"database:{outputs['database_address']}" in nginx
    (password,) = configs[first]["write_files"]
    assert password["content"] == f"MYSQL_ROOT_PASSWORD={secret}\n"
    assert leaks.found == set()
    assert leaks.bytes_seen > 10_000
    assert heat.stacks() == []
    assert heat.belongings() == before


async def test_a_template_with_an_error_is_refused_with_heats_own_line(
    bigtop: Client, heat: Heat
) -> None:
    """Before anything is made."""
    template = {
        "heat_template_version": "2018-08-31",
        "resources": {"broken": {"type": "OS::No::Such"}},
    }
    made = await bigtop.create_stack(CreateStack(template=template))
    with pytest.raises(ResourceEnded, match=r"Resource Type \(OS::No::Such\) could not be found"):
        await bigtop.wait(made.id, timeout=LONG)
    failed = await bigtop.get(made.id)
    assert (failed.status.phase, failed.status.reason) == ("failed", "template_invalid")
    assert heat.stacks() == []


async def test_a_failing_resource_ends_failed_with_heats_reason_and_leaves_nothing(
    bigtop: Client, heat: Heat
) -> None:
    """What was made beside it goes as well; then it can be deleted, too."""
    before = heat.belongings()
    template = """
heat_template_version: 2018-08-31
resources:
  network: {type: OS::Neutron::Net}
  subnet:
    type: OS::Neutron::Subnet
    properties: {network: {get_resource: network}, cidr: 10.9.0.0/24}
  server:
    type: OS::Nova::Server
    depends_on: subnet
    properties:
      image: debian-12
      flavor: broken
      networks: [{network: {get_resource: network}}]
"""
    made = await bigtop.create_stack(CreateStack(template=template))
    with pytest.raises(ResourceEnded, match=r"resources\.server"):
        await bigtop.wait(made.id, timeout=LONG)
    failed = await bigtop.get(made.id)
    assert (failed.status.phase, failed.status.reason) == ("failed", "stack_failed")
    parts = parts_of(failed)
    assert {name: one.state for name, one in parts.items()} == {
        "network": StepState.DONE,
        "subnet": StepState.DONE,
        "server": StepState.FAILED,
    }
    assert parts["server"].status == "CREATE_FAILED"
    assert "Went to status ERROR" in (parts["server"].reason or "")
    check_times(parts["server"], failed.created_at, failed.updated_at)
    assert heat.stacks() == []
    assert heat.belongings() == before
    await bigtop.delete(made.id)
    gone = await bigtop.wait(made.id, Phase.DELETED, timeout=LONG)
    assert gone.status.phase is Phase.DELETED


async def test_what_fails_while_it_is_made_quotes_no_hidden_parameter(
    bigtop: Client, stacking: Installation, heat: Heat
) -> None:
    """Heat knows the flavor only when it comes to the server: then its words are seen, not told."""
    secret = f"hidden{secrets.token_hex(12)}"
    flavor = {"get_attr": ["kept", "value"]}
    server = {"image": "debian-12", "flavor": flavor, "networks": [{"allocate_network": "none"}]}
    template = {
        "heat_template_version": "2018-08-31",
        "parameters": {"word": {"type": "string", "hidden": True}},
        "resources": {
            "kept": {"type": "OS::Heat::Value", "properties": {"value": {"get_param": "word"}}},
            "server": {"type": "OS::Nova::Server", "properties": server},
        },
    }
    async with Tap.on(stacking) as tap:
        request = CreateStack(template=template, hidden_parameters={"word": secret})
        made = await bigtop.create_stack(request)
        with pytest.raises(ResourceEnded):
            await bigtop.wait(made.id, timeout=LONG)
        failed = await bigtop.get(made.id)
        leaks = Leaks({"word": secret.encode()})
        await search(leaks, stacking, tap)
    assert failed.status.error is not None
    assert MASK in (failed.status.error.detail or "")
    assert MASK in (parts_of(failed)["server"].reason or "")
    assert leaks.found == set()
    assert heat.stacks() == []


async def test_what_nested_stacks_are_made_of_is_told_too(bigtop: Client, heat: Heat) -> None:
    """A group is a stack of its own to Heat; its members bear its name before theirs."""
    member = {"type": "OS::Heat::RandomString", "properties": {"length": 8}}
    properties = {"count": 2, "resource_def": member}
    template = {
        "heat_template_version": "2018-08-31",
        "resources": {"words": {"type": "OS::Heat::ResourceGroup", "properties": properties}},
    }
    made = await bigtop.create_stack(CreateStack(template=template))
    stack = await bigtop.wait(made.id, timeout=LONG)
    await bigtop.delete(made.id)
    await bigtop.wait(made.id, Phase.DELETED, timeout=LONG)
    parts = parts_of(stack)
    assert parts.keys() == {"words", "words/0", "words/1"}
    for one in parts.values():
        assert one.state is StepState.DONE
        check_times(one, stack.created_at, stack.updated_at)
    assert heat.stacks() == []


async def test_a_tenants_stack_is_nobody_elses(bigtop: Client, openlab: Client, heat: Heat) -> None:
    """Neither shown nor deleted by another; each is in its own tenant's project."""
    template = (
        "heat_template_version: 2018-08-31\nresources: {word: {type: OS::Heat::RandomString}}"
    )
    mine = await bigtop.create_stack(CreateStack(template=template))
    yours = await openlab.create_stack(CreateStack(template=template))
    await bigtop.wait(mine.id, timeout=LONG)
    await openlab.wait(yours.id, timeout=LONG)
    assert [one["stack_name"] for one in heat.stacks("bigtop")] == [mine.id]
    assert [one["stack_name"] for one in heat.stacks("openlab")] == [yours.id]
    for attempt in (openlab.get(mine.id), openlab.delete(mine.id), bigtop.get(yours.id)):
        with pytest.raises(ApiError) as refused:
            await attempt
        assert refused.value.problem.status == 404
    await bigtop.delete(mine.id)
    await openlab.delete(yours.id)
    await bigtop.wait(mine.id, Phase.DELETED, timeout=LONG)
    await openlab.wait(yours.id, Phase.DELETED, timeout=LONG)
    assert heat.stacks("bigtop") == heat.stacks("openlab") == []
