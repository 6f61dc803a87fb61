"""``create`` of every kind: its own options, and with them those that all kinds have.

And the bodies of changes, looked at as those of requests are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from colobus.cli import options
from colobus.cli.output import Format, Output
from colobus.cli.resources import show_resource, wait_until
from colobus.cli.session import USAGE, say, session_of
from colobus.client import CreateBody
from colobus.models import LeaseRequest, Phase

B = TypeVar("B", bound=msgspec.Struct)
#: Its parameters are options; it returns the spec that they say.
SpecOf = Callable[..., msgspec.Struct]


def creates(app: typer.Typer, body: type[CreateBody]) -> Callable[[SpecOf], SpecOf]:
    """Make ``create`` of a function whose parameters are the options of its kind alone.

    It returns the spec, its docstring is the help; the options of all kinds are those of `_create`.
    """

    def add(spec_of: SpecOf) -> SpecOf:
        own = inspect.signature(spec_of, eval_str=True).parameters
        of_all = dict(inspect.signature(_create, eval_str=True).parameters)
        del of_all["request"]

        def create(**given: Any) -> None:
            spec = {name: given.pop(name) for name in own}
            _create(request=lambda **common: _checked(body, spec_of, spec, common), **given)

        options_of_both = (*own.values(), *of_all.values())
        create.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in options_of_both]
        )
        app.command("create", help=spec_of.__doc__)(create)
        return spec_of

    return add


def _create(
    context: typer.Context,
    request: Callable[..., CreateBody],
    name: Annotated[str | None, typer.Option()] = None,
    label: options.Labels = None,
    lease: options.Lease = None,
    deadline: options.Deadline = None,
    callback_url: Annotated[str | None, typer.Option(help="Where its changes are sent.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Run again with the same key: still only one is made.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is active or failed.")] = False,
    output: Output = Format.TABLE,
) -> None:
    body = request(
        name=name,
        labels=options.labels(label or ()),
        lease=LeaseRequest(ttl=lease) if lease else None,
        deadline=deadline,
        callback_url=callback_url,
    )
    session = session_of(context)
    made = session.run(lambda client: client.create(body, idempotency_key=idempotency_key))
    if wait:
        made = wait_until(session, made.id, Phase.ACTIVE)
    show_resource(made, output)


def _checked(
    body: type[CreateBody], spec_of: SpecOf, spec: dict[str, Any], common: dict[str, Any]
) -> CreateBody:
    """Refuse at once what the server would; it says more about what is wrong with it."""
    try:
        fields = msgspec.structs.asdict(spec_of(**spec))
        return msgspec.convert(msgspec.to_builtins(body(**fields, **common)), body)
    except ValueError as error:  # of a field's bounds, or of a rule over several
        say(str(error), "bold red")
        raise typer.Exit(USAGE) from error


def change_of(body: type[B], **named: Any) -> B:
    """Return the body of a change; what is None isn't named. As in `create`, it is checked here."""
    try:
        return msgspec.convert({key: one for key, one in named.items() if one is not None}, body)
    except msgspec.ValidationError as error:
        say(str(error), "bold red")
        raise typer.Exit(USAGE) from error
