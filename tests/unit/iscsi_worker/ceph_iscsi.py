"""rbd-target-api in small, to fail when it is told to: else it answers as the real one (3.5) does.

`test_recorded` holds it against what was recorded. Names that it doesn't know are Python's
`KeyError`, which the real one answers as 500.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import TestServer

LOGIN = encode_basic_auth("admin", "a-password")


class ScriptedApi:
    """``calls`` are the changes that were asked for; ``logged_in`` the clients that are.

    ``aliases`` are what they call themselves. ``answers`` are (status, message) that the next
    calls get, whatever they are. The change whose number is ``broken_at`` (from 0) is answered
    with ``broken``; ``late``: it was carried out all the same. The first of ``hosts`` is who
    answers: {name: address}.
    """

    def __init__(self) -> None:
        self.targets: dict[str, Any] = {}
        self.disks: dict[str, Any] = {}
        self.calls: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.logged_in: set[str] = set()
        self.aliases: dict[str, str] = {}
        self.answers: list[tuple[int, str]] = []
        self.images: set[str] = set()
        self.broken_at: int | None = None
        self.broken = (503, "failed, gateway(s) unavailable:gw2")
        self.late = False
        self.hosts = {"gw1": "10.0.0.1", "gw2": "fd00::2"}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        if request.headers.get("Authorization") != LOGIN:
            return _message(401, "Missing credentials")
        form = {name: str(value) for name, value in (await request.post()).items()}
        what, *names = request.match_info["path"].split("/")
        if request.method != "GET":
            self.calls.append(f"{request.method} {request.match_info['path']}")
            self.forms.append(form)
        if self.answers:
            return _message(*self.answers.pop(0))
        breaks = request.method != "GET" and len(self.calls) - 1 == self.broken_at
        try:
            answer = None
            if not breaks or self.late:
                answer = self._carry_out(request.method, what, names, form)
            return _message(*self.broken) if breaks or answer is None else answer
        except KeyError as error:
            return _message(500, f"Unhandled exception: {error}")
        except _Failed as error:
            return _message(500, str(error))

    def _carry_out(
        self, method: str, what: str, names: list[str], form: dict[str, str]
    ) -> web.Response:
        if method == "GET":
            return self._show(what, names)
        act: Callable[..., str] = getattr(self, f"_{method.lower()}_{what}")
        refusal = act(*names, **form)
        return _message(400 if refusal else 200, refusal or "successful")

    @property
    def host(self) -> str:
        """Who answers."""
        return next(iter(self.hosts))

    def _show(self, what: str, names: list[str]) -> web.Response:
        if what == "config":
            return web.json_response({"targets": self.targets, "disks": self.disks})
        if what == "sysinfo":
            assert names == ["hostname"]
            return web.json_response({"data": self.host})
        assert what == "clientinfo"
        if names[0] not in self.targets:
            return _message(404, f"Target {names[0]} does not exist")
        if names[1] not in self.targets[names[0]]["clients"]:
            return _message(404, f"Client {names[1]} does not exist")
        state = {"LOGGED_IN": [self.host]} if names[1] in self.logged_in else {}
        addresses = ["10.0.0.9"] if state else []
        alias = self.aliases.get(names[1], "") if state else ""
        return web.json_response({"alias": alias, "state": state, "ip_address": addresses})

    def _put_target(self, iqn: str) -> str:
        if not iqn.startswith("iqn."):
            raise _Failed(f"Invalid iqn {iqn} - WWN not valid as: iqn")
        self.targets.setdefault(iqn, {"clients": {}, "disks": {}, "portals": {}})
        return ""

    def _delete_target(self, iqn: str) -> str:
        if iqn not in self.targets:
            raise _Failed(f"failed on {self.host}. Unhandled exception: {iqn!r}")
        del self.targets[iqn]
        return ""

    def _put_gateway(self, iqn: str, gateway: str, ip_address: str) -> str:
        portals = self.targets[iqn]["portals"]
        if gateway in portals:
            return "Gateway already exists in configuration"
        if gateway not in self.hosts:
            return f"Gateway '{gateway}' is not resolvable to an IP address"
        if ip_address != self.hosts[gateway]:
            valid = f"10.0.2.15,{self.hosts[gateway]}"
            where = f"IP address of {ip_address} is not available on {gateway}."
            return f"{where} Valid IPs are :{valid}"
        if not portals and gateway != self.host:  # not seen: by rbd-target-api's source
            raise _Failed(
                f"Gateway creation failed on {self.host}. Could not create target on gateway:"
                " gateway IP addresses provided do not match any ip on this host"
            )
        portals[gateway] = {"portal_ip_addresses": [ip_address]}
        return ""

    def _delete_gateway(self, iqn: str, gateway: str) -> str:
        del self.targets[iqn]["portals"][gateway]
        if not self.targets[iqn]["portals"]:
            self.targets[iqn] |= {"clients": {}, "disks": {}}
            self.logged_in.clear()
        return ""

    def _put_disk(
        self, pool: str, image: str, mode: str, create_image: str = "", size: str = ""
    ) -> str:
        disk = f"{pool}/{image}"
        if mode == "resize":
            wanted, known = int(size.removesuffix("G")), self.disks[disk]["gib"]
            if wanted <= known:
                told = f"({known}G/{known << 30})"
                return f"resize value must be larger than the current size {told}"
            self.disks[disk]["gib"] = wanted
            return ""
        assert (mode, create_image) == ("create", "false")
        if disk in self.disks:
            return "at least one rbd image(s) with that name/prefix is already defined"
        if disk not in self.images:
            return f"Image {disk} does not exist"
        self.disks[disk] = {"pool": pool, "image": image, "gib": 1}
        return ""

    def _delete_disk(self, pool: str, image: str, preserve_image: str = "") -> str:
        disk = f"{pool}/{image}"
        if disk not in self.disks:
            raise KeyError(disk)
        assert preserve_image == "true"
        for target in self.targets.values():
            users = [name for name, one in target["clients"].items() if disk in one["luns"]]
            if users:
                return f"Unable to delete {disk}. Allocated to: {','.join(users)}"
        owners = [iqn for iqn, target in self.targets.items() if disk in target["disks"]]
        if owners:
            return f"Unable to delete {disk}. Mapped to: {','.join(owners)}"
        del self.disks[disk]
        return ""

    def _put_targetlun(self, iqn: str, disk: str) -> str:
        if not self.targets[iqn]["portals"]:
            return "at least 1 gateways must exist before disk mapping operations are permitted"
        if disk not in self.disks:
            return f"Disk {disk} is not defined in the configuration"
        for other, target in self.targets.items():
            if disk in target["disks"]:
                return f"Disk {disk} cannot be used because it is already mapped on target {other}"
        self.targets[iqn]["disks"][disk] = {"lun_id": _free(self.targets[iqn]["disks"])}
        return ""

    def _delete_targetlun(self, iqn: str, disk: str) -> str:
        target = self.targets[iqn]
        if disk not in self.disks:
            return f"Disk {disk} is not defined in the configuration"
        for name, client in target["clients"].items():
            if disk in client["luns"]:
                return (
                    f"Delete target LUN mapping failed - failed on {self.host}. Failed to remove"
                    f" the LUN - Unable to delete {disk} - allocated to {name}"
                )
        del target["disks"][disk]
        return ""

    def _put_client(self, iqn: str, client: str) -> str:
        target = self.targets[iqn]
        if self.host not in target["portals"]:
            why = "because it is not defined within the gateways configuration"
            return f"{self.host} cannot be used to perform this operation {why}"
        if client in target["clients"]:
            return f"A client with the name '{client}' is already defined"
        target["clients"][client] = {"auth": {"username": ""}, "luns": {}}
        return ""

    def _delete_client(self, iqn: str, client: str) -> str:
        if client not in self.targets[iqn]["clients"]:
            return f"{client} is not defined yet - nothing to delete"
        if client in self.logged_in:
            return (
                f"Client '{client}' is logged in to {iqn}- unable to delete until it's logged out"
            )
        del self.targets[iqn]["clients"][client]
        return ""

    def _put_clientauth(self, iqn: str, client: str, username: str, password: str) -> str:
        assert 8 <= len(username) <= 64
        if len(password) < 12:
            return "Minimum length of password is 12 characters"
        assert len(password) <= 16
        auth = {"username": username, "password": password}
        self.targets[iqn]["clients"][client]["auth"] = auth
        return ""

    def _put_clientlun(self, iqn: str, client: str, disk: str) -> str:
        assert self.targets[iqn]["clients"][client]["auth"]["username"], "open to anybody"
        if disk not in self.targets[iqn]["disks"]:
            return "Invalid image list - it defines new disks that do not current exist"
        luns = self.targets[iqn]["clients"][client]["luns"]
        luns[disk] = {"lun_id": _free(luns)}
        return ""

    def _delete_clientlun(self, iqn: str, client: str, disk: str) -> str:
        if disk not in self.targets[iqn]["clients"][client]["luns"]:
            return "disk not mapped to client"
        del self.targets[iqn]["clients"][client]["luns"][disk]
        return ""


class _Failed(Exception):
    """Answered with 500."""


def _free(luns: dict[str, Any]) -> int:
    """The lowest number that no LUN has."""
    return min(set(range(256)) - {lun["lun_id"] for lun in luns.values()})


def _message(status: int, text: str) -> web.Response:
    return web.json_response({"message": text}, status=status)


@asynccontextmanager
async def scripted_api() -> AsyncIterator[tuple[ScriptedApi, str]]:
    """Serve one; yields it and its URL."""
    api, app = ScriptedApi(), web.Application()
    app.router.add_route("*", "/api/{path:.+}", api.answer)
    async with TestServer(app) as server:
        yield api, f"http://{server.host}:{server.port}"
