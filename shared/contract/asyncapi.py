"""The AsyncAPI 3 document of the bus, made of `TOPOLOGY`, the messages and the table `CHANNELS`.

A channel is an exchange, its address the form of its routing keys; who receives is a queue of the
topology. Actions are Colobus' own: it receives requests and sends status.
Source: AsyncAPI 3.0.0, with the AMQP bindings 0.3.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from shared.contract import messages as m
from shared.contract import topology
from shared.contract.codec import CONTENT_TYPE, Envelope, type_of
from shared.contract.json_schemas import json_schemas
from shared.contract.messages import Message
from shared.contract.topology import TOPOLOGY

_DESCRIPTION = """\
Messages are CloudEvents 1.0 (structured JSON). Tenants' own users publish to `colobus.requests` and
bind queues of their own (`<user>.…`) to `colobus.status` and `colobus.events`, each confined to its
tenant; commands and queries are between the services."""
_REF = "#/components/schemas/{name}"
_PARAMETERS = {
    "tenant": "whose resource it is",
    "kind": "the resource's kind",
    "verb": "create, delete or another verb of the kind",
    "phase": "the phase that the resource is in",
    "event": "the message's name",
    "command": "the message's name",
    "query": "the message's name",
    "worker": "who carries it out",
    "owner": "who answers",
    "key": "the routing key under which the message was published first",
}


@dataclass(frozen=True)
class Channel:
    """What travels on an exchange, and the form of its routing keys (None: to a reply_to)."""

    address: str | None
    description: str
    messages: tuple[type[Message], ...]


_COMMANDS = (
    *(m.PrepareVmPort, m.ProvisionVm, m.AssociateFloatingIp, m.ReleaseFloatingIp),
    *(m.DeprovisionVm, m.ReleaseVmPort, m.ChangeVmPower, m.InspectVms),
    *(m.ProvisionVolume, m.DeprovisionVolume, m.TakeSnapshot, m.RemoveSnapshot),
    m.GrowVolume,
    *(m.AttachVolume, m.DetachVolume, m.InspectStorage),
    *(m.ProvisionConfigVolume, m.DeprovisionConfigVolume, m.ExportDisks, m.WithdrawDisks),
    *(m.ReserveNode, m.ReleaseNode, m.DeployMachine, m.UndeployMachine, m.ChangeMachinePower),
    m.InspectMachines,
    *(m.ProvisionCluster, m.DeprovisionCluster, m.ResizeCluster, m.InspectClusters),
    *(m.ProvisionApp, m.DeprovisionApp, m.ChangeApp, m.InspectApps),
    *(m.ProvisionStack, m.DeprovisionStack, m.ChangeStack, m.InspectStacks),
    *(m.TakeCensus, m.RemoveOrphan),
)
_EVENTS = (
    *(m.VmPortPrepared, m.VmBuildStarted, m.FloatingIpAssociated, m.FloatingIpReleased),
    *(m.VmDeletionStarted, m.VmDeprovisioned, m.VmPortReleased, m.VmPowerChangeStarted),
    *(m.VmObserved, m.VmInspectionFailed, m.CommandFailed, m.WebhookDisabled),
    *(m.VolumeProvisioned, m.VolumeDeprovisioned, m.SnapshotTaken, m.SnapshotRemoved),
    m.VolumeGrown,
    *(m.VolumeAttached, m.VolumeDetached, m.StorageObserved, m.StorageInspectionFailed),
    *(m.ConfigVolumeProvisioned, m.ConfigVolumeDeprovisioned, m.DisksExported, m.DisksWithdrawn),
    *(m.NodeReserved, m.NodeReleased, m.MachineDeployStarted, m.MachineUndeployStarted),
    *(m.MachineUndeployed, m.MachinePowerChangeStarted, m.MachineObserved),
    m.MachineInspectionFailed,
    *(m.StackCreateStarted, m.StackChangeStarted, m.StackDeletionStarted, m.StackDeprovisioned),
    *(m.StackObserved, m.StackInspectionFailed),
    *(m.ClusterCreateStarted, m.ClusterDeletionStarted, m.ClusterDeprovisioned),
    *(m.ClusterResizeStarted, m.ClusterObserved, m.ClusterInspectionFailed),
    *(m.AppApplied, m.AppChangeStarted, m.AppDeletionStarted, m.AppDeprovisioned),
    *(m.AppObserved, m.AppInspectionFailed),
    *(m.CensusTaken, m.NodeInventoryTaken, m.OrphanRemoved, m.CloudNotificationsChanged),
)
_QUERIES = (
    *(m.GetQuota, m.GetCapacity, m.GetVmCatalog, m.CreateWebhook, m.ListWebhooks, m.GetWebhook),
    *(m.DeleteWebhook, m.RotateWebhookSecret, m.GetCallbackSecret, m.ListWebhookDeliveries),
    *(m.RedeliverWebhook, m.GetStorageCatalog, m.GetAttachmentCredentials, m.GetKubeconfig),
)
_ANSWERS = (
    *(m.QuotaReported, m.CapacityReported, m.VmCatalogReported, m.Webhook, m.WebhooksListed),
    *(m.WebhookDeleted, m.CallbackSecretIssued, m.WebhookDeliveriesListed),
    *(m.WebhookRedeliveryQueued, m.StorageCatalogReported, m.AttachmentCredentialsIssued),
    *(m.KubeconfigIssued, m.QueryFailed),
)
#: Beside the exchanges of the topology, the two kinds of replies.
REPLIES, ANSWERS = "replies", "answers"
CHANNELS: dict[str, Channel] = {
    topology.REQUESTS: Channel(
        "{tenant}.{kind}.{verb}", "What somebody asks for", (m.RequestSubmitted,)
    ),
    REPLIES: Channel(
        None, "What became of a request, to its reply_to", (m.RequestAccepted, m.RequestRefused)
    ),
    topology.STATUS: Channel(
        "{tenant}.{kind}.{phase}", "Each revision of each resource", (m.ResourceStatusChanged,)
    ),
    topology.EVENTS: Channel("{tenant}.{kind}.{event}", "What workers did and saw", _EVENTS),
    topology.COMMANDS: Channel("{worker}.{command}", "What a worker is to do", _COMMANDS),
    topology.QUERIES: Channel("{owner}.{query}", "What the front door asks", _QUERIES),
    ANSWERS: Channel(None, "Answers to queries, to their reply_to", _ANSWERS),
    topology.DEAD_LETTERS: Channel("{key}", "What was given up, of any kind, with the reason", ()),
}
_REPLIED = {topology.REQUESTS: REPLIES, topology.QUERIES: ANSWERS}


def asyncapi_document(version: str) -> dict[str, Any]:
    """Return the document."""
    used = {message for channel in CHANNELS.values() for message in channel.messages}
    named = sorted(used, key=lambda message: message.__name__)
    schemas = json_schemas([Envelope, *named], _REF)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Colobus", "version": version, "description": _DESCRIPTION},
        "defaultContentType": CONTENT_TYPE,
        "channels": {name: _channel(name, channel) for name, channel in CHANNELS.items()},
        "operations": {**_sending(), **_receiving()},
        "components": {
            "messages": {message.__name__: _message(message) for message in named},
            "schemas": schemas,
        },
    }


def _channel(name: str, channel: Channel) -> dict[str, Any]:
    messages = [message.__name__ for message in channel.messages]
    made: dict[str, Any] = {
        "address": channel.address,
        "description": channel.description,
        "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in messages},
    }
    if channel.address is not None:
        words = re.findall(r"{(\w+)}", channel.address)
        made["parameters"] = {word: {"description": _PARAMETERS[word]} for word in words}
        types = {exchange.name: exchange.type for exchange in TOPOLOGY.exchanges}
        exchange = {"name": name, "type": types[name], "durable": True, "autoDelete": False}
        made["bindings"] = {
            "amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": "0.3.0"}
        }
    return made


def _sending() -> dict[str, Any]:
    """Every channel but that of requests has its sender among the services."""
    return {
        f"send-{name}": {"action": "send", "channel": _to(name), "summary": channel.description}
        for name, channel in CHANNELS.items()
        if name != topology.REQUESTS
    }


def _receiving() -> dict[str, Any]:
    """One operation for each queue and what is bound to it."""
    made: dict[str, Any] = {}
    queues = {queue.name: queue.bindings for queue in TOPOLOGY.work_queues}
    queues |= {queue.name: queue.bindings for queue in TOPOLOGY.query_queues}
    for queue, bindings in queues.items():
        for binding in bindings:
            if binding.exchange not in CHANNELS:
                continue  # the same messages by another way, past tenants' queues
            operation: dict[str, Any] = {
                "action": "receive",
                "channel": _to(binding.exchange),
                "summary": f"The queue {queue}, bound by {binding.key}",
            }
            if binding.exchange in _REPLIED:
                operation["reply"] = {
                    "address": {"location": "$message.header#/replyTo"},
                    "channel": _to(_REPLIED[binding.exchange]),
                }
            made[f"receive-{queue}"] = operation
    return made


def _message(message: type[Message]) -> dict[str, Any]:
    data = {"$ref": _REF.format(name=message.__name__)}
    own = {"type": {"const": type_of(message)}, "data": data}
    envelope = {"$ref": _REF.format(name=Envelope.__name__)}
    return {
        "name": message.__name__,
        "title": message.__name__,
        "summary": (message.__doc__ or "").partition("\n")[0],
        "contentType": CONTENT_TYPE,
        "payload": {
            "allOf": [envelope, {"type": "object", "properties": own, "required": ["data"]}]
        },
    }


def _to(channel: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{channel}"}
