"""compose.yaml as it stands: one broker, one of each service."""

from __future__ import annotations

import json

import pytest

from colobus import Client, CreateVm
from tests.compose.composed import IMAGE, SERVICES, Composed
from tests.support.cloud import NOTHING, Cloud
from tests.support.waiting import waited
from tests.support.webhooks import receiving

#: The first test builds images and brings everything up.
pytestmark = pytest.mark.timeout(1800)
ALL = (*SERVICES, "broker", "database")


async def test_a_vm_is_made_told_of_and_removed(
    single: Composed, environment: dict[str, str]
) -> None:
    """POST, active, webhook, DELETE; the cloud's own lists agree at both ends."""
    cloud = Cloud(environment, single.name)
    async with (
        receiving() as receiver,
        Client(single.url(), token=single.token) as client,
    ):
        vm = await client.create_vm(
            CreateVm(
                image="debian-12",
                flavor="small",
                floating_ip=True,
                callback_url=single.hook(receiver),
            )
        )
        vm = await waited(client, vm.id)
        assert cloud.holds(vm.id).counts == (1, 1, 1)
        await receiver.until(lambda: "active" in [r.phase for r in receiver.at()], seconds=60)
        secret = await client.webhooks.callback_secret()
        assert all(received.is_signed_with(secret) for received in receiver.at())
        await client.delete(vm.id)
        await receiver.until(lambda: "deleted" in [r.phase for r in receiver.at()], seconds=240)
    assert cloud.holds(vm.id).counts == NOTHING


@pytest.mark.parametrize("service", ALL)
def test_a_container_is_confined(single: Composed, service: str) -> None:
    """Not root, no capability, no way to more of them, and nothing to write to but its own."""
    container = single.container(service)
    assert single.run_in(container, "id", "-u") != "0"
    status = single.run_in(container, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == 0
    assert int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    host = single.inspect(container)["HostConfig"]
    assert isinstance(host, dict)
    assert host["ReadonlyRootfs"]
    assert 0 < host["Memory"] <= 2**30
    assert host["RestartPolicy"]["Name"] == "unless-stopped"


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_sees_its_own_secrets_only(single: Composed, service: str) -> None:
    """As files; and none is in the environment, which `inspect` and /proc show."""
    shown = single.run_in(single.container(service), "ls", "/run/secrets").split()
    own = {path.name for path in (single.folder / service).iterdir()}
    assert set(shown) - {"tenants.yaml", "clouds.yaml", "notifications_urls"} == own
    text = json.dumps(single.inspect(single.container(service)))
    for secret in (single.folder / "credentials").iterdir():
        assert secret.read_text().strip() not in text, secret.name


def test_broker_and_database_are_reached_from_inside_only(single: Composed) -> None:
    """No port of theirs is published; the front door's is, on loopback."""
    published = {
        service: single.inspect(single.container(service))["NetworkSettings"] for service in ALL
    }
    bound = {
        service: [b["HostIp"] for entry in found["Ports"].values() for b in entry or ()]
        for service, found in published.items()
        if isinstance(found, dict)
    }
    assert bound == {service: [] for service in ALL} | {"front_door": ["127.0.0.1"]}
    inside = single.engine.docker(
        "network", "inspect", "--format", "{{.Internal}}", f"{single.name}_inside"
    )
    assert inside == "true"


def test_the_admin_step_can_be_repeated(single: Composed) -> None:
    """An upgrade runs it beside the living services; `check` finds nothing afterwards."""
    single.compose("run", "--rm", "admin", "services.admin", "install")
    assert single.compose("run", "--rm", "admin", "services.admin", "check") == ""


def test_the_image_is_small_and_says_what_it_is(single: Composed) -> None:
    """One image for all services; without compilers, package installers or tests in it.

    A third of it are Debian with Ceph's libraries, a seventh is Kubernetes' client.
    """
    (image,) = json.loads(single.engine.docker("image", "inspect", IMAGE))
    assert image["Size"] < 360 * 2**20
    assert image["Config"]["User"] == "10001:10001"
    assert image["Config"]["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    images = {single.inspect(single.container(service))["Image"] for service in SERVICES}
    assert images == {image["Id"]}
    found = single.run_in(
        single.container("scheduler"),
        *("python", "-c"),
        "import importlib.util as u; print([n for n in ('pip', 'pytest') if u.find_spec(n)])",
    )
    assert found == "[]"


def test_stopping_drains(single: Composed) -> None:
    """SIGTERM reaches the service behind the init process, and it ends well."""
    for service in SERVICES:
        container = single.container(service)
        single.engine.docker("stop", "--time", "40", container)
        state = single.inspect(container)["State"]
        assert isinstance(state, dict)
        said = single.engine.said("logs", "--tail", "50", container)
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False), f"{service}:\n{said}"
        single.start(container)
