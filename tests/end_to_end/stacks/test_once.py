"""Asked twice, made once: the worker's own rooms before the real Heat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from msgspec import structs

from services.stack_worker.backend import Project, Stack
from services.stack_worker.context import Context
from services.stack_worker.handlers import HANDLERS
from services.stack_worker.provisioner import WORKER
from services.stack_worker.secret_words import WITHHELD
from services.stack_worker.settings import StackWorkerSettings
from services.stack_worker.wiring import make_backend, make_context
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    ChangeStack,
    DeprovisionStack,
    Message,
    ProvisionStack,
    RemoveOrphan,
    StackChangeStarted,
    StackCreateStarted,
    StackDeletionStarted,
    StackDeprovisioned,
)
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError
from shared.runtime.secrets import SealingKey, seal
from shared.runtime.settings import Secret
from shared.runtime.tenants import load_tenants
from shared.worker.command import Command
from shared.worker.errors import Conflict, Refused
from shared.worker.marks import Marks
from tests.support.cloud import Cloud
from tests.support.conditions import eventually

CLOUD = "devcloud"
TEMPLATE: dict[str, Any] = {
    "heat_template_version": "2018-08-31",
    "resources": {"word": {"type": "OS::Heat::RandomString"}},
}
M = TypeVar("M", bound=Message)


class Worker:
    """The rooms of a stack_worker, without a bus."""

    def __init__(self, context: Context, key: SealingKey, tenants_own: Any) -> None:
        self.context = context
        self.key = key
        self.tenants_own = tenants_own

    async def do(self, message: M, stack: str, *, repeated: bool = False) -> Message:
        """Have a command about the stack handled; return its only answer."""
        envelope = envelope_for(message, source="/scheduler/test", subject=stack, tenant="bigtop")
        command = Command(message, envelope, repeated, Deadline.after(60), repeated)
        (answer,) = await HANDLERS[type(message)](command, self.context)
        assert isinstance(answer, Message)
        return answer

    def of_another_installation(self) -> Worker:
        """The same worker, with other marks."""
        kit = replace(self.context.kit, marks=Marks("another", WORKER))
        return Worker(replace(self.context, kit=kit), self.key, self.tenants_own)

    async def names(self) -> list[str]:
        """The stacks of this installation that Heat lists."""
        found = await self.project().stacks(self.context.kit.marks.installation)
        return sorted(one.name for one in found)

    def project(self) -> Project:
        """The tenant's project, as the worker sees it."""
        return self.context.backend.project(CLOUD, "bigtop", Deadline.after(60))

    async def living(self, stack: str) -> list[Stack]:
        """Those of this name that are not going."""
        found = await self.project().named(stack)
        return [one for one in found if not one.status.startswith("DELETE_")]

    async def settled(self, stack: str) -> str:
        """Wait until Heat is done with what it was told; return how it ended."""

        async def status() -> str | None:
            (shown,) = await self.project().named(stack)
            return None if shown.status.endswith("_IN_PROGRESS") else shown.status

        return await eventually(status, within=60, what=f"{stack} is settled")

    async def outputs(self, stack: str) -> dict[str, Any]:
        """What the stack gives out."""
        (shown,) = await self.project().named(stack)
        return await self.project().outputs(shown) or {}

    async def untag(self, stack: str, stack_id: str) -> None:
        """A tenant's own plain update, which drops all tags."""
        await self.retag(stack, stack_id, ())

    async def retag(self, stack: str, stack_id: str, tags: tuple[str, ...]) -> None:
        """A tenant's own plain update, with other tags."""
        body: dict[str, Any] = {"template": TEMPLATE}
        body |= {"tags": ",".join(tags)} if tags else {}
        path = f"/stacks/{stack}/{stack_id}"

        def put() -> int:
            heat = self.tenants_own.orchestration
            return int(heat.put(path, json=body).status_code)

        assert await asyncio.to_thread(put) == 202
        await self.settled(stack)

    async def gone(self, stack: str) -> None:
        """Wait until Heat lists it no more."""

        async def is_gone() -> bool:
            return stack not in await self.names()

        await eventually(is_gone, within=60, what=f"{stack} is gone")


@pytest.fixture
async def worker(with_heat: dict[str, str], tmp_path: Path) -> AsyncIterator[Worker]:
    """A worker of an installation of its own; what a failed test left goes at the end."""
    project = with_heat["DEVCLOUD_PROJECT_ID_BIGTOP"]
    tenants = {"tenants": {"bigtop": {"projects": {CLOUD: project}}}}
    (tmp_path / "tenants.yaml").write_text(yaml.safe_dump(tenants))
    key = SealingKey.generate()
    key.save(tmp_path / "sealing-key")
    settings = StackWorkerSettings(
        installation_id=new_id("stack")[-12:],
        amqp_urls=(Secret("amqp://unused"),),
        http_port=0,
        tenants_file=tmp_path / "tenants.yaml",
        clouds_file=Path(with_heat["OS_CLIENT_CONFIG_FILE"]),
        sealing_key_file=tmp_path / "sealing-key",
    )
    known = load_tenants(settings.tenants_file)
    backend = make_backend(settings, known)
    own = Cloud(with_heat, settings.installation_id).connect(CLOUD, project)
    made = Worker(make_context(settings, known, backend), key, own)
    yield made
    for stack in await made.names():
        await made.do(DeprovisionStack(cloud=CLOUD), stack)
    await backend.close()


