"""Manifests at the door: what is refused there, where its fault is, and where Secrets go."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from shared.contract import manifests

SECRET = "nobody-may-read-this"


#: Each line seven times as much as the one before.
LAUGHS = "a: &a [1,2,3,4,5,6,7]\n" + "\n".join(
    f"{line}: &{line} [{','.join([f'*{before}'] * 7)}]"
    for before, line in zip("abcdefgh", "bcdefghi", strict=True)
)


def thing(kind: str = "ConfigMap", name: str = "web", api: str = "v1", **more: Any) -> Any:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **more}


def named(**metadata: Any) -> Any:
    return {**thing(), "metadata": {"name": "web", **metadata}}


def secret(**more: Any) -> Any:
    return thing("Secret", "access", **more)


def places(*objects: Any) -> list[str | None]:
    return [one.pointer for one in manifests.faults({"manifests": list(objects)})]


@pytest.mark.parametrize(
    ("bad", "at"),
    [
        ("text", ""),
        ({7: "seven"}, ""),
        (thing(api="apps/v1/v2"), "/apiVersion"),
        (thing(api="../v1"), "/apiVersion"),
        (thing(api="V1"), "/apiVersion"),
        ({"kind": "Pod", "metadata": {"name": "web"}}, "/apiVersion"),
        (thing(kind="pods/exec"), "/kind"),
        (thing(kind="ConfigMapList"), "/kind"),
        (thing(kind="Namespace"), "/kind"),
        (thing(kind="ClusterRole", api="rbac.authorization.k8s.io/v1"), "/kind"),
        (thing(kind="CustomResourceDefinition", api="apiextensions.k8s.io/v1"), "/kind"),
        ({"apiVersion": "v1", "kind": "Pod"}, "/metadata"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "a-"}}, "/metadata/name"),
        (thing(name="../../kube-system/configmaps/a"), "/metadata/name"),
        (thing(name=".."), "/metadata/name"),
        (thing(name=manifests.INVENTORY), "/metadata/name"),
        (named(namespace="kube-system"), "/metadata/namespace"),
        (named(namespace=7), "/metadata/namespace"),
        (named(labels=["a"]), "/metadata/labels"),
        (named(uid="1b2c"), "/metadata/uid"),
        (named(resourceVersion="7"), "/metadata/resourceVersion"),
        (named(managedFields=[]), "/metadata/managedFields"),
        (thing("Secret", api="core/v1", stringData={"key": SECRET}), "/kind"),
        (thing("Secret", api="apps/v1", stringData={"key": SECRET}), "/kind"),
        (thing("Secrets", stringData={"key": SECRET}), "/kind"),
        (secret(data={"key": SECRET}), "/data"),
        (secret(data={"key": 7}), "/data"),
        (secret(data=SECRET), "/data"),
        (secret(stringData={"key": 7}), "/stringData"),
    ],
)
def test_a_bad_field_is_named_where_it_is(bad: Any, at: str) -> None:
    """Behind a good one, so that it is clear which of them it is; no Secret is quoted."""
    found = manifests.faults({"manifests": [thing(name="good"), bad]})
    assert [one.pointer for one in found][:1] == [f"/manifests/1{at}"]
    assert SECRET not in str(found)


@pytest.mark.parametrize(
    ("one", "at"),
    [
        (named(namespace="kube-system"), None),
        (thing(kind="ClusterRole", api="rbac.authorization.k8s.io/v1"), None),
        (thing(kind="Namespace", name="shop"), None),
        (thing(kind="Namespace", name="app-01jz0000000000000000000000"), "/metadata/name"),
        (named(namespace="app-01jz0000000000000000000000"), "/metadata/namespace"),
        (named(namespace="../pods"), "/metadata/namespace"),
        (named(namespace=7), "/metadata/namespace"),
    ],
)
def test_where_the_operator_says_so_an_app_may_be_anywhere(one: Any, at: str | None) -> None:
    """But in no other app's namespace."""
    found = manifests.faults({"manifests": [thing(name="web"), one]}, anywhere=True)
    assert [fault.pointer for fault in found] == ([] if at is None else [f"/manifests/1{at}"])


def test_good_ones_are_good_whatever_their_kind() -> None:
    """What the cluster knows is the cluster's to say, and so is what a kind of another's is."""
    assert (
        places(
            thing("Deployment", api="apps/v1"),
            thing("Widget", api="example.org/v1beta1"),
            thing("Node", api="example.org/v1"),
            thing("Role", "system:reader", "rbac.authorization.k8s.io/v1"),
            secret(data={"key": base64.b64encode(SECRET.encode()).decode(), "none": None}),
        )
        == []
    )


