"""``colobus stack``: stacks that Heat makes of a template."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from colobus.cli import resources
from colobus.cli.creating import change_of, creates
from colobus.cli.options import Id
from colobus.cli.output import Format, Output
from colobus.cli.session import session_of
from colobus.models import CreateStack, StackSpec, UpdateStack

app = typer.Typer(help="Stacks: what Heat makes of a template.", no_args_is_help=True)
Template = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="A file with a HOT template.")
]
TemplateName = Annotated[str | None, typer.Option(help="Instead: a template of the catalog.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", help="NAME=VALUE, for the template; repeatable."),
]
HiddenParameters = Annotated[
    list[str] | None,
    typer.Option(
        "--hidden-parameter",
        help="A NAME marked hidden; its value is the environment's; repeatable.",
    ),
]


@creates(app, CreateStack)
def create(
    template: Template = None,
    template_name: TemplateName = None,
    parameter: Parameters = None,
    hidden_parameter: HiddenParameters = None,
    timeout: Annotated[int | None, typer.Option(help="Seconds that Heat may take.")] = None,
) -> StackSpec:
    """Ask for a stack of a template: a file, or one of the catalog by its name."""
    return StackSpec(
        template=_text(template),
        template_name=template_name,
        parameters=_pairs(parameter),
        hidden_parameters=_secrets(hidden_parameter),
        timeout=timeout,
    )


@app.command()
def change(
    context: typer.Context,
    id: Id,
    template: Template = None,
    template_name: TemplateName = None,
    parameter: Parameters = None,
    hidden_parameter: HiddenParameters = None,
    output: Output = Format.TABLE,
) -> None:
    """Have Heat change it: to another template, or other values of the parameters you name."""
    asked = change_of(
        UpdateStack,
        template=_text(template),
        template_name=template_name,
        parameters=_pairs(parameter) or None,
        hidden_parameters=_secrets(hidden_parameter),
    )
    changed = session_of(context).run(lambda client: client.change_stack(id, asked))
    resources.show_resource(changed, output)


def _text(file: Path | None) -> str | None:
    return None if file is None else file.read_text("utf-8")


def _pairs(texts: list[str] | None) -> dict[str, str]:
    return dict(_pair(one) for one in texts or ())


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint="--parameter")
    return name, value


def _secrets(names: list[str] | None) -> dict[str, str] | None:
    return {name: _secret(name) for name in names or ()} or None


def _secret(name: str) -> str:
    """Secrets come by the environment: other users see a command's words."""
    try:
        return os.environ[name]
    except KeyError:
        detail = f"The environment has no variable {name}."
        raise typer.BadParameter(detail, param_hint="--hidden-parameter") from None


resources.register(app)
