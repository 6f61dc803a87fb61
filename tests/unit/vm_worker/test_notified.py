"""Nova and Neutron tell in any order: what is known is said at once, what isn't is asked once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.vm_worker import notified
from services.vm_worker.cloud_objects import FloatingIp, Port, Server
from services.vm_worker.notifications import FloatingIpNotified, PortNotified, ServerNotified
from services.vm_worker.notified import Missing, Notified, Seen

NOW = datetime(2026, 1, 2, tzinfo=UTC)
UP = Port("p", "vm-1", "n", "02:00:00:00:00:01", "ACTIVE", device_id="s")
DOWN = replace(UP, status="DOWN")
FLOATING_IP = FloatingIp("f", "203.0.113.9", "p")


def server(status: str = "ACTIVE", id: str = "s", *, gone: bool = False) -> ServerNotified:
    return ServerNotified(
        id=f"n-{id}-{status}",
        at=NOW,
        project_id="x",
        resource_id="vm-1",
        server=Server(id, "n", status),
        port_ids=("p",),
        gone=gone,
    )


def port(port: Port = UP, *, gone: bool = False) -> PortNotified:
    return PortNotified(
        id="n-port", at=NOW, project_id="x", resource_id="vm-1", port=port, gone=gone
    )


def floating_ip(*, gone: bool = False) -> FloatingIpNotified:
    return FloatingIpNotified(
        id="n-ip",
        at=NOW,
        project_id="x",
        resource_id="vm-1",
        floating_ip=FLOATING_IP,
        gone=gone,
    )


def test_a_server_whose_port_is_known_to_be_up_is_proven_at_once() -> None:
    """Nothing has to be asked."""
    memory = Notified()
    assert memory.take(port()) is None
    assert memory.take(server()) == Seen(server(), server(), UP)


def test_a_port_that_comes_up_after_its_server_proves_it() -> None:
    """Nothing else happens then, so the port's own notification is what tells."""
    memory = Notified()
    assert memory.take(server()) == Missing(server())
    assert memory.take(port(DOWN)) is None
    assert memory.take(port()) == Seen(port(), server(), UP)
    assert memory.take(port()) is None, "said once"


def test_what_nobody_has_told_is_asked() -> None:
    """The answer is said, up or not, and remembered."""
    memory = Notified()
    assert memory.take(server()) == Missing(server())
    assert memory.answer(server(), DOWN) == Seen(server(), server(), DOWN)
    assert memory.take(port()) == Seen(port(), server(), UP)
    assert memory.take(server()) == Seen(server(), server(), UP)


def test_a_question_without_an_answer_leaves_the_server_unproven() -> None:
    """What Nova said is said, and the port may still come."""
    memory = Notified()
    memory.take(server())
    assert memory.answer(server(), None) == Seen(server(), server())
    assert memory.take(port()) == Seen(port(), server(), UP)


def test_the_port_of_another_server_proves_nothing() -> None:
    """An attempt's server that is long gone, or somebody else's."""
    memory = Notified()
    memory.take(port(replace(UP, device_id="another")))
    assert memory.take(server()) == Missing(server())


def test_a_port_of_another_project_proves_nothing() -> None:
    """Its owner may write any mark on it, and any server's id; whichever of the two comes first."""
    strange = replace(port(), project_id="y")
    memory = Notified()
    assert memory.take(strange) is None
    assert memory.take(server()) == Missing(server())
    assert memory.take(strange) is None, "nor after the server"
    assert memory.answer(server(), None) == Seen(server(), server())


def test_a_floating_ip_of_another_project_is_not_shown() -> None:
    """Its owner may write any mark on it, and any port's id."""
    memory = Notified()
    memory.take(port())
    memory.take(replace(floating_ip(), project_id="y"))
    assert memory.take(server()) == Seen(server(), server(), UP)


def test_another_project_takes_nothing_away() -> None:
    """What goes there under our marks, port, server or floating IP, was never ours."""
    memory = Notified()
    memory.take(floating_ip())
    memory.take(port())
    for end in (floating_ip(gone=True), port(gone=True), port(DOWN), server(gone=True)):
        memory.take(replace(end, project_id="y"))
    assert memory.take(server()) == Seen(server(), server(), UP, FLOATING_IP)


def test_a_server_of_another_project_leaves_ours_to_be_proven() -> None:
    """Under our VM's marks and even our server's id."""
    memory = Notified()
    memory.take(server())
    memory.take(replace(server("SHUTOFF"), project_id="y"))
    assert memory.take(port()) == Seen(port(), server(), UP)


@pytest.mark.parametrize("end", [port(gone=True), port(replace(DOWN, device_id=""))])
def test_a_port_that_left_proves_nothing_any_more(end: PortNotified) -> None:
    """It was unplugged or deleted."""
    memory = Notified()
    memory.take(port())
    memory.take(end)
    assert memory.take(server()) == Missing(server())


def test_a_server_in_error_is_asked_about() -> None:
    """Nova's own words for the fault are not in what it told."""
    missing = Notified().take(server("ERROR"))
    assert isinstance(missing, Missing)
    assert missing.failed


@pytest.mark.parametrize("told", [server("SHUTOFF"), server("DELETED", gone=True)])
def test_a_stopped_or_deleted_server_needs_no_proof(told: ServerNotified) -> None:
    """Nova's word is enough."""
    assert Notified().take(told) == Seen(told, told)


def test_a_server_that_went_is_not_proven_by_its_port_any_more() -> None:
    """The port's last news may come late."""
    memory = Notified()
    memory.take(server())
    memory.take(server("DELETED", gone=True))
    assert memory.take(port()) is None


def test_the_floating_ip_is_shown_while_it_is_on_the_port() -> None:
    """Told before or after the port; not any more once it is gone."""
    memory = Notified()
    memory.take(floating_ip())
    memory.take(port())
    assert memory.take(server()) == Seen(server(), server(), UP, FLOATING_IP)
    memory.take(floating_ip(gone=True))
    assert memory.take(server()) == Seen(server(), server(), UP)


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten: they are asked for again, that is all."""
    monkeypatch.setattr(notified, "SIZE", 2)
    memory = Notified()
    for number in range(3):
        vm = f"vm-{number}"
        memory.take(replace(port(replace(UP, device_id=vm)), resource_id=vm))
    first, last = (replace(server(id=vm), resource_id=vm) for vm in ("vm-0", "vm-2"))
    assert isinstance(memory.take(first), Missing)
    assert isinstance(memory.take(last), Seen)
