"""What the queues of an installation still hold, as the broker says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from services.admin.settings import AdminSettings
from shared.contract.topology import TOPOLOGY

#: How often the broker renews these figures, in seconds: a queue writes its own down every 5 s
#: (quorum_tick_interval, collect_statistics_interval). So a look that finds nothing says only that
#: nothing was there some seconds ago, and counts when one after this time finds nothing either.
RENEWED = 6
_ALL = (*(q.name for q in TOPOLOGY.work_queues), *(q.name for q in TOPOLOGY.delay_queues))
_DEAD = ("dead_letters", "scheduler.dead_commands")


async def queued(admin: AdminSettings, *, all_quiet: bool) -> dict[str, int]:
    """Return {"messages in <queue>": how many wait or are being worked on}.

    A passive declaration would be newer, but doesn't count what a consumer holds. While VMs live,
    inspections go back and forth; then only dead letters count.
    """
    broker = urlsplit(str.__str__(admin.admin_amqp_management_url))
    name = urlsplit(str.__str__(admin.admin_amqp_url[0])).path.removeprefix("/")
    base = f"http://{broker.hostname}:{broker.port}/api/queues/{name}"
    login = aiohttp.encode_basic_auth(broker.username or "", broker.password or "")
    async with (
        aiohttp.ClientSession(headers={"Authorization": login}, raise_for_status=True) as session,
        session.get(base) as answer,
    ):
        return counted(await answer.json(), all_quiet=all_quiet)


def counted(answer: Iterable[Mapping[str, Any]], *, all_quiet: bool) -> dict[str, int]:
    """Return what the broker's list of queues says of ours.

    A queue without figures (the broker has just started, or the queue's leader is gone) isn't
    known to be empty, and one that isn't listed isn't there.
    """
    queues = {queue["name"]: queue for queue in answer}
    found = {}
    for name in _ALL if all_quiet else _DEAD:
        if "messages" in queues.get(name, {}):
            found[f"messages in {name}"] = int(queues[name]["messages"])
        else:
            found[f"queue {name} of which the broker knows no figures"] = 1
    return found
