"""Nova's and Neutron's notifications gone wrong: the listener goes on, and says nothing wrong.

Recordings are changed in every way that Hypothesis thinks of and given to the listener with those
that are not, on the real broker; the cloud can't be asked, so that what is missing stays so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.vm_worker import questions
from services.vm_worker.backend import Backend
from shared.bus import Bus
from shared.contract.identifiers import is_id
from shared.contract.messages import VmObserved
from shared.runtime.errors import BackendUnavailable
from tests.integration.vm_worker.test_listener import LIFE, bus, listener, published
from tests.integration.vm_worker.test_listener import broker as broker
from tests.support.bus import Broker, until
from tests.support.mutation import Mutant, mutants
from tests.unit.vm_worker.test_notifications import MARKS, RECORDED, VM, body, changed

__all__ = ["broker", "bus"]  # fixtures
NAMES = sorted(path.stem for path in RECORDED.glob("*.json"))
#: So many notifications come at once.
BATCH = 30


def _inner(name: str) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(json.loads(body(name))["oslo.message"])
    return message


def _wrapped(inner: bytes) -> bytes:
    """As oslo.messaging sends it; what is no text goes as it is."""
    try:
        return json.dumps({"oslo.version": "2.0", "oslo.message": inner.decode()}).encode()
    except UnicodeDecodeError:
        return inner + MARKS.installation_id.encode()


def _told() -> st.SearchStrategy[bytes]:
    """Changed inside, where the facts are, or in the wrapping; many as they were recorded."""
    inside = mutants([_inner(name) for name in NAMES]).map(lambda one: _wrapped(one.body))
    outside = mutants([json.loads(body(name)) for name in NAMES]).map(_body)
    return inside | inside | outside | st.sampled_from(LIFE).map(body)


def _body(mutant: Mutant) -> bytes:
    return mutant.body


class Nowhere:
    """A cloud that can't be asked anything."""

    def project(self, *_: object) -> NoReturn:
        raise BackendUnavailable("The cloud is away.")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a fault to be written down that nobody will ever tell."""
    monkeypatch.setattr(questions, "_FAULT_PAUSES", (0.0,))


@settings(
    max_examples=max(4, settings().max_examples // 8),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(batches=st.lists(st.lists(_told(), min_size=5, max_size=BATCH), min_size=1, max_size=3))
async def test_whatever_is_told_only_what_is_true_is_passed_on(
    bus: Bus, broker: Broker, tmp_path: Path, impatient: None, batches: Sequence[Sequence[bytes]]
) -> None:
    """Of the tenant's own VMs, in messages that can be read; and a good one is taken as before."""
    listening = listener(bus, tmp_path, backend=cast(Backend, Nowhere()))
    with structlog.testing.capture_logs() as logs:
        for batch in batches:
            await listening.take(batch)
        await listening.take([body("instance.delete.end")])
        await until(lambda: not listening._questions._tasks)
        await listening.close()
    said = await published(broker)
    assert [one for one in logs if one["log_level"] in ("error", "critical")] == []
    for envelope, message in said:
        assert isinstance(message, VmObserved)
        assert (envelope.tenant, is_id(envelope.subject, "vm")) == ("bigtop", True)
    assert any(getattr(one, "gone", False) for about, one in said if about.subject == VM)


async def test_marks_that_name_no_vm_are_nobodys(bus: Bus, broker: Broker, tmp_path: Path) -> None:
    """Whoever may write in the tenant's project can write what no message of ours could carry."""
    listening = listener(bus, tmp_path, backend=cast(Backend, Nowhere()))
    for named in ("", "x\x00", "x" * 600, "vm-1", "volume-01m854mnysg500am2k8snckv1h"):
        metadata = {"colobus_installation": MARKS.installation_id, "colobus_resource": named}
        await listening.take([changed("instance.delete.end", metadata=metadata)])
    assert await published(broker) == []
    await listening.take([body("instance.delete.end")])
    assert [about.subject for about, _ in await published(broker)] == [VM]
