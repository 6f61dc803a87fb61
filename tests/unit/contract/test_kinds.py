"""What a user may say of a resource."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.contract.kinds import KINDS, CreateVm, ExtendLease, UpdateResource, VmSpec, demand_of

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


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_is_consistent(kind: Any) -> None:
    """Its secrets are fields of its spec, its create body is its spec and more."""
    spec = set(kind.spec.__struct_fields__)
    assert set(kind.secrets) <= spec <= set(kind.create.__struct_fields__)
    assert KINDS[kind.name] is kind


def test_a_spec_with_no_secret_shows_itself_shortly() -> None:
    """Defaults are left out of answers."""
    assert msgspec.to_builtins(msgspec.convert(LEAST, VmSpec)) == LEAST