async def test_a_command_that_comes_again_finds_the_first_ones_stack(worker: Worker) -> None:
    """Side by side, or later: its name is there once, and whoever lost looks whose it is."""
    stack, order = new_id("stack"), ProvisionStack(cloud=CLOUD, template=TEMPLATE)
    first, second = await asyncio.gather(worker.do(order, stack), worker.do(order, stack))
    third = await worker.do(order, stack, repeated=True)
    assert isinstance(first, StackCreateStarted)
    assert first == second == third
    assert [one.id for one in await worker.living(stack)] == [first.stack_id]
    going = await worker.do(DeprovisionStack(cloud=CLOUD), stack)
    assert going == StackDeletionStarted(stack_id=first.stack_id)
    await worker.gone(stack)
    assert await worker.do(DeprovisionStack(cloud=CLOUD), stack) == StackDeprovisioned()


async def test_a_stack_that_does_not_bear_our_marks_is_left_alone(worker: Worker) -> None:
    """Neither taken for ours, nor deleted, nor removed as an orphan."""
    stack, order = new_id("stack"), ProvisionStack(cloud=CLOUD, template=TEMPLATE)
    made = await worker.do(order, stack)
    assert isinstance(made, StackCreateStarted)
    other = new_id("stack")
    orphan = RemoveOrphan(place=CLOUD, what="stack", object_id=made.stack_id, resource_id=other)
    with pytest.raises(Refused, match="does not bear the marks"):
        await worker.do(orphan, other)
    stranger = worker.of_another_installation()
    with pytest.raises(Conflict, match="does not bear our marks"):
        await stranger.do(order, stack)
    with pytest.raises(Conflict, match="does not bear our marks"):
        await stranger.do(DeprovisionStack(cloud=CLOUD, stack_id=made.stack_id), stack)
    assert await worker.names() == [stack]


async def test_a_stack_whose_tags_a_tenant_took_off_is_changed_and_deleted_all_the_same(
    worker: Worker,
) -> None:
    """By its id; as long as it is there nothing says that it is gone."""
    stack = new_id("stack")
    made = await worker.do(ProvisionStack(cloud=CLOUD, template=TEMPLATE), stack)
    assert isinstance(made, StackCreateStarted)
    await worker.settled(stack)
    await worker.untag(stack, made.stack_id)
    with pytest.raises(Conflict, match="does not bear our marks"):
        await worker.do(DeprovisionStack(cloud=CLOUD), stack)
    change = ChangeStack(
        cloud=CLOUD, stack_id=made.stack_id, operation_id="op-1", template=TEMPLATE
    )
    assert await worker.do(change, stack) == StackChangeStarted(operation_id="op-1")
    assert await worker.names() == [stack]
    await worker.settled(stack)
    await worker.untag(stack, made.stack_id)
    going = await worker.do(DeprovisionStack(cloud=CLOUD, stack_id=made.stack_id), stack)
    assert going == StackDeletionStarted(stack_id=made.stack_id)
    await worker.gone(stack)


async def test_a_stack_of_another_name_is_no_orphan_of_ours(worker: Worker) -> None:
    """Though it bears the marks: a tenant may copy them."""
    stack, order = new_id("stack"), ProvisionStack(cloud=CLOUD, template=TEMPLATE)
    made = await worker.do(order, stack)
    assert isinstance(made, StackCreateStarted)
    await worker.settled(stack)
    other = new_id("stack")
    await worker.retag(stack, made.stack_id, worker.context.kit.marks.tags(other))
    orphan = RemoveOrphan(place=CLOUD, what="stack", object_id=made.stack_id, resource_id=other)
    with pytest.raises(Refused, match="does not bear the marks"):
        await worker.do(orphan, other)
    await worker.retag(stack, made.stack_id, worker.context.kit.marks.tags(stack))


async def test_a_change_keeps_what_it_does_not_name(worker: Worker) -> None:
    """Heat's own template; the spec's parameters; what the template hasn't is refused by name."""
    template = {
        **TEMPLATE,
        "parameters": {
            "size": {"type": "number", "default": 8},
            "password": {"type": "string", "hidden": True, "default": "correct-horse"},
        },
        "outputs": {"size": {"value": {"get_param": "size"}}},
    }
    stack = new_id("stack")
    order = ProvisionStack(cloud=CLOUD, template=template, parameters={"size": 9})
    made = await worker.do(order, stack)
    assert isinstance(made, StackCreateStarted)
    await worker.settled(stack)
    change = ChangeStack(
        cloud=CLOUD,
        stack_id=made.stack_id,
        operation_id="op-1",
        template_name="two-vms",
        stored_template=True,
        parameters={"size": 10, "of_another_template": 1},
        named=("size",),
    )
    await worker.do(change, stack)
    await worker.settled(stack)
    assert str((await worker.outputs(stack))["size"]) == "10"
    with pytest.raises(Refused, match="has no parameter sise") as refused:
        await worker.do(structs.replace(change, parameters={"sise": 1}, named=("sise",)), stack)
    assert refused.value.reason == Reason.TEMPLATE_INVALID
    with pytest.raises(Refused, match="marks password hidden"):
        await worker.do(
            structs.replace(change, parameters={"password": "x"}, named=("password",)), stack
        )


