"""``colobus vm``: virtual machines."""

from __future__ import annotations

from typing import Annotated, NoReturn

import msgspec
import typer

from colobus.cli import options
from colobus.cli.live import follow_live
from colobus.cli.options import Duration, Id
from colobus.cli.output import Format, Output, age, details, show
from colobus.cli.session import USAGE, Session, say, session_of
from colobus.client import Client
from colobus.errors import ResourceEnded
from colobus.models import TERMINAL_PHASES, CreateVm, LeaseRequest, Phase, Resource

app = typer.Typer(help="Virtual machines.", no_args_is_help=True)

COLUMNS = (
    ("id", lambda r: r.id),
    ("name", lambda r: r.name),
    ("phase", lambda r: r.status.phase),
    ("reason", lambda r: r.status.reason),
    ("floating ip", lambda r: r.status.outputs.get("floating_ip")),
    ("addresses", lambda r: r.status.outputs.get("addresses")),
    ("labels", lambda r: r.labels),
    ("age", age),
)


@app.command()
def create(
    context: typer.Context,
    image: Annotated[str, typer.Option(help="Name or id.")],
    flavor: Annotated[str, typer.Option(help="Name or id.")],
    name: Annotated[str | None, typer.Option()] = None,
    network: Annotated[
        str | None, typer.Option(help="Name or id; default: your tenant's own network.")
    ] = None,
    floating_ip: Annotated[
        bool, typer.Option("--floating-ip", help="Make it reachable from outside.")
    ] = False,
    ssh_key: Annotated[
        list[str] | None, typer.Option(metavar="FILE|KEY", help="Public keys; repeatable.")
    ] = None,
    user_data: Annotated[
        str | None, typer.Option(metavar="FILE", help="For cloud-init; - is standard input.")
    ] = None,
    security_group: Annotated[list[str] | None, typer.Option(help="Repeatable.")] = None,
    arch: Annotated[str | None, typer.Option(help="Such as aarch64.")] = None,
    label: options.Labels = None,
    lease: Duration = None,
    deadline: Duration = None,
    callback_url: Annotated[str | None, typer.Option(help="Where its changes are sent.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Run again with the same key: still one VM.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is active or failed.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Ask for a VM. --lease is how long it may live, --deadline how long its making may take."""
    request = CreateVm(
        image=image,
        flavor=flavor,
        name=name,
        network=network,
        floating_ip=floating_ip,
        ssh_keys=options.ssh_keys(ssh_key or ()),
        user_data=options.read_file(user_data) if user_data else None,
        security_groups=tuple(security_group or ()),
        arch=arch,
        labels=options.labels(label or ()),
        lease=LeaseRequest(ttl=lease) if lease else None,
        deadline=deadline,
        callback_url=callback_url,
    )
    _checked(request)
    session = session_of(context)
    vm = session.run(lambda client: client.create_vm(request, idempotency_key=idempotency_key))
    if wait:
        vm = _wait(session, vm.id, Phase.ACTIVE)
    show_vm(vm, output)


@app.command()
def get(context: typer.Context, id: Id, output: Output = Format.TABLE) -> None:
    """Show one VM."""
    show_vm(session_of(context).run(lambda client: client.get(id)), output)


@app.command("list")
def list_(
    context: typer.Context,
    phase: Annotated[
        list[Phase] | None, typer.Option(help="Repeatable; default: all but deleted.")
    ] = None,
    label: options.Labels = None,
    output: Output = Format.TABLE,
) -> None:
    """Show your VMs."""
    wanted = options.labels(label or ())

    async def work(client: Client) -> list[Resource]:
        return [vm async for vm in client.list("vm", phases=phase or (), labels=wanted)]

    show(session_of(context).run(work), output, COLUMNS, name=lambda vm: vm.id)


@app.command()
def delete(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(help="Resource ids.", show_default=False)],
    wait: Annotated[bool, typer.Option("--wait", help="Until they are deleted.")] = False,
) -> None:
    """Give VMs back."""
    session = session_of(context)

    async def ask(client: Client) -> None:
        for vm_id in ids:
            await client.delete(vm_id)
            say(f"{vm_id} will be deleted")

    session.run(ask)
    for vm_id in ids if wait else ():
        _wait(session, vm_id, Phase.DELETED)


@app.command()
def wait(
    context: typer.Context,
    id: Id,
    until: Annotated[Phase, typer.Option(help="The phase to wait for.")] = Phase.ACTIVE,
    timeout: Duration = None,
    output: Output = Format.TABLE,
) -> None:
    """Wait until a VM is in a phase."""
    show_vm(_wait(session_of(context), id, until, timeout), output)


def _wait(session: Session, vm_id: str, until: Phase, timeout: float | None = None) -> Resource:
    ends = {until} if until is Phase.DELETED else {until, *TERMINAL_PHASES}

    async def work(client: Client) -> Resource:
        vm = await follow_live(client, vm_id, ends, timeout=timeout)
        if vm.status.phase is not until:
            raise ResourceEnded(vm)
        return vm

    word = "" if until is Phase.ACTIVE else f" --until {until}"
    return session.run(work, going_on=f"{vm_id} goes on; wait again: colobus vm wait {vm_id}{word}")


def show_vm(vm: Resource, form: Format) -> None:
    """Write one VM."""
    if form is not Format.TABLE:
        show([vm], form, COLUMNS, name=lambda one: one.id, one=True)
        return
    status, lease = vm.status, vm.lease
    spec = [(key.replace("_", " "), value) for key, value in vm.spec.items() if value is not False]
    outputs = [(key.replace("_", " "), value) for key, value in status.outputs.items()]
    error = status.error and (status.error.detail or status.error.title)
    details(
        [
            ("id", vm.id),
            ("name", vm.name),
            ("phase", status.phase),
            ("reason", status.reason),
            ("message", status.message),
            ("error", error),
            ("queue position", status.queue and status.queue.position),
            ("cloud", status.placement and status.placement.cloud),
            *spec,
            *outputs,
            ("labels", vm.labels),
            ("lease ends", lease and (lease.expires_at or f"{lease.ttl} s after active")),
            ("created", vm.created_at),
        ]
    )


def _checked(request: CreateVm) -> None:
    """Refuse at once what the server would; it says more about what is wrong with it."""
    try:
        msgspec.convert(msgspec.to_builtins(request), CreateVm)
    except msgspec.ValidationError as error:
        _usage(str(error))


def _usage(text: str) -> NoReturn:
    say(text, "bold red")
    raise typer.Exit(USAGE)
