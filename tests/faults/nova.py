"""What Nova itself remembers of the VMs' servers: read from its database, for its API forgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from devcloud.site import Site
from tests.faults.facts import Instance
from tests.faults.rows import plain, rows

#: One row per instance, deleted or not, in either cell: who has it, whether it was ever launched,
#: and Nova's fault (those of a host that gave it on to the next one aside). A server that no host
#: was found for is in cell 0.
_INSTANCES = f"""
    SELECT i.display_name, i.launched_at IS NOT NULL, i.vm_state = 'error', COALESCE(
        (SELECT {plain("f.message")} FROM {{cell}}.instance_faults f
         WHERE f.instance_uuid = i.uuid AND f.message NOT LIKE '%re-scheduled%'
         ORDER BY f.id DESC LIMIT 1), '')
    FROM {{cell}}.instances i WHERE i.display_name IN ({{names}})"""
_CELLS = ("nova", "nova_cell0")
#: Accepted, and lost before any cell got it: such a server is in BUILD for ever.
_UNMAPPED = """
    SELECT instance_uuid FROM nova_api.instance_mappings
    WHERE cell_id IS NULL AND instance_uuid IN ({uuids})"""


def instances(site: Site, ids: Iterable[str], servers: Mapping[str, str]) -> Iterator[Instance]:
    """Yield every instance that Nova ever had of these VMs.

    Args:
        site: Where its database is.
        ids: The VMs, after which their servers are called.
        servers: {server id: VM} that were told of, for those that Nova lost before they were
            anywhere.
    """
    names = _listed(ids)
    for cell in _CELLS if names else ():
        for row in rows(site, _INSTANCES.format(cell=cell, names=names)):
            name, launched, in_error, fault = row
            said = fault or ("Nova gives no reason." if in_error == "1" else None)
            yield Instance(name, launched=launched == "1", fault=said)
    if uuids := _listed(servers):
        for (uuid,) in rows(site, _UNMAPPED.format(uuids=uuids)):
            yield Instance(servers[uuid], launched=False)


def servers_made(site: Site, ids: Iterable[str]) -> Counter[str]:
    """Return how many servers Nova ever had of each of these VMs."""
    return Counter(one.resource_id for one in instances(site, ids, {}))


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)
