"""``colobus volume``, ``snapshot``, ``attachment``: the commands of all kinds, and their own."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from colobus.cli.app import app
from colobus.cli.attachment import iscsiadm
from colobus.cli.views import VIEWS
from colobus.models import PLURALS, AttachmentCredentials, Phase
from tests.integration.client.conftest import Command
from tests.integration.client.scripted import (
    ULID,
    Scripted,
    event,
    problem,
    says,
    stored,
    streams,
)

VOLUME, SNAPSHOT, ATTACHMENT = (f"{kind}-{ULID}" for kind in ("volume", "snapshot", "attachment"))
MACHINE = f"machine-{ULID}"
IQN = "iqn.2026-03.org.example:ci-1"
TARGET = f"iqn.2026-03.org.colobus:{ATTACHMENT}"
CREDENTIALS = AttachmentCredentials(
    target_iqn=TARGET,
    lun=1,
    portals=("203.0.113.10:3260", "203.0.113.11:3260"),
    initiator_iqn=IQN,
    chap_username="colobus-1",
    chap_secret="s3cr3t chap",
)


def test_every_kind_has_its_group_and_its_columns() -> None:
    """A group bears the name of its kind, by which ``list`` knows what to ask for."""
    groups = {group.name for group in app.registered_groups}
    assert PLURALS.keys() == VIEWS.keys()
    assert PLURALS.keys() <= groups


@pytest.mark.parametrize(
    ("kind", "options", "spec"),
    [
        ("volume", ["--size-gib", "20"], {"size_gib": 20}),
        ("volume", ["--image", "debian-12"], {"image": "debian-12"}),
        (
            "volume",
            ["--snapshot", SNAPSHOT, "--size-gib", "9"],
            {"snapshot": SNAPSHOT, "size_gib": 9},
        ),
        ("snapshot", ["--volume", VOLUME], {"volume": VOLUME}),
        (
            "attachment",
            ["--volume", VOLUME, "--machine", MACHINE],
            {"volume": VOLUME, "machine": MACHINE},
        ),
        (
            "attachment",
            ["--volume", VOLUME, "--initiator-iqn", IQN],
            {"volume": VOLUME, "initiator_iqn": IQN},
        ),
    ],
)
async def test_create_sends_what_the_options_say(
    door: Scripted, run: Command, kind: str, options: list[str], spec: dict[str, Any]
) -> None:
    """Those of the kind, and those of all kinds."""
    door.on("POST", f"/v1/{kind}s", says(stored(kind, Phase.REQUESTED, spec), 202))
    more = ("--name", "data", "-l", "job=7", "--lease", "2h", "--deadline", "1m")
    key = ("--idempotency-key", "job-7")
    result = await run(kind, "create", *options, *more, *key, "-o", "name")
    assert (result.exit_code, result.stdout) == (0, f"{kind}-{ULID}\n")
    common = {"name": "data", "labels": {"job": "7"}, "lease": {"ttl": 7200}, "deadline": 60}
    assert json.loads(door.seen[0][3]) == {**spec, **common}
    assert door.headers("Idempotency-Key") == ["job-7"]


async def test_what_is_wrong_together_is_said_together(door: Scripted, run: Command) -> None:
    """The rule's own words; nothing is sent."""
    result = await run("volume", "create", "--image", "a", "--snapshot", SNAPSHOT)
    assert (result.exit_code, door.seen) == (2, [])
    assert "either image or snapshot" in result.stderr


@pytest.mark.parametrize(
    ("kind", "spec", "shown"),
    [
        ("volume", {"image": "debian-12"}, ["20 GiB", "debian-12"]),
        ("snapshot", {"volume": VOLUME}, ["20 GiB", VOLUME]),
        ("attachment", {"volume": VOLUME, "initiator_iqn": IQN}, [VOLUME, IQN, TARGET]),
    ],
)
async def test_lists_and_single_ones_show_what_matters(
    door: Scripted, run: Command, kind: str, spec: dict[str, Any], shown: list[str]
) -> None:
    """Columns of the kind in a list; spec, store and outputs of one; JSON has it all."""
    outputs = {"target_iqn": TARGET} if kind == "attachment" else {"size_bytes": 20 * 2**30}
    resource = stored(kind, Phase.ACTIVE, spec, outputs=outputs)
    door.on("GET", f"/v1/{kind}s", says({"items": [resource]}))
    door.on("GET", f"/v1/{kind}s/{resource.id}", says(resource))
    table = (await run(kind, "list")).stdout
    assert all(word in table for word in (resource.id, "active", *shown))
    for command in ("get", "show"):
        one = (await run(kind, command, resource.id)).stdout
        assert all(word in one for word in (resource.id, "ceph", *map(str, outputs.values())))
    assert json.loads((await run(kind, "get", resource.id, "-o", "json")).stdout)["spec"] == spec


