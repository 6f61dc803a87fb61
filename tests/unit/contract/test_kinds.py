"""What a user may say of a resource."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.contract.field_errors import field_errors
from shared.contract.kinds import (
    KINDS,
    AttachmentSpec,
    CreateVm,
    CreateVolume,
    ExtendLease,
    UpdateResource,
    VmSpec,
    VolumeSpec,
    demand_of,
    references_of,
)

ULID = "01jnf6y3z8k2w9q4t7b5r1c0ga"
VOLUME, SNAPSHOT = f"volume-{ULID}", f"snapshot-{ULID}"
IQN = "iqn.2026-03.org.example:ci-1"
LEAST = {"image": "debian-12", "flavor": "m1.small"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0 me@example.org"


def field(name: str, value: Any) -> Any:
    """A create body with this field."""
    return pytest.param({**LEAST, name: value}, id=f"{name}={str(value)[:40]!r}")


@pytest.mark.parametrize(
    "body",
    [
        LEAST,
        field("image", "Debian 12 (arm64) – täglich"),
        field("name", "a"),
        field("name", "build-7.x_y"),
        field("labels", {"ci/job": "", "a": "x" * 255}),
        field("ssh_keys", [KEY, "ecdsa-sha2-nistp256 AAAA"]),
        field("user_data", "#cloud-config\n"),
        field("lease", {"ttl": 1}),
        field("deadline", 86400),
        field("floating_ip", True),
        field("network", None),
        field("arch", "aarch64"),
    ],
)
def test_what_is_good_is_taken(body: dict[str, Any]) -> None:
    """The usual, and the edges of what is allowed."""
    assert msgspec.convert(body, CreateVm).image


@pytest.mark.parametrize(
    "body",
    [
        {"image": "x"},
        field("image", ""),
        field("image", "x" * 256),
        field("image", "a\nb"),
        field("image", 5),
        field("flavour", "m1.small"),
        field("name", "-a"),
        field("name", "a" * 64),
        field("name", "a\n"),
        field("labels", {"": "x"}),
        field("labels", {"a": "x" * 256}),
        field("labels", {"a": "\x00"}),
        field("labels", {"a": 5}),
        field("labels", {f"k{n}": "v" for n in range(65)}),
        field("ssh_keys", ["AAAA"]),
        field("ssh_keys", [KEY + "\nssh-rsa AAAA"]),
        field("ssh_keys", [KEY + "\x00"]),
        field("ssh_keys", [KEY] * 65),
        field("ssh_keys", KEY),
        field("user_data", ""),
        field("user_data", "x" * 49153),
        field("security_groups", ["g"] * 33),
        field("lease", {"ttl": 0}),
        field("lease", {"ttl": 30 * 86400 + 1}),
        field("lease", {}),
        field("deadline", 0),
        field("deadline", 1.5),
        field("floating_ip", "yes"),
        field("arch", "ARM 64"),
        field("callback_url", "x" * 2049),
    ],
)
def test_what_is_bad_is_refused(body: dict[str, Any]) -> None:
    """Unknown fields, wrong types, and what is too long, too many or unprintable."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, CreateVm)


def test_an_update_tells_no_labels_from_empty_labels() -> None:
    """Left out, labels stay; empty, they go."""
    assert msgspec.convert({}, UpdateResource).labels is None
    assert msgspec.convert({"labels": {}}, UpdateResource).labels == {}


def test_a_lease_is_extended_by_seconds() -> None:
    """And by nothing else."""
    assert msgspec.convert({"ttl": 60}, ExtendLease).ttl == 60
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"ttl": "1h"}, ExtendLease)


@pytest.mark.parametrize(
    ("spec", "demand"),
    [({}, {"vms": 1}), ({"floating_ip": True}, {"vms": 1, "floating_ips": 1})],
)
def test_a_vm_counts_against_its_quota(spec: dict[str, Any], demand: dict[str, int]) -> None:
    """One VM, and a floating IP where there is one."""
    assert demand_of("vm", spec) == demand


