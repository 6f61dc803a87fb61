"""Heat, and Nova for the servers of stacks: one method per call.

Source: Orchestration API v1. Its calls are made raw: what the SDK's
own objects add are a second request after each create and answers without their tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from services.stack_worker.backend import Declared, NewStack, Part, PartEvent, Stack, Template
from shared.contract.problems import Reason
from shared.openstack.calls import Calls
from shared.openstack.connections import answer_of, check, raw
from shared.worker.errors import NotFound, Refused, RefusedForNow

T = TypeVar("T")
HEAT = "orchestration"
#: So many servers are asked for one by one.
_FEW = 3
#: How deep nested stacks are looked into.
_DEPTH = 5
#: As many events as Heat keeps of a stack, unless its operator says otherwise.
_MOST_EVENTS = 1000
#: Heat's own quota, which it answers with a plain 400.
_TOO_MANY = re.compile(r"reached the maximum stacks per tenant", re.IGNORECASE)
#: Heat goes on showing what was deleted, by its id.
_DELETED = "DELETE_COMPLETE"


@dataclass(frozen=True)
class HeatProject:
    """`services.stack_worker.backend.Project` on openstacksdk."""

    cloud: str
    tenant: str
    calls: Calls

    async def declared(self, template: Template) -> Declared:
        """POST /validate."""
        shown = await self._post("/validate", {"template": template})
        parameters: dict[str, Any] = shown.get("Parameters") or {}
        hidden = (name for name, one in parameters.items() if str(one.get("NoEcho")) == "true")
        return Declared(frozenset(parameters), frozenset(hidden))

    async def create_stack(self, new: NewStack) -> str:
        """POST /stacks: Heat looks at the whole of it before it answers."""
        body: dict[str, Any] = {
            "stack_name": new.name,
            "template": new.template,
            "parameters": dict(new.parameters),
            "tags": ",".join(new.tags),
            # What failed stays, with its reason, until we delete it.
            "disable_rollback": True,
        }
        if new.timeout is not None:
            body["timeout_mins"] = new.timeout
        made = await self._post("/stacks", body, new.masked)
        return str(made["stack"]["id"])

    async def change_stack(self, stack: Stack, new: NewStack) -> None:
        """PATCH /stacks/{name}/{id}: Heat looks at the whole of it before it answers."""
        body: dict[str, Any] = {"parameters": dict(new.parameters), "tags": ",".join(new.tags)}
        body |= {"disable_rollback": True, "clear_parameters": list(new.clear)}
        if new.template is not None:
            body["template"] = new.template

        def patch(cloud: Any) -> None:
            check(raw(cloud, HEAT).patch(_path(stack), json=body))

        await self._telling(patch, new.masked)

    async def _post(
        self, path: str, body: dict[str, Any], masked: Callable[[str], str] | None = None
    ) -> dict[str, Any]:
        def post(cloud: Any) -> dict[str, Any]:
            answer: dict[str, Any] = answer_of(raw(cloud, HEAT).post(path, json=body))
            return answer

        return await self._telling(post, masked)

    async def _telling(self, call: Callable[[Any], T], masked: Callable[[str], str] | None) -> T:
        """Call Heat with a template, and perhaps with secrets."""
        try:
            return await self.calls(call, missing=Reason.TEMPLATE_INVALID, masked=masked)
        except Refused as error:
            raise about_the_template(error) from error

    async def stack(self, name: str) -> Stack | None:
        """GET /stacks/{name}."""
        shown = await self._show(name)
        return None if shown is None else _stack(shown)

    async def _show(self, name: str, *, outputs: bool = False) -> dict[str, Any] | None:
        query = {} if outputs else {"resolve_outputs": "false"}

        def get(cloud: Any) -> Any:
            path = f"/stacks/{quote(name)}"
            return answer_of(raw(cloud, HEAT).get(path, params=query))["stack"]

        shown: dict[str, Any] | None = await self.calls.unless_gone(get)
        return None if shown is None or shown["stack_status"] == _DELETED else shown

    async def template(self, stack: Stack) -> dict[str, Any]:
        """GET /stacks/{name}/{id}/template."""

        def get(cloud: Any) -> dict[str, Any]:
            found: dict[str, Any] = answer_of(raw(cloud, HEAT).get(f"{_path(stack)}/template"))
            return found

        return await self.calls(get, missing=Reason.REMOVED_EXTERNALLY)

    async def named(self, name: str) -> list[Stack]:
        """GET /stacks?name=…: those that a tag hides from lists, too."""
        return await self._list({"name": name, "show_hidden": "true"})

    async def stacks(self, *tags: str) -> list[Stack]:
        """GET /stacks?tags=…: Heat gives all of them where no limit is named."""
        return await self._list({"tags": ",".join(tags)})

    async def _list(self, query: dict[str, str]) -> list[Stack]:
        def get(cloud: Any) -> Any:
            return answer_of(raw(cloud, HEAT).get("/stacks", params=query))["stacks"]

        return [_stack(one) for one in await self.calls(get)]

    async def delete_stack(self, stack: Stack) -> bool:
        """DELETE /stacks/{name}/{id}."""

        def delete(cloud: Any) -> bool:
            check(raw(cloud, HEAT).delete(_path(stack)))
            return True

        return await self.calls.unless_gone(delete) or False

    async def parts(self, stack: Stack) -> list[Part]:
        """GET /stacks/{name}/{id}/resources."""

        def get(cloud: Any) -> Any:
            path = f"{_path(stack)}/resources"
            found = raw(cloud, HEAT).get(path, params={"nested_depth": _DEPTH})
            return answer_of(found)["resources"]

        return [_part(one) for one in await self.calls.unless_gone(get) or ()]

    async def events(self, stack: Stack) -> list[PartEvent]:
        """GET /stacks/{name}/{id}/events: of those of one second, too, the newest come first."""

        def get(cloud: Any) -> Any:
            query = {"nested_depth": _DEPTH, "sort_dir": "desc", "limit": _MOST_EVENTS}
            return answer_of(raw(cloud, HEAT).get(f"{_path(stack)}/events", params=query))["events"]

        return [_event(one) for one in reversed(await self.calls.unless_gone(get) or ())]

    async def outputs(self, stack: Stack) -> dict[str, Any] | None:
        """GET /stacks/{name}/{id}, with its outputs."""
        shown = await self._show(f"{stack.name}/{stack.id}", outputs=True)
        if shown is None:
            return None
        return {one["output_key"]: one.get("output_value") for one in shown.get("outputs") or ()}

    async def server_statuses(self, ids: Collection[str]) -> dict[str, str]:
        """GET /servers/{id} each of a few; of more, one list shows the whole project's."""
        if len(ids) > _FEW:
            shown = await self.calls(_all_statuses)
            return {one: shown[one] for one in ids if one in shown}
        found: dict[str, str] = {}
        for server_id in sorted(ids):
            status = await self.calls.unless_gone(partial(_server_status, server_id))
            if status is not None:
                found[server_id] = status
        return found


