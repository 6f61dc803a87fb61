"""A hypervisor without machines, for nova-compute.

WHAT IS REPLACED: libvirt and QEMU. A server here is a line in a file: it takes part in scheduling,
claims its resources in Placement, has ports, power states, faults and notifications like any other,
but no guest runs. Everything around it (API, scheduler, conductor, compute manager) is Nova itself.

On top of Nova's own fake driver, which forgets everything at a restart and then can't start again,
this one keeps its servers on disk and its identity stable, and two extra specs of a flavor make it
slow or broken on purpose:

    devcloud:spawn_seconds = 30     the spawn takes that long (a delete meanwhile ends it)
    devcloud:spawn_fails = TEXT     the spawn fails with that text
"""

import json
import threading
import time
import uuid
from pathlib import Path

import nova.conf
from nova import exception, objects
from nova.compute import task_states
from nova.virt import fake, node
from oslo_config import cfg

CONF = nova.conf.CONF
CONF.register_opts([cfg.IntOpt("memory_mb", default=262144)], group="devcloud")
SPAWN_SECONDS = "devcloud:spawn_seconds"
SPAWN_FAILS = "devcloud:spawn_fails"
LOOK_EVERY = 0.5
"""Seconds between two looks at whether a server in the making is being deleted."""


class Hypervisor(fake.FakeDriver):
    """One host with room for many small servers."""

    vcpus, local_gb = 64, 4096

    def __init__(self, *args, **kwargs):
        """Be as large as the settings say."""
        self.memory_mb = CONF.devcloud.memory_mb
        super().__init__(*args, **kwargs)

    def init_host(self, host):
        """Take up the host's identity and the servers that it had."""
        super().init_host(host)
        self._file = Path(CONF.state_path) / "servers.json"
        self._saving = threading.Lock()
        if node.read_local_node_uuid() is None:
            node.write_local_node_uuid(self._node_uuid(host))
        if not self._file.exists():
            return
        for server, (name, state, flavor) in json.loads(self._file.read_text()).items():
            self.instances[server] = fake.FakeInstance(name, state, server)
            self.instances[server].flavor = flavor
            self.resources.claim(*flavor)

    def get_nodenames_by_uuid(self, refresh=False):
        """Return the host's one node."""
        return {self._node_uuid(name): name for name in self.get_available_nodes()}

    def get_available_resource(self, nodename):
        """Return the host's resources, under an identity that survives restarts."""
        return {**super().get_available_resource(nodename), "uuid": self._node_uuid(nodename)}

    def spawn(self, context, instance, *args, **kwargs):
        """Make a server; as slowly or as badly as its flavor says."""
        specs = instance.flavor.extra_specs or {}
        self._take_time(context, instance, float(specs.get(SPAWN_SECONDS, 0)))
        if SPAWN_FAILS in specs:
            raise exception.BuildAbortException(
                instance_uuid=instance.uuid, reason=specs[SPAWN_FAILS]
            )
        super().spawn(context, instance, *args, **kwargs)
        flavor = instance.flavor
        self.instances[instance.uuid].flavor = (flavor.vcpus, flavor.memory_mb, flavor.root_gb)
        self._save()

    def _take_time(self, context, instance, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(LOOK_EVERY, left))
            task = objects.Instance.get_by_uuid(context, instance.uuid).task_state
            if task == task_states.DELETING:
                raise exception.UnexpectedDeletingTaskStateError(
                    instance_uuid=instance.uuid,
                    expected={"task_state": [task_states.SPAWNING]},
                    actual={"task_state": task},
                )

    def _save(self):
        with self._saving:
            servers = {
                server: (i.name, i.state, getattr(i, "flavor", (0, 0, 0)))
                for server, i in list(self.instances.items())
            }
            partial = self._file.with_suffix(".partial")
            partial.write_text(json.dumps(servers))
            partial.replace(self._file)

    @staticmethod
    def _node_uuid(name):
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def _saving(name):
    """Return the fake driver's method of that name, followed by saving."""
    original = getattr(fake.FakeDriver, name)

    def method(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        self._save()
        return result

    method.__name__, method.__doc__ = name, original.__doc__
    return method


# Whatever changes which servers there are, or their power state.
for _name in (
    "destroy",
    "power_on",
    "power_off",
    "unrescue",
    "finish_migration",
    "finish_revert_migration",
    "confirm_migration",
):
    setattr(Hypervisor, _name, _saving(_name))
