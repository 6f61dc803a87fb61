"""The cluster template of a request: named, of the operator's recipes, or one that is public.

Templates of recipes are made when first needed, once per project: their name follows from all that
they say, so a recipe that was changed gets another one and clusters that live keep theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from services.k8s_worker.backend import Project, Template
from services.k8s_worker.templates_file import Recipe
from shared.contract.kinds import is_version
from shared.contract.messages import ProvisionCluster
from shared.contract.problems import Reason
from shared.worker.duplicates import keep_first, oldest_first
from shared.worker.errors import NotFound, Refused
from shared.worker.marks import Marks

#: The label that says which Kubernetes a template makes (Magnum's user guide).
VERSION_LABEL = "kube_tag"


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
    message: ProvisionCluster,
) -> Chosen:
    """Return the template for this request, made when there is none.

    Raises `NotFound` (version_not_found) naming the versions that there are.
    """
    if message.template is not None:
        return Chosen(message.template, flavor=message.flavor)
    recipe = _recipe(recipes, message)
    templates = await project.templates()
    if recipe is not None:
        return await _of_recipe(project, recipe, marks, message.flavor, templates)
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
    flavor: str | None,
    templates: Sequence[Template],
) -> Chosen:
    workers = flavor or recipe.flavor
    name = recipe.name(marks.installation_id, workers)
    if not _named(templates, name):
        await project.create_template({"name": name, **recipe.body(workers)})
        # Two requests may have come at once: the older one's stays.
        templates = await project.templates()
    ordered = oldest_first(_named(templates, name))
    kept = await keep_first(marks.worker, "cluster_template", ordered, partial(_remove, project))
    if kept is None:
        detail = f"The cluster template {name} disappeared as soon as it was made."
        raise NotFound(detail, reason=Reason.TEMPLATE_NOT_FOUND)
    return Chosen(kept.id, master_count=recipe.master_count, made=True)


async def _remove(project: Project, template_id: str) -> None:
    """A second one costs nothing, and is in use where another request was quicker."""
    with suppress(Refused):
        await project.delete_template(template_id)


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
