"""compose.bus.yaml: a CI system comes in by the broker's port for TLS, and by nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.compose.composed import SERVICES, TENANT, Composed
from tests.support.cloud import NOTHING, Cloud
from tests.support.installation import ROOT
from tests.support.tls import NAME, Authority

#: The first test builds images and brings everything up.
pytestmark = pytest.mark.timeout(1800)
SCRIPT = ROOT / "docs" / "examples" / "request_vm.py"


def test_a_ci_system_gets_a_machine_by_the_recipes_script(
    published: Composed, environment: dict[str, str], authority: Authority
) -> None:
    """Over TLS, with a certificate that is verified; the machine is given back."""
    user = f"ci-{TENANT}"
    password = (published.folder / "credentials" / f"{user}.amqp").read_text().strip()
    port = published.published("broker", 5671).rpartition(":")[2]
    job = [sys.executable, "-c", "import os; print(os.environ['VM_ADDRESS'])"]
    done = subprocess.run(
        [sys.executable, "-P", SCRIPT, "--image", "debian-12", "--flavor", "small", "--", *job],
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "COLOBUS_AMQP_URL": f"amqps://{user}:{password}@{NAME}:{port}/colobus",
            "COLOBUS_TENANT": TENANT,
            "SSL_CERT_FILE": str(authority.file),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split()
    assert first == second
    assert Cloud(environment, published.name).holds().counts == NOTHING


def test_no_other_port_of_the_broker_is_published(published: Composed) -> None:
    """Neither the one without TLS nor that of its management."""
    settings = published.inspect(published.container("broker"))["NetworkSettings"]
    assert isinstance(settings, dict)
    bound = {
        port: [one["HostIp"] for one in found] for port, found in settings["Ports"].items() if found
    }
    assert bound == {"5671/tcp": ["127.0.0.1"]}


@pytest.mark.parametrize("service", [*SERVICES, "k8s_worker", "stack_worker"])
def test_each_service_that_wants_no_store_is_healthy(published: Composed, service: str) -> None:
    """Those of the profiles `clusters` and `stacks`, too: their settings and secrets are there."""
    state = published.inspect(published.container(service))["State"]
    assert isinstance(state, dict)
    assert state["Health"]["Status"] == "healthy"
