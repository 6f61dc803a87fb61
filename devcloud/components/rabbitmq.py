"""Colobus' own broker."""

from __future__ import annotations

import base64
from typing import ClassVar

from devcloud.broker import Broker
from devcloud.component import answers_http
from devcloud.ini import Value
from devcloud.ports import HOST


class RabbitMQ(Broker):
    """RabbitMQ with its management API, the virtual host `colobus` and one administrator.

    The administrator is what Colobus' admin step needs to declare topology and users.
    """

    name = "rabbitmq"
    main_port = "rabbitmq"
    plugins: ClassVar[tuple[str, ...]] = ("rabbitmq_management",)
    vhost: ClassVar[str] = "colobus"
    user: ClassVar[str] = "colobus-admin"

    def options(self) -> dict[str, Value]:
        """Put the management API on loopback too."""
        return {
            "management.tcp.ip": HOST,
            "management.tcp.port": self.site.ports["rabbitmq-management"],
        }

    def ready(self) -> bool:
        """Tell whether both AMQP and the management API serve the administrator."""
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        header = {"Authorization": f"Basic {token}"}
        management = self.site.ports["rabbitmq-management"]
        return super().ready() and answers_http(management, f"/api/vhosts/{self.vhost}", header)