async def test_after_a_failed_change_the_next_one_has_the_specs_own_parameters(
    worker: Worker,
) -> None:
    """Heat keeps those of what failed: what the spec doesn't name has its default again."""
    word = {"type": "OS::Heat::RandomString", "properties": {"length": 8}}
    template = {
        **TEMPLATE,
        "parameters": {"image": {"type": "string", "default": ""}},
        "resources": {"word": word},
        "outputs": {"image": {"value": {"get_param": "image"}}},
    }
    failing = {
        "type": "OS::Heat::TestResource",
        "properties": {"fail": True, "value": {"get_param": "image"}},
    }
    stack = new_id("stack")
    made = await worker.do(ProvisionStack(cloud=CLOUD, template=template), stack)
    assert isinstance(made, StackCreateStarted)
    await worker.settled(stack)
    change = ChangeStack(
        cloud=CLOUD,
        stack_id=made.stack_id,
        operation_id="op-1",
        template={**template, "resources": {"word": word, "bad": failing}},
        parameters={"image": "of-the-failed"},
        named=("image",),
    )
    await worker.do(change, stack)
    assert await worker.settled(stack) == "UPDATE_FAILED"
    await worker.do(structs.replace(change, template=template, parameters={}, named=()), stack)
    assert await worker.settled(stack) == "UPDATE_COMPLETE"
    assert (await worker.outputs(stack))["image"] == ""


async def test_what_reaches_across_tenants_is_refused_before_anything_is_made(
    worker: Worker,
) -> None:
    """In a create and in a change."""
    stack = new_id("stack")
    key = {"type": "OS::Nova::KeyPair", "properties": {"name": "theirs"}}
    bad = {**TEMPLATE, "resources": {"key": key}}
    with pytest.raises(Refused, match="Resource key: ") as refused:
        await worker.do(ProvisionStack(cloud=CLOUD, template=bad), stack)
    assert refused.value.reason == Reason.TEMPLATE_INVALID
    assert await worker.names() == []
    made = await worker.do(ProvisionStack(cloud=CLOUD, template=TEMPLATE), stack)
    assert isinstance(made, StackCreateStarted)
    await worker.settled(stack)
    change = ChangeStack(cloud=CLOUD, stack_id=made.stack_id, operation_id="op-1", template=bad)
    with pytest.raises(Refused, match="Resource key: "):
        await worker.do(change, stack)


@pytest.mark.parametrize("secret", ['it\'s "quoted" \\ and long enough', "x" * 3000, "unlisted"])
async def test_a_secret_that_heat_quotes_is_not_told(worker: Worker, secret: str) -> None:
    """However it writes it, and however long it is."""
    allowed = [{"allowed_values": ["one", "two"]}]
    parameters = {"chosen": {"type": "string", "hidden": True, "constraints": allowed}}
    sealed = seal(worker.key.public_key, json.dumps({"chosen": secret}).encode())
    order = ProvisionStack(
        cloud=CLOUD,
        template={**TEMPLATE, "parameters": parameters},
        sealed_hidden_parameters=sealed,
    )
    with pytest.raises(ColobusError) as told:
        await worker.do(order, new_id("stack"))
    words = told.value.detail
    assert "allowed" in words or words == WITHHELD
    assert not any(secret[at : at + 6] in words for at in range(max(1, len(secret) - 5)))


async def test_a_hidden_parameter_in_the_clear_is_refused(worker: Worker) -> None:
    """The template says which are; sealed, it is taken."""
    template = {
        **TEMPLATE,
        "parameters": {
            "password": {
                "type": "string",
                "hidden": True,
                "constraints": [{"length": {"min": 8}}],
            }
        },
    }
    stack = new_id("stack")
    shown = ProvisionStack(cloud=CLOUD, template=template, parameters={"password": "correct-horse"})
    with pytest.raises(Refused, match="marks password hidden") as refused:
        await worker.do(shown, stack)
    assert refused.value.reason == Reason.TEMPLATE_INVALID
    short = seal(worker.key.public_key, b'{"password": "tooshrt"}')
    order = ProvisionStack(cloud=CLOUD, template=template, sealed_hidden_parameters=short)
    with pytest.raises(ColobusError) as told:
        await worker.do(order, stack)
    assert "password" in told.value.detail
    assert "tooshrt" not in told.value.detail
    assert await worker.names() == []