@pytest.mark.parametrize(
    ("spec", "pointers"),
    [
        ({"size_gib": 1}, []),
        ({"size_gib": 65536}, []),
        ({"image": "debian-12"}, []),
        ({"snapshot": SNAPSHOT}, []),
        ({"image": "debian-12", "size_gib": 20}, []),
        ({"snapshot": SNAPSHOT, "size_gib": 20, "image": None}, []),
        ({}, ["/size_gib", "/image", "/snapshot"]),
        ({"size_gib": None}, ["/size_gib", "/image", "/snapshot"]),
        ({"image": "debian-12", "snapshot": SNAPSHOT}, ["/image", "/snapshot"]),
        ({"image": "debian-12", "snapshot": SNAPSHOT, "size_gib": 0}, ["/size_gib"]),
        ({"size_gib": 0}, ["/size_gib"]),
        ({"size_gib": -1}, ["/size_gib"]),
        ({"size_gib": 65537}, ["/size_gib"]),
        ({"size_gib": 1.5}, ["/size_gib"]),
        ({"size_gib": "20"}, ["/size_gib"]),
        ({"size_gib": True}, ["/size_gib"]),
        ({"image": ""}, ["/image"]),
        ({"snapshot": VOLUME}, ["/snapshot"]),
        ({"snapshot": f"{SNAPSHOT}\n"}, ["/snapshot"]),
        ({"snapshot": SNAPSHOT.upper()}, ["/snapshot"]),
        ({"size": 20}, ["/size"]),
    ],
)
@pytest.mark.parametrize("struct", [VolumeSpec, CreateVolume])
def test_a_volume_is_blank_or_a_copy_of_one_thing(
    struct: Any, spec: dict[str, Any], pointers: list[str]
) -> None:
    """Every field that a rule is about is named, alike in a body and in a request on the bus."""
    assert [error.pointer for error in field_errors(spec, struct)] == pointers


@pytest.mark.parametrize(
    ("iqn", "good"),
    [
        (IQN, True),
        ("iqn.1993-08.org.debian:01:8f7c2a", True),
        ("iqn.2001-04.com.example", True),
        ("iqn.2001-04.com.example:" + "x" * 199, True),
        ("iqn.2001-04.com.example:" + "x" * 200, False),
        ("eui.02004567a425678d", True),
        ("eui.02004567a425678", False),
        ("naa.52004567ba64678d", True),
        ("naa.62004567ba64678d0123456789abcdef", True),
        ("naa.62004567ba64678d01", False),
        ("iqn.2001-13.com.example:a", False),
        ("iqn.2001-00.com.example:a", False),
        ("iqn.2001-4.com.example:a", False),
        ("iqn.2001-04.com.example:", False),
        ("IQN.2001-04.com.example:A", False),
        ("iqn.2001-04.com.example:a b", False),
        ("iqn.2001-04.com.example:a/b", False),
        ("iqn.2001-04.com.example:a;reboot", False),
        ("iqn.2001-04.com.example:a\n", False),
        ("iqn.2001-04.com.example:\u0131", False),
        ("host-1", False),
        ("", False),
        (5, False),
    ],
)
def test_an_initiator_has_a_name_of_iscsi(iqn: Any, good: bool) -> None:
    """RFC 3720 §3.2.6, in lower case: nothing that a gateway's command could misread."""
    faults = field_errors({"volume": VOLUME, "initiator_iqn": iqn}, AttachmentSpec)
    assert [error.pointer for error in faults] == ([] if good else ["/initiator_iqn"])


def test_an_attachment_names_both_its_ends() -> None:
    """Each that is missing, and whatever is no id of a volume."""
    assert [e.pointer for e in field_errors({}, AttachmentSpec)] == ["/volume"]
    for ends in ({}, {"initiator_iqn": IQN, "machine": VOLUME.replace("volume", "machine")}):
        faults = field_errors({"volume": VOLUME, **ends}, AttachmentSpec)
        assert [fault.pointer for fault in faults] == ["/initiator_iqn", "/machine"]
    spec = {"volume": SNAPSHOT, "initiator_iqn": IQN}
    assert [error.pointer for error in field_errors(spec, AttachmentSpec)] == ["/volume"]


def test_volumes_count_against_their_quota() -> None:
    """One, and its GiB where they are said."""
    assert demand_of("volume", {"size_gib": 20}) == {"volumes": 1, "volume_gib": 20}
    assert demand_of("volume", {"image": "debian-12"}) == {"volumes": 1}
    assert demand_of("attachment", {"volume": VOLUME}) == {"attachments": 1}
    assert demand_of("app", {"cluster": "cluster-1", "image": "nginx"}) == {"apps": 1}


def test_references_are_what_a_spec_says_of_them() -> None:
    """What is left out refers to nothing."""
    assert references_of("volume", {"size_gib": 1}) == {}
    assert references_of("volume", {"snapshot": SNAPSHOT}) == {"snapshot": SNAPSHOT}
    assert references_of("attachment", {"volume": VOLUME}) == {"volume": VOLUME}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_is_consistent(kind: Any) -> None:
    """Secrets and references are fields of its spec, its create body is its spec and more."""
    spec = set(kind.spec.__struct_fields__)
    assert {*kind.secrets, *kind.references} <= spec <= set(kind.create.__struct_fields__)
    assert set(kind.references.values()) <= KINDS.keys()
    assert KINDS[kind.name] is kind


def test_a_spec_with_no_secret_shows_itself_shortly() -> None:
    """Defaults are left out of answers."""
    assert msgspec.to_builtins(msgspec.convert(LEAST, VmSpec)) == LEAST
