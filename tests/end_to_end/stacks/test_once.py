"""Asked twice, made once: the worker's own rooms before the real Heat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from services.stack_worker.context import Context
from services.stack_worker.handlers import HANDLERS
from services.stack_worker.provisioner import WORKER
from services.stack_worker.settings import StackWorkerSettings
from services.stack_worker.wiring import make_backend, make_context
from shared.contract.codec import envelope_for
from shared.contract.identifiers import new_id
from shared.contract.messages import (
    DeprovisionStack,
    Message,
    ProvisionStack,
    RemoveOrphan,
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
from tests.support.conditions import eventually

CLOUD = "devcloud"
TEMPLATE: dict[str, Any] = {
    "heat_template_version": "2018-08-31",
    "resources": {"word": {"type": "OS::Heat::RandomString"}},
}
M = TypeVar("M", bound=Message)


class Worker:
    """The rooms of a stack_worker, without a bus."""

    def __init__(self, context: Context, key: SealingKey) -> None:
        self.context = context
        self.key = key

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
        return Worker(replace(self.context, kit=kit), self.key)

    async def names(self) -> list[str]:
        """The stacks of this installation that Heat lists."""
        project = self.context.backend.project(CLOUD, "bigtop", Deadline.after(60))
        found = await project.stacks(self.context.kit.marks.installation)
        return sorted(one.name for one in found)

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
    made = Worker(make_context(settings, known, backend), key)
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
    assert await worker.names() == [stack]
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
    assert await stranger.do(DeprovisionStack(cloud=CLOUD), stack) == StackDeprovisioned()
    assert await worker.names() == [stack]


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