def test_two_of_one_name_are_told_apart_by_their_kind_alone() -> None:
    """The second of a kind is the fault."""
    assert places(thing(), thing("Service"), thing()) == ["/manifests/2/metadata/name"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("networking.k8s.io/v1", "networking.k8s.io/v1beta1"),
        ("networking.k8s.io/v1", "extensions/v1beta1"),
    ],
)
def test_two_versions_of_one_object_are_one(one: str, other: str) -> None:
    """A group that has moved, too."""
    assert places(thing("Ingress", api=one), thing("Ingress", api=other)) == [
        "/manifests/1/metadata/name"
    ]


def test_of_a_text_the_words_say_which_field_it_is() -> None:
    """No pointer leads into a text; documents count as they are read, without empty ones."""
    text = (
        "---\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: default}\n"
    )
    (fault,) = manifests.faults({"manifests": text})
    assert fault.pointer == "/manifests"
    assert fault.detail.startswith("manifests[1].metadata.namespace: ")


@pytest.mark.parametrize(
    "text",
    [
        f"data: {{key: [{SECRET}",
        "a: &a [1,2]\nb: *c",
        "!!python/object/apply:os.system ['id']",
        "[" * 5000 + "]" * 5000,
        "a: &a [1,2,3,4,5,6,7,8,9]\n"
        + "\n".join(
            f"{n}: &{n} [*{p},*{p},*{p},*{p},*{p},*{p},*{p}]"
            for p, n in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "---\na: 1\n" * 102,
        "a: !!binary aGk=",
        f"a: !{SECRET}",
        "~: 1",
        "data: {~: x}",
        "data: {80: x}",
    ],
)
def test_a_text_that_can_not_be_read_is_a_fault_and_no_flood(text: str) -> None:
    """Told without what it says, which may be a Secret."""
    found = manifests.faults({"manifests": text})
    assert [one.pointer for one in found] == ["/manifests"]
    assert SECRET not in str(found)


def test_there_is_a_bound_of_them_and_of_their_size() -> None:
    """Of manifests and Secrets together."""
    many = [thing(name=f"a{number}") for number in range(60)]
    secrets = [thing("Secret", f"b{number}") for number in range(60)]
    assert manifests.faults({"manifests": many}) == []
    (fault,) = manifests.faults({"manifests": many, "secret_manifests": secrets})
    assert "120 objects" in fault.detail
    assert "/manifests" in places(thing(data={"a": "x" * 300_000}))


def test_secrets_are_taken_apart_from_what_is_shown() -> None:
    """Whether they came as a text or as objects; nothing else is changed."""
    text = "kind: Secret\napiVersion: v1\nmetadata: {name: a}\n---\n" + (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {since: 2020-01-01}\n"
    )
    spec = {"cluster": "c", "manifests": text, "secret_manifests": [secret()]}
    prepared = manifests.prepared(spec)
    config = {**thing(name="b"), "data": {"since": "2020-01-01"}}
    assert prepared == {
        "cluster": "c",
        "manifests": [config],
        "secret_manifests": [thing("Secret", "a"), secret()],
    }
    assert manifests.prepared({"manifests": [config]}) == {"manifests": [config]}
    assert manifests.prepared({"image": "nginx"}) == {"image": "nginx"}


def test_among_secrets_there_is_nothing_else() -> None:
    """What is sealed is not looked at again."""
    found = manifests.faults({"secret_manifests": [secret(), thing()]})
    assert [one.pointer for one in found] == ["/secret_manifests/1/kind"]


def test_by_the_bus_there_are_no_texts_and_no_secrets_in_the_clear() -> None:
    """Who publishes seals them."""
    assert manifests.unprepared({"manifests": [thing()], "image": None}) == []
    assert [one.pointer for one in manifests.unprepared({"manifests": "a: 1"})] == ["/manifests"]
    found = manifests.unprepared({"manifests": [thing(), secret(), thing("Secret", api="a/v1")]})
    assert [one.pointer for one in found] == ["/manifests/1", "/manifests/2"]


@pytest.mark.parametrize("given", [None, 7, {"a": 1}, [None], [[]], ["a"], True])
def test_what_is_of_another_type_breaks_nothing(given: Any) -> None:
    """Its type is told elsewhere."""
    assert isinstance(manifests.faults({"manifests": given, "secret_manifests": given}), list)
