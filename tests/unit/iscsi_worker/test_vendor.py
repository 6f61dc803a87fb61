"""Ceph's libraries come with the distribution: where they are missing, the operator is told."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.iscsi_worker.rbd_backend import vendor
from services.iscsi_worker.settings import IscsiWorkerSettings
from services.iscsi_worker.wiring import make_context
from shared.runtime.errors import ConfigurationError
from shared.runtime.settings import load


@pytest.fixture
def without_libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a machine that has neither of them."""
    vendor.cache_clear()
    monkeypatch.setitem(sys.modules, "rados", None)
    yield
    vendor.cache_clear()


def test_missing_libraries_are_named_with_their_packages(
    without_libraries: None, tmp_path: Path
) -> None:
    """At the start, not at the first command."""
    del without_libraries
    settings = load(
        IscsiWorkerSettings,
        {
            "COLOBUS_INSTALLATION_ID": "i1",
            "COLOBUS_AMQP_URLS": "amqp://unused",
            "COLOBUS_HTTP_PORT": "0",
            "COLOBUS_STORES_FILE": str(tmp_path / "stores.yaml"),
            "COLOBUS_CHAP_KEY": base64.b64encode(bytes(32)).decode(),
            "COLOBUS_SEALING_KEY_FILE": str(tmp_path / "sealing.key"),
        },
    )
    with pytest.raises(ConfigurationError, match=r"python3-rados and python3-rbd"):
        make_context(settings)
