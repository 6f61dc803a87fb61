"""A census sees what there is twice, and is none the worse where that can't be mended."""

from __future__ import annotations

from typing import cast

import pytest

from services.vm_worker import census
from services.vm_worker.backend import Backend, Project
from services.vm_worker.provisioner.default_network import DefaultNetworks, Plan
from services.vm_worker.provisioner.kit import Kit
from shared.contract.codec import envelope_for
from shared.contract.messages import CensusTaken, Holding, TakeCensus
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BackendUnavailable
from shared.runtime.secrets import SealingKey
from shared.runtime.tenants import Tenants
from shared.worker.command import Command
from shared.worker.marks import Marks
from tests.unit.vm_worker.test_notifications import MARKS


def holding(what: str, id: str, tenant: str = "bigtop") -> Holding:
    return Holding(what=what, id=id, place="devcloud", tenant=tenant)


ONCE = [holding(what, what) for what in ("network", "router")]


def test_only_a_second_network_or_router_of_one_tenant_is_one_too_many() -> None:
    """Another tenant has its own, and of servers and ports there may be any number."""
    assert census.doubled(ONCE) == []
    others = [holding("network", "n-2", "openlab"), holding("port", "1"), holding("port", "2")]
    assert census.doubled([*ONCE, *others]) == []
    assert census.doubled([*ONCE, holding("network", "n-2")]) == ["bigtop"]
    assert census.doubled([*ONCE, *others, holding("router", "r-2")]) == ["bigtop"]


class NotNow(DefaultNetworks):
    """The cloud is out just when it is to be put right."""

    def __init__(self) -> None:
        super().__init__(Plan(), MARKS)
        self.asked = 0

    async def settle(self, project: Project) -> None:
        """Try."""
        self.asked += 1
        raise BackendUnavailable("down")


class Nowhere:
    """A backend of which only the project is asked for."""

    def project(self, cloud: str, tenant: str, deadline: Deadline) -> Project:
        """One of whose things nothing is asked here."""
        return cast(Project, type("Bigtop", (), {"tenant": tenant}))


async def test_a_census_is_told_also_where_what_is_doubled_stays_for_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next census shows it again."""
    both = [*ONCE, holding("network", "n-2")]

    async def taken(*_: object) -> list[Holding]:
        return both

    monkeypatch.setattr(census, "take_census", taken)
    networks = NotNow()
    kit = Kit(Marks("test", "vm_worker"), SealingKey.generate(), networks)
    message = TakeCensus(place="devcloud")
    envelope = envelope_for(message, source="/test", subject="census", tenant="-")
    command = Command(message, envelope, False, Deadline.after(30), False)
    (one,) = await census.answer_census(cast(Backend, Nowhere()), kit, Tenants({}), command)
    assert isinstance(one.message, CensusTaken)
    assert list(one.message.holdings) == both
    assert networks.asked == 1
