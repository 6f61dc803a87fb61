"""``colobus attachment``: volumes offered to initiators, and what these log in with."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from colobus.cli import options, resources
from colobus.cli.creating import creates
from colobus.cli.options import Id, Ids
from colobus.cli.output import Format, Output, details, words, write_data
from colobus.cli.session import say, session_of
from colobus.models import AttachmentCredentials, AttachmentSpec, CreateAttachment

app = typer.Typer(help="Attachments: volumes offered over iSCSI.", no_args_is_help=True)


@creates(app, CreateAttachment)
def create(
    volume: Annotated[str, typer.Option(help="The id of a volume.")],
    initiator_iqn: Annotated[
        str | None,
        typer.Option(help="Who may log in: InitiatorName of /etc/iscsi/initiatorname.iscsi."),
    ] = None,
    machine: Annotated[
        str | None, typer.Option(help="Instead: the id of a machine, which may log in.")
    ] = None,
) -> AttachmentSpec:
    """Ask for a volume to be offered over iSCSI to one initiator, or to a machine."""
    return AttachmentSpec(volume=volume, initiator_iqn=initiator_iqn, machine=machine)


def delete(
    context: typer.Context,
    ids: Ids,
    force: Annotated[
        bool, typer.Option("--force", help="Even from under an initiator that is logged in.")
    ] = False,
    wait: options.WaitDeleted = False,
) -> None:
    """Give them back, each as soon as its initiator has logged out."""
    resources.give_back(session_of(context), ids, wait=wait, force=force)


@app.command()
def credentials(context: typer.Context, id: Id, output: Output = Format.TABLE) -> None:
    """Show what the initiator logs in with. It is told whenever you ask: keep it nowhere."""
    found = session_of(context).run(lambda client: client.credentials(id))
    if output is Format.NAME:
        typer.echo(found.target_iqn)
    elif output is not Format.TABLE:
        write_data(found, output)
    else:
        details([(words(name), getattr(found, name)) for name in found.__struct_fields__])
        say("On the initiator, with open-iscsi:")
        for command in iscsiadm(found):
            say(f"  {command}")


def iscsiadm(found: AttachmentCredentials) -> list[str]:
    """Return the commands of open-iscsi that log in, and the one that logs out again."""
    node = shlex.join(["iscsiadm", "-m", "node", "-T", found.target_iqn, "-p", found.portals[0]])
    session = {
        "authmethod": "CHAP",
        "username": found.chap_username,
        "password": found.chap_secret,
    }
    settings = [
        f"{node} -o update -n node.session.auth.{name} -v {shlex.quote(value)}"
        for name, value in session.items()
    ]
    return [f"{node} -o new", *settings, f"{node} --login", f"{node} --logout   # afterwards"]


resources.register(app, end=delete)
