"""OpenStack's broker: not Colobus', so that either can fail without the other."""

from __future__ import annotations

from typing import Any, ClassVar

from devcloud.broker import Broker


class CloudRabbitMQ(Broker):
    """RabbitMQ for OpenStack's calls and notifications."""

    name = "cloud-rabbitmq"
    main_port = "cloud-rabbitmq"
    user: ClassVar[str] = "openstack"
    schedulers: ClassVar[int] = 1

    def policies(self) -> list[dict[str, Any]]:
        """Bound the default notification queues, which publishers make and nobody drains."""
        bounds = {"max-length": 1000, "message-ttl": 600_000, "overflow": "drop-head"}
        return [
            {
                "name": "notifications",
                "vhost": self.vhost,
                "pattern": r"^(versioned_)?notifications\.",
                "apply-to": "queues",
                "priority": 0,
                "definition": bounds,
            }
        ]
