"""A machine's second disk, as cloud-init and the kernel would read it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pycdlib
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.iscsi_worker.nocloud import config_disk

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJzGz me@home"
MACHINE = "machine-01jgz000000000000000000003"
MIB = 1 << 20


def files_of(disk: bytes, names: str) -> dict[str, str]:
    """All files, by their ``rr`` or ``joliet`` names."""
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(disk))
    found = {}
    for folder, _, files in iso.walk(**{f"{names}_path": "/"}):
        for name in files:
            content = io.BytesIO()
            iso.get_file_from_iso_fp(content, **{f"{names}_path": f"{folder}{name}"})
            found[name] = content.getvalue().decode()
    iso.close()
    return found


@pytest.mark.parametrize("names", ["rr", "joliet"])
def test_it_says_who_the_machine_is_and_what_to_do(names: str) -> None:
    """Under both sorts of names."""
    files = files_of(config_disk(MACHINE, "web-1", (KEY,), "#cloud-config\na: ż\n"), names)
    assert sorted(files) == ["meta-data", "user-data"]
    assert files["meta-data"] == f"instance-id: {MACHINE}\nlocal-hostname: web-1\n"
    assert files["user-data"].startswith("#cloud-config\n")
    assert yaml.safe_load(files["user-data"]) == {"a": "ż", "ssh_authorized_keys": [KEY]}


def test_nothing_to_say_is_an_empty_cloud_config() -> None:
    """Without a user-data file it would be no NoCloud disk."""
    assert files_of(config_disk(MACHINE, "a", (), None), "rr")["user-data"] == "#cloud-config\n"


def test_its_label_is_what_cloud_init_looks_for() -> None:
    """In the volume descriptors of both."""
    disk = config_disk(MACHINE, "a", (), None)
    assert disk[0x8001:0x8006] == disk[0x8801:0x8806] == b"CD001"
    assert disk[0x8028:0x8048].decode() == "cidata".ljust(32)
    assert disk[0x8828:0x8848].decode("utf-16-be") == "cidata".ljust(16)


@pytest.mark.parametrize(("length", "size"), [(0, MIB), (48 << 10, MIB), (MIB, 2 * MIB)])
def test_it_has_whole_mebibytes(length: int, size: int) -> None:
    """However much there is to say."""
    user_data = "x" * length
    disk = config_disk(MACHINE, "a", (), user_data)
    assert len(disk) == size
    assert files_of(disk, "rr")["user-data"] == (user_data or "#cloud-config\n")


@pytest.mark.parametrize("hostname", ["123", "1.5", "no", "null", "a_b", "A-1"])
def test_a_host_may_be_called_what_yaml_takes_for_something_else(hostname: str) -> None:
    """It stays a text."""
    meta_data = yaml.safe_load(
        files_of(config_disk(MACHINE, hostname, (), None), "rr")["meta-data"]
    )
    assert meta_data == {"instance-id": MACHINE, "local-hostname": hostname}


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Time zones can be changed."""
    with monkeypatch.context() as patched:
        yield patched
    time.tzset()


def test_it_is_the_same_at_any_time_and_in_any_time_zone(elsewhere: pytest.MonkeyPatch) -> None:
    """So what is found can be compared."""
    first = config_disk(MACHINE, "a", (KEY,), "#!/bin/sh\n")
    elsewhere.setattr(time, "time", lambda: 1234567890.5)
    elsewhere.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    assert config_disk(MACHINE, "a", (KEY,), "#!/bin/sh\n") == first


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5000))
def test_any_user_data_arrives_unchanged(user_data: str) -> None:
    """Byte by byte."""
    assert files_of(config_disk(MACHINE, "a", (), user_data), "joliet")["user-data"] == user_data