def _all_statuses(cloud: Any) -> dict[str, str]:
    return {one.id: str(one.status) for one in cloud.compute.servers()}


def _server_status(server_id: str, cloud: Any) -> str:
    return str(cloud.compute.get_server(server_id).status)


def _path(stack: Stack) -> str:
    return f"/stacks/{quote(stack.name)}/{stack.id}"


def _stack(shown: dict[str, Any]) -> Stack:
    return Stack(
        id=shown["id"],
        name=shown["stack_name"],
        status=shown["stack_status"],
        reason=shown.get("stack_status_reason") or "",
        tags=tuple(shown.get("tags") or ()),
        created_at=shown.get("creation_time") or "",
    )


def _part(shown: dict[str, Any]) -> Part:
    return Part(
        name=shown["resource_name"],
        type=shown["resource_type"],
        status=shown["resource_status"],
        reason=shown.get("resource_status_reason") or "",
        physical_id=shown.get("physical_resource_id") or "",
        stack_id=_stack_id(shown),
    )


def _event(shown: dict[str, Any]) -> PartEvent:
    return PartEvent(
        stack_id=_stack_id(shown),
        name=shown["resource_name"],
        status=shown["resource_status"],
        at=datetime.fromisoformat(shown["event_time"]),
    )


def _stack_id(shown: dict[str, Any]) -> str:
    """Whose it is, it only says by a link: …/stacks/{name}/{id}."""
    links = {one.get("rel"): str(one.get("href")) for one in shown.get("links") or ()}
    return links.get("stack", "").rpartition("/")[2]


def about_the_template(error: Refused) -> Refused:
    """What Heat refuses without a name for the fault is the template, or what it was given."""
    if _TOO_MANY.search(str(error)):
        return RefusedForNow(str(error), reason=Reason.QUOTA_EXCEEDED, code=error.code)
    refused = type(error) is Refused or isinstance(error, NotFound)
    if not refused or error.reason != Reason.BACKEND_REFUSED:
        return error
    return Refused(str(error), reason=Reason.TEMPLATE_INVALID, code=error.code)
