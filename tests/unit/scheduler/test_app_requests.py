"""Requests for apps on the bus: each bad field is named, and nothing secret passes."""

from __future__ import annotations

from typing import Any

import pytest

from services.scheduler.request_faults import minted_faults, own_faults
from shared.runtime.secrets import SealingKey, seal

ULID = "01jnf6y3z8k2w9q4t7b5r1c0ga"
CLUSTER = {"cluster": f"cluster-{ULID}"}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
ELSEWHERE = {**CONFIG, "metadata": {"name": "a", "namespace": "kube-system"}}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}}
BOX = seal(SealingKey.generate().public_key, b"[]")


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({**CLUSTER, "image": "nginx", "port": 80}, []),
        ({**CLUSTER, "manifests": [CONFIG], "sealed_secret_manifests": BOX}, []),
        ({"image": "nginx"}, ["cluster"]),
        ({"cluster": f"volume-{ULID}", "image": "nginx"}, ["cluster"]),
        (CLUSTER, ["manifests", "image"]),
        ({**CLUSTER, "image": "nginx", "manifests": []}, ["manifests", "image"]),
        ({**CLUSTER, "manifests": [], "replicas": 2}, ["image", "port", "replicas", "host"]),
        ({**CLUSTER, "image": "nginx", "host": "web.example.org"}, ["port", "host"]),
        ({**CLUSTER, "image": "nginx", "port": 80, "host": "Web/.."}, ["host"]),
        ({**CLUSTER, "image": "-v"}, ["image"]),
        ({**CLUSTER, "manifests": [CONFIG, ELSEWHERE]}, ["manifests/1/metadata/namespace"]),
        ({**CLUSTER, "manifests": "kind: ConfigMap"}, ["manifests"]),
        ({**CLUSTER, "manifests": [CONFIG, SECRET]}, ["manifests/1"]),
        ({**CLUSTER, "manifests": [], "secret_manifests": [SECRET]}, ["secret_manifests"]),
    ],
)
def test_each_bad_field_of_an_app_is_named(spec: dict[str, Any], fields: list[str]) -> None:
    """By its pointer into the event; YAML is read, and Secrets are sealed, by who publishes."""
    faults = own_faults({"verb": "create", "kind": "app", "spec": spec})
    assert sorted(fault.pointer or "" for fault in faults) == sorted(
        f"/data/spec/{field}" for field in fields
    )


def test_where_the_operator_says_so_an_app_may_be_anywhere() -> None:
    """Whoever has asked for it."""
    spec = {**CLUSTER, "manifests": [ELSEWHERE]}
    asked = {"verb": "create", "kind": "app", "spec": spec}
    assert own_faults(asked, anywhere=True) == []
    minted = {**asked, "resource_id": f"app-{ULID}"}
    assert list(minted_faults(minted, anywhere=True)) == []
    assert [one.pointer for one in minted_faults(minted)] == [
        "/data/spec/manifests/0/metadata/namespace"
    ]


def test_a_change_is_looked_at_alike() -> None:
    """Its cluster it keeps."""
    change = {"verb": "update", "kind": "app", "resource_id": f"app-{ULID}"}
    for spec, fields in (
        ({"replicas": 0}, []),
        ({"manifests": [ELSEWHERE]}, ["manifests/0/metadata/namespace"]),
        (CLUSTER, ["cluster"]),
    ):
        faults = own_faults({**change, "spec": spec})
        assert [fault.pointer for fault in faults] == [f"/data/spec/{field}" for field in fields]
