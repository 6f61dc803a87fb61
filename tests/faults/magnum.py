"""What Magnum and Keystone hold of clusters, also where one of them can't be shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.end_to_end.clusters.conftest import Magnum
from tests.faults.facts import Held
from tests.faults.plan import STACK_QUOTAS
from tests.faults.works import NotSeen
from tests.support.octavia import credentials

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: What Magnum answers of a cluster without its groups of nodes, and of each list with such a one;
#: of one without its template it is 404, and that one's name.
SPOILED = 400
_NO_TEMPLATE = "ClusterTemplate"


def clusters(magnum: Magnum, names: Mapping[str, str]) -> Iterator[Held]:
    """Yield every cluster of the tenants.

    Args:
        magnum: Who is asked.
        names: {id: resource} of all that ever was, for where no list can be had.

    Raises:
        NotSeen: Magnum could not be asked.
    """
    for tenant in STACK_QUOTAS:
        asked = magnum.of(tenant)
        status, shown = _answered(asked, "/clusters/detail", 200, SPOILED)
        if status == SPOILED:
            yield from _one_by_one(asked, names)
            continue
        for one in magnum.ours(shown):
            whose = one["labels"].get("colobus_resource", "nobody")
            yield Held("cluster", one["uuid"], whose, None, one["status"])


def _one_by_one(asked: Any, names: Mapping[str, str]) -> Iterator[Held]:
    for uuid, name in names.items():
        if name.startswith("cluster-"):
            status, shown = _answered(asked, f"/clusters/{uuid}", 200, 404, SPOILED)
            if status != 404:
                said = shown["status"] if status == 200 else "not to be shown"
                yield Held("cluster", uuid, name, None, said)


def admissions(magnum: Magnum, names: Mapping[str, str]) -> Iterator[Held]:
    """Yield what lets clusters into their tenants' projects: all are of the user who asks."""
    tenant, *_ = STACK_QUOTAS
    for name in credentials(magnum.connection(tenant)):
        for uuid in UUID.findall(name):
            yield Held("credential", name, names.get(uuid, "nobody"), uuid)


def _answered(asked: Any, path: str, *statuses: int) -> tuple[int, Any]:
    """Return what Magnum answers, if its status is one of these; it is being restarted, if not."""
    answer = asked.get(path)
    status = answer.status_code
    if status == 404 and _NO_TEMPLATE in answer.text:
        status = SPOILED
    if status not in statuses:
        raise NotSeen(f"Magnum answers {status}")
    try:
        return status, answer.json() if status == 200 else None
    except ValueError as error:
        raise NotSeen(f"Magnum's answer can't be read: {error!r}") from error
