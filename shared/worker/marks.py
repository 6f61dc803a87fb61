"""How a worker's objects are known as ours: tags, and a description where tags come too late.

Everything made in a backend carries installation, resource and worker before it can cost
anything; the census knows it by them (decision 0018). Nova's tags have at most 60 characters and no
comma or slash (Compute API, server tags); an installation id has at most 32.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_INSTALLATION = "colobus-installation-"
_RESOURCE = "colobus-resource-"
_WORKER = "colobus-worker-"
_DESCRIPTION = re.compile(r"colobus installation=(\S*) (?:resource|worker)=(\S*)")


@dataclass(frozen=True)
class Marks:
    """The marks of one worker of one installation."""

    installation_id: str
    worker: str

    @property
    def installation(self) -> str:
        """The tag that everything of this installation has."""
        return _INSTALLATION + self.installation_id

    def resource(self, resource_id: str) -> str:
        """The tag that everything of this resource has."""
        return _RESOURCE + resource_id

    def tags(self, resource_id: str | None = None) -> tuple[str, ...]:
        """All tags of an object; None: it serves a tenant as a whole, not one resource."""
        own = (self.installation, _WORKER + self.worker)
        return own if resource_id is None else (*own, self.resource(resource_id))

    def description(self, resource_id: str | None = None) -> str:
        """The same in one line, for objects that get their tags only after they were made."""
        whose = f"worker={self.worker}" if resource_id is None else f"resource={resource_id}"
        return f"colobus installation={self.installation_id} {whose}"

    def owns(self, tags: Iterable[str], resource_id: str | None = None) -> bool:
        """Tell whether an object with these tags is this installation's (and this resource's)."""
        found = set(tags)
        wanted = {self.installation}
        if resource_id is not None:
            wanted.add(self.resource(resource_id))
        return wanted <= found

    def resource_of(self, tags: Iterable[str], description: str = "") -> str | None:
        """The resource that an object of this installation belongs to; None for all others."""
        found = set(tags)
        if self.installation in found:
            named = sorted(tag for tag in found if tag.startswith(_RESOURCE))
            if named:
                return named[0].removeprefix(_RESOURCE)
        prefix = self.description("")
        return description.removeprefix(prefix) or None if description.startswith(prefix) else None

    def ours(self, tags: Iterable[str], description: str = "") -> bool:
        """Tell whether an object is this installation's, by its tags or its description."""
        tenants = self.description()
        return (
            self.owns(tags)
            or description == tenants
            or self.resource_of((), description) is not None
        )

    def are_only(
        self,
        resource_id: str,
        tags: Iterable[str],
        description: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> bool:
        """Tell whether an object is this installation's and this resource's beyond any doubt.

        It must be named, and nothing on it may name another installation or resource: marks can
        be copied, by hand or with a snapshot, and what is removed doesn't come back.
        """
        installations, resources = self._named_on(tags, description, metadata)
        return (installations, resources) == ({self.installation_id}, {resource_id})

    def name_another(self, resource_id: str, tags: Iterable[str]) -> bool:
        """Tell whether a tag names another installation or resource; none names nobody."""
        installations, resources = self._named_on(tags)
        return bool(installations - {self.installation_id} or resources - {resource_id})

    def _named_on(
        self,
        tags: Iterable[str],
        description: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> tuple[set[str], set[str]]:
        """All installations and all resources that an object names."""
        found, known = list(tags), metadata or {}
        installations = _rest(_INSTALLATION, found) | _named(known, "colobus_installation")
        resources = _rest(_RESOURCE, found) | _named(known, "colobus_resource")
        described = _DESCRIPTION.fullmatch(description)
        if described is not None:
            installations.add(described[1])
            resources |= set() if " worker=" in description else {described[2]}
        return installations, resources


def _rest(prefix: str, tags: list[str]) -> set[str]:
    return {tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)}


def _named(metadata: Mapping[str, str], key: str) -> set[str]:
    return {metadata[key]} if key in metadata else set()
