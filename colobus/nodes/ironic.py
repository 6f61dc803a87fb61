"""Ironic's door for operators: the only file of the client that imports OpenStack's libraries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from colobus.errors import (
    IronicForbids,
    IronicRefuses,
    IronicUnavailable,
    NoSuchNode,
    UnusableInput,
)

#: Where a node's ``extra`` says which machine it holds (baremetal_worker).
MARK = "colobus"
#: States in which a node is nobody's (Ironic, "Bare Metal State Machine").
IDLE = frozenset(
    ("enroll", "manageable", "available", "clean failed", "inspect failed", "adopt failed")
)
SECONDS = 60
_MISSING = (
    "OpenStack's library for Python is missing: install colobus with its extra `nodes` "
    "(in a checkout: pip install '.[nodes]')"
)
_SCOPE = "nodes belong to no project: its `auth` wants `system_scope: all` and no project"


@dataclass(frozen=True)
class KnownNode:
    """A node as Ironic has it. ``machine`` is the id of the machine that it holds."""

    name: str
    resource_class: str | None
    arch: str | None
    traits: tuple[str, ...]
    state: str
    power: str | None
    maintenance: bool
    reason: str | None
    machine: str | None
    allocated: bool

    @property
    def in_use(self) -> bool:
        """Tell whether somebody has it, or it isn't given back yet."""
        return self.machine is not None or self.allocated or self.state not in IDLE


@contextmanager
def connected(cloud: str) -> Iterator[Any]:
    """Connect to the Ironic of a cloud of clouds.yaml: openstacksdk's bare metal proxy.

    What goes wrong in the block, and is Ironic's or Keystone's, comes out as a `ColobusError`.
    """
    try:
        import openstack
        from openstack import exceptions as sdk
    except ImportError as error:
        raise UnusableInput(_MISSING) from error
    try:
        connection = openstack.connect(cloud=cloud, app_name="colobus", api_timeout=SECONDS)
    except sdk.ConfigException as error:
        raise UnusableInput(f"the cloud {cloud}: {error}") from error
    auth = connection.config.config.get("auth") or {}
    if not auth.get("system_scope") and (auth.get("project_name") or auth.get("project_id")):
        raise UnusableInput(f"the cloud {cloud}: {_SCOPE}")  # Ironic would show none, and no fault
    with connection, refusals():
        yield connection.baremetal


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what OpenStack's libraries raise in the block into a `ColobusError`."""
    from keystoneauth1 import exceptions as keystone
    from openstack import exceptions as sdk

    try:
        yield
    except sdk.HttpException as error:
        raise _answered(error) from error
    except keystone.ConnectFailure as error:
        raise IronicUnavailable(f"no answer: {error}") from error
    except keystone.HttpError as error:  # Keystone's own: Ironic's answers are the SDK's to read
        if error.http_status >= 500:
            raise IronicUnavailable(f"Keystone answered {error.http_status}: {error}") from error
        raise IronicForbids(f"Keystone refuses this user: {error}") from error
    except (sdk.SDKException, keystone.ClientException) as error:
        raise UnusableInput(f"no way to Ironic: {error}") from error


def _answered(error: Any) -> Exception:
    words = str(error.details or error.message)
    if error.status_code in (401, 403):
        return IronicForbids(f"Ironic refuses this user: {words}")
    if error.status_code in (502, 503, 504):
        return IronicUnavailable(f"Ironic answered {error.status_code}: {words}")
    return NoSuchNode(words) if error.status_code == 404 else IronicRefuses(words)


def known_nodes(ironic: Any) -> list[KnownNode]:
    """Return all nodes, by name."""
    return sorted((known(node) for node in ironic.nodes(details=True)), key=lambda node: node.name)


def known_node(ironic: Any, name: str) -> KnownNode:
    """Return one node; raises `NoSuchNode`."""
    with refusals():
        return known(ironic.get_node(name))


def set_maintenance(ironic: Any, name: str, reason: str | None) -> None:
    """Put a node in maintenance, for a reason that whoever waits for one is told; None ends it."""
    with refusals():
        if reason is None:
            ironic.unset_node_maintenance(name)
        else:
            ironic.set_node_maintenance(name, reason)


def remove_node(ironic: Any, name: str) -> None:
    """Make Ironic forget a node. Raises `NoSuchNode`, and `IronicRefuses` while it is in use."""
    node = known_node(ironic, name)
    if node.in_use:
        holds = f"holds {node.machine}" if node.machine else f"is {node.state}"
        holds += "" if node.machine or not node.allocated else ", and reserved"
        raise IronicRefuses(f"{name} is in use: it {holds}")
    with refusals():
        ironic.delete_node(name, ignore_missing=False)


def known(node: Any) -> KnownNode:
    """Read one of openstacksdk's nodes."""
    mark = (node.extra or {}).get(MARK)
    return KnownNode(
        name=node.name or node.id,
        resource_class=node.resource_class,
        arch=(node.properties or {}).get("cpu_arch"),
        traits=tuple(sorted(node.traits or ())),
        state=node.provision_state,
        power=node.power_state,
        maintenance=bool(node.is_maintenance),
        reason=node.maintenance_reason,
        machine=mark.get("resource") if isinstance(mark, dict) else None,
        allocated=bool(node.allocation_id or node.instance_id),
    )
