"""The cluster template of a request: named, of the operator's recipes, or one that is public.

Templates of recipes are made when first needed, once per project: their name follows from all that
they say, so a recipe that was changed gets another one and clusters that live keep theirs.

None is ever removed, not even the second of a name that another replica has made at the same time:
Magnum looks for clusters of it, but not for orders of clusters that are on their way, and one that
comes to live without its template spoils Magnum's lists and its conductor's rounds for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.k8s_worker.backend import Project, Template
from services.k8s_worker.templates_file import Recipe
from shared.contract.kinds import is_version
from shared.contract.messages import ProvisionCluster
from shared.contract.problems import Reason
from shared.runtime.locks import KeyedLocks, StillHeld
from shared.worker import outcome
from shared.worker.duplicates import oldest_first
from shared.worker.errors import NotFound
from shared.worker.marks import Marks

#: The label that says which Kubernetes a template makes (Magnum's user guide).
VERSION_LABEL = "kube_tag"
#: How long one request waits for another that is making its template, in seconds.
WAITS = 10.0


@dataclass(frozen=True)
class Chosen:
    """A template, and what the cluster says beside it; ``made``: of a recipe."""

    template_id: str
    master_count: int = 1
    flavor: str | None = None
    made: bool = False


async def choose(
    project: Project,
    recipes: Sequence[Recipe],
    marks: Marks,
    making: KeyedLocks,
    message: ProvisionCluster,
) -> Chosen:
    """Return the template for this request, made when there is none.

    ``making`` is this process's, so that requests which come at once share one. Raises `NotFound`
    (version_not_found) naming the versions that there are, and `outcome.busy` where another
    request is at making it for too long: what waits has one of the cloud's few places.
    """
    if message.template is not None:
        return Chosen(message.template, flavor=message.flavor)
    recipe = _recipe(recipes, message)
    templates = await project.templates()
    if recipe is not None:
        return await _of_recipe(project, recipe, marks, making, message.flavor, templates)
    public = [one for one in templates if _makes(one, message)]
    if not public:
        raise _unknown(recipes, templates, message)
    return Chosen(oldest_first(public)[0].id, flavor=message.flavor)


def _recipe(recipes: Sequence[Recipe], message: ProvisionCluster) -> Recipe | None:
    fitting = (
        one
        for one in recipes
        if is_version(one.version, message.version)
        and one.cloud in (None, message.cloud)
        and message.arch in (None, one.arch)
    )
    return next(fitting, None)


def _makes(template: Template, message: ProvisionCluster) -> bool:
    tag = template.labels.get(VERSION_LABEL, "")
    arch = template.labels.get("arch")
    return (
        template.coe == "kubernetes"
        and is_version(tag, message.version)
        and message.arch in (None, arch)
    )


async def _of_recipe(
    project: Project,
    recipe: Recipe,
    marks: Marks,
    making: KeyedLocks,
    flavor: str | None,
    templates: Sequence[Template],
) -> Chosen:
    workers = flavor or recipe.flavor
    name = recipe.name(marks.installation_id, workers)
    named = _named(templates, name)
    if not named:
        key = (project.cloud, project.tenant, name)
        try:
            async with making.hold(key, WAITS):
                named = await _made(project, name, recipe.body(workers))
        except StillHeld:
            raise outcome.busy() from None
    # Another replica may have made one, too: from now on all take the older one.
    return Chosen(oldest_first(named)[0].id, master_count=recipe.master_count, made=True)


async def _made(project: Project, name: str, body: dict[str, Any]) -> list[Template]:
    named = _named(await project.templates(), name)  # by whoever held the lock before
    if named:
        return named
    made = await project.create_template({"name": name, **body})
    return _named(await project.templates(), name) or [made]  # its list may lag behind


def _named(templates: Sequence[Template], name: str) -> list[Template]:
    return [one for one in templates if one.name == name]


def _unknown(
    recipes: Sequence[Recipe], templates: Sequence[Template], message: ProvisionCluster
) -> NotFound:
    known = {one.version for one in recipes if one.cloud in (None, message.cloud)}
    tags = (one.labels.get(VERSION_LABEL, "") for one in templates if one.coe == "kubernetes")
    known |= {tag.removeprefix("v") for tag in tags if tag}
    arch = f" for {message.arch}" if message.arch else ""
    there_are = f"there are: {', '.join(sorted(known))}" if known else "there is none"
    detail = f"No Kubernetes {message.version}{arch} on {message.cloud}; {there_are}."
    return NotFound(detail, reason=Reason.VERSION_NOT_FOUND)
