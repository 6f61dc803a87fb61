"""``colobus stack``: stacks that Heat makes of a template."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from colobus.cli import resources
from colobus.cli.creating import creates
from colobus.models import CreateStack, StackSpec

app = typer.Typer(help="Stacks: what Heat makes of a template.", no_args_is_help=True)


@creates(app, CreateStack)
def create(
    template: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file with a HOT template.")
    ] = None,
    template_name: Annotated[
        str | None, typer.Option(help="Instead: a template of the catalog.")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, for the template; repeatable.")
    ] = None,
    hidden_parameter: Annotated[
        list[str] | None,
        typer.Option(help="A NAME marked hidden; its value is the environment's; repeatable."),
    ] = None,
    timeout: Annotated[int | None, typer.Option(help="Seconds that Heat may take.")] = None,
) -> StackSpec:
    """Ask for a stack of a template: a file, or one of the catalog by its name."""
    return StackSpec(
        template=None if template is None else template.read_text("utf-8"),
        template_name=template_name,
        parameters=dict(_pair(one) for one in parameter or ()),
        hidden_parameters={name: _secret(name) for name in hidden_parameter or ()} or None,
        timeout=timeout,
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint="--parameter")
    return name, value


def _secret(name: str) -> str:
    """Secrets come by the environment: other users see a command's words."""
    try:
        return os.environ[name]
    except KeyError:
        detail = f"The environment has no variable {name}."
        raise typer.BadParameter(detail, param_hint="--hidden-parameter") from None


resources.register(app)
