"""The commands that every kind of resource has, once for all: an id says what it is of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from colobus.cli import options
from colobus.cli.live import follow_live
from colobus.cli.options import Duration, Id, Ids
from colobus.cli.output import Format, Output, details, show, words
from colobus.cli.session import Session, say, session_of
from colobus.cli.views import columns
from colobus.client import Client
from colobus.errors import ResourceEnded
from colobus.models import TERMINAL_PHASES, Phase, Resource, Step


def register(app: typer.Typer, *, end: Callable[..., None] | None = None) -> None:
    """Add the commands; ``end`` is the kind's own ``delete``, where it has one."""
    app.command()(get)
    app.command("show", hidden=True)(get)
    app.command("list")(list_)
    app.command("delete")(end or delete)
    for command in (wait, extend, label):
        app.command()(command)


def get(context: typer.Context, id: Id, output: Output = Format.TABLE) -> None:
    """Show one."""
    show_resource(session_of(context).run(lambda client: client.get(id)), output)


def list_(
    context: typer.Context,
    phase: Annotated[
        list[Phase] | None, typer.Option(help="Repeatable; default: all but deleted.")
    ] = None,
    label: options.Labels = None,
    output: Output = Format.TABLE,
) -> None:
    """Show yours, newest first."""
    kind, wanted = _group(context), options.labels(label or ())

    async def work(client: Client) -> list[Resource]:
        return [found async for found in client.list(kind, phases=phase or (), labels=wanted)]

    show(session_of(context).run(work), output, columns(kind), name=lambda found: found.id)


def _group(context: typer.Context) -> str:
    """Return the name of the command's group, which is that of a kind."""
    return (context.parent and context.parent.info_name) or ""


def delete(context: typer.Context, ids: Ids, wait: options.WaitDeleted = False) -> None:
    """Give them back."""
    give_back(session_of(context), ids, wait=wait)


def give_back(session: Session, ids: Sequence[str], *, wait: bool, force: bool = False) -> None:
    """Ask for the end of each, and with ``wait`` see it."""

    async def ask(client: Client) -> None:
        for resource_id in ids:
            await client.delete(resource_id, force=force)
            say(f"{resource_id} will be deleted")

    session.run(ask)
    for resource_id in ids if wait else ():
        wait_until(session, resource_id, Phase.DELETED)


def wait(
    context: typer.Context,
    id: Id,
    until: Annotated[Phase, typer.Option(help="The phase to wait for.")] = Phase.ACTIVE,
    timeout: Duration = None,
    output: Output = Format.TABLE,
) -> None:
    """Wait until it is in a phase."""
    show_resource(wait_until(session_of(context), id, until, timeout), output)


def wait_until(
    session: Session, resource_id: str, until: Phase, timeout: float | None = None
) -> Resource:
    """Show its way to a phase; end the program when it ends otherwise."""
    ends = {until} if until is Phase.DELETED else {until, *TERMINAL_PHASES}

    async def work(client: Client) -> Resource:
        found = await follow_live(client, resource_id, ends, timeout=timeout)
        if found.status.phase is not until:
            raise ResourceEnded(found)
        return found

    kind, word = (
        resource_id.rpartition("-")[0],
        "" if until is Phase.ACTIVE else f" --until {until}",
    )
    again = f"colobus {kind} wait {resource_id}{word}"
    return session.run(work, going_on=f"{resource_id} goes on; wait again: {again}")


def extend(
    context: typer.Context,
    id: Id,
    ttl: Annotated[
        int, typer.Argument(parser=options.duration, metavar="DURATION", show_default=False)
    ],
    output: Output = Format.TABLE,
) -> None:
    """Let the lease end so long from now."""
    show_resource(session_of(context).run(lambda client: client.extend(id, ttl)), output)


def label(
    context: typer.Context,
    id: Id,
    labels: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="None: no labels.", show_default=False),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Replace all labels."""
    wanted = options.labels(labels or ())
    show_resource(session_of(context).run(lambda client: client.update(id, labels=wanted)), output)


def parts_of(step: Step) -> list[str]:
    """Return what its backend tells of a step's parts, in words."""
    parts = [" ".join(filter(None, (one.name, one.status, one.reason))) for one in step.parts]
    return [*parts, f"and {step.more_parts} more"] if step.more_parts else parts


def show_resource(resource: Resource, form: Format) -> None:
    """Write one resource."""
    if form is not Format.TABLE:
        show([resource], form, columns(resource.kind), name=lambda one: one.id, one=True)
        return
    status, lease = resource.status, resource.lease
    spec = [(words(key), value) for key, value in resource.spec.items() if value is not False]
    outputs = [(words(key), value) for key, value in status.outputs.items()]
    error = status.error and (status.error.detail or status.error.title)
    details(
        [
            ("id", resource.id),
            ("name", resource.name),
            ("phase", status.phase),
            ("reason", status.reason),
            ("message", status.message),
            ("error", error),
            ("queue position", status.queue and status.queue.position),
            ("cloud", status.placement and status.placement.cloud),
            ("store", status.placement and status.placement.store),
            ("metal", status.placement and status.placement.metal),
            *spec,
            *outputs,
            *((f"parts of {step.name}", parts_of(step)) for step in status.steps),
            ("labels", resource.labels),
            ("lease ends", lease and (lease.expires_at or f"{lease.ttl} s after active")),
            ("created", resource.created_at),
        ]
    )