async def test_leases_and_labels_of_all_kinds_are_changed_alike(
    door: Scripted, run: Command
) -> None:
    """An id says which kind it is of."""
    volume = says(stored("volume", Phase.ACTIVE, {"size_gib": 20}), 202)
    door.on("POST", f"/v1/volumes/{VOLUME}/extend", volume)
    door.on("PATCH", f"/v1/volumes/{VOLUME}", volume)
    for arguments in (("extend", VOLUME, "2h"), ("label", VOLUME, "a=b")):
        assert (await run("volume", *arguments)).exit_code == 0
    assert [body for *_, body in door.seen] == [b'{"ttl":7200}', b'{"labels":{"a":"b"}}']


async def test_a_volume_is_resized(door: Scripted, run: Command) -> None:
    """In GiB."""
    door.on("PATCH", f"/v1/volumes/{VOLUME}", says(stored("volume", Phase.ACTIVE, {}), 202))
    assert (await run("volume", "resize", VOLUME, "40")).exit_code == 0
    assert [body for *_, body in door.seen] == [b'{"size_gib":40}']


async def test_an_attachment_is_deleted_gently_or_by_force(door: Scripted, run: Command) -> None:
    """And its end waited for."""
    spec = {"volume": VOLUME, "initiator_iqn": IQN}
    asked: list[str] = []

    async def deleted(request: Any) -> Any:
        asked.append(request.query_string)
        return await says(stored("attachment", Phase.DEPROVISIONING, spec), 202)(request)

    path = f"/v1/attachments/{ATTACHMENT}"
    gone = msgspec.structs.replace(stored("attachment", Phase.DELETED, spec), revision=4)
    door.on("DELETE", path, deleted)
    door.on("GET", path, says(stored("attachment", Phase.DEPROVISIONING, spec)))
    door.on("GET", f"{path}/events", streams(event(gone), breaks=False))
    assert (await run("attachment", "delete", ATTACHMENT)).exit_code == 0
    assert (await run("attachment", "delete", ATTACHMENT, "--force", "--wait")).exit_code == 0
    assert asked == ["", "force=true"]


async def test_credentials_come_with_the_commands_that_use_them(
    door: Scripted, run: Command
) -> None:
    """Results on standard output, the hint on standard error; programs get the fields alone."""
    door.on("GET", f"/v1/attachments/{ATTACHMENT}/credentials", says(CREDENTIALS))
    result = await run("attachment", "credentials", ATTACHMENT)
    assert result.exit_code == 0
    for words in (TARGET, "203.0.113.10:3260", "colobus-1", "s3cr3t chap", IQN):
        assert words in result.stdout
    assert "iscsiadm -m node" in result.stderr
    as_json = await run("attachment", "credentials", ATTACHMENT, "-o", "json")
    assert json.loads(as_json.stdout)["chap_secret"] == "s3cr3t chap"
    assert as_json.stderr == ""


def test_the_commands_log_in_and_out_again() -> None:
    """In the order in which they are run; what a shell would take apart is quoted."""
    node = f"iscsiadm -m node -T {TARGET} -p 203.0.113.10:3260"
    set_to = f"{node} -o update -n node.session.auth"
    assert iscsiadm(CREDENTIALS) == [
        f"{node} -o new",
        f"{set_to}.authmethod -v CHAP",
        f"{set_to}.username -v colobus-1",
        f"{set_to}.password -v 's3cr3t chap'",
        f"{node} --login",
        f"{node} --logout   # afterwards",
    ]


@pytest.mark.parametrize(("status", "code"), [(409, 1), (403, 4), (404, 3), (503, 5)])
async def test_refused_credentials_have_the_exit_codes_of_all(
    door: Scripted, run: Command, status: int, code: int
) -> None:
    """Scripts can tell what went wrong."""
    door.on("GET", f"/v1/attachments/{ATTACHMENT}/credentials", problem(status))
    assert (await run("attachment", "credentials", ATTACHMENT)).exit_code == code


async def test_the_catalog_shows_clouds_stores_and_their_problems(
    door: Scripted, run: Command
) -> None:
    """What can be had is on standard output, who could not be asked on standard error."""
    store = {"store": "ceph", "images": [{"name": "debian-12", "size_gib": 3}]}
    away = {"title": "Backend unavailable", "detail": "vm_worker does not answer at the moment."}
    offer: dict[str, Any] = {"clouds": [], "kinds": [], "sealing_public_keys": {}}
    door.on("GET", "/v1/catalog", says({**offer, "stores": [store], "problems": [away]}))
    result = await run("catalog")
    assert result.exit_code == 0
    assert all(word in result.stdout for word in ("ceph", "debian-12", "3"))
    assert "vm_worker does not answer" in result.stderr
    assert json.loads((await run("catalog", "-o", "json")).stdout)["stores"] == [store]
