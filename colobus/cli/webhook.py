"""``colobus webhook``: subscriptions to changes."""

from __future__ import annotations

from typing import Annotated

import typer

from colobus.cli.output import Format, Output, details, show, write_data
from colobus.cli.session import say, session_of
from colobus.client import Client
from colobus.models import NewWebhook, Phase, Webhook, WebhookDelivery

app = typer.Typer(help="Webhooks: signed messages about changes.", no_args_is_help=True)

WebhookId = Annotated[str, typer.Argument(help="The subscription's id.", show_default=False)]

COLUMNS = (
    ("id", lambda webhook: webhook.id),
    ("url", lambda webhook: webhook.url),
    ("phases", lambda webhook: webhook.phases or "all"),
    ("kinds", lambda webhook: webhook.kinds or "all"),
    ("disabled", lambda webhook: webhook.disabled_at),
    ("description", lambda webhook: webhook.description),
)
DELIVERY_COLUMNS = (
    ("id", lambda delivery: delivery.id),
    ("resource", lambda delivery: delivery.resource_id),
    ("sequence", lambda delivery: delivery.sequence),
    ("state", lambda delivery: delivery.state),
    ("tries", lambda delivery: len(delivery.attempts)),
    ("last", lambda delivery: last_of(delivery)),
    ("next try", lambda delivery: delivery.next_attempt_at),
)


@app.command()
def create(
    context: typer.Context,
    url: str,
    phase: Annotated[list[Phase] | None, typer.Option(help="Repeatable; default: all.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Repeatable; default: all.")] = None,
    description: Annotated[str | None, typer.Option()] = None,
    output: Output = Format.TABLE,
) -> None:
    """Subscribe an address to changes. The secret is shown now and never again."""
    request = NewWebhook(
        url=url, phases=tuple(phase or ()), kinds=tuple(kind or ()), description=description
    )
    made = session_of(context).run(lambda client: client.webhooks.create(request))
    if output is Format.TABLE:
        details([("id", made.webhook.id), ("url", made.webhook.url), ("secret", made.secret)])
    elif output is Format.NAME:
        typer.echo(made.webhook.id)
    else:
        write_data(made, output)


@app.command("list")
def list_(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show your subscriptions."""

    async def work(client: Client) -> list[Webhook]:
        return [webhook async for webhook in client.webhooks.list()]

    show(session_of(context).run(work), output, COLUMNS, name=lambda webhook: webhook.id)


@app.command()
def delete(context: typer.Context, id: WebhookId) -> None:
    """End a subscription."""
    session_of(context).run(lambda client: client.webhooks.delete(id))


@app.command("rotate-secret")
def rotate_secret(context: typer.Context, id: WebhookId) -> None:
    """Make a new secret and write it; the old one signs along for a day."""
    typer.echo(session_of(context).run(lambda client: client.webhooks.rotate_secret(id)).secret)


@app.command("callback-secret")
def callback_secret(context: typer.Context) -> None:
    """Write the secret that signs what goes to a --callback-url."""
    typer.echo(session_of(context).run(lambda client: client.webhooks.callback_secret()))


@app.command()
def deliveries(
    context: typer.Context,
    id: WebhookId,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what was sent, newest first."""

    async def work(client: Client) -> list[WebhookDelivery]:
        return [d async for d in client.webhooks.deliveries(id) if state in (None, d.state)]

    found = session_of(context).run(work)
    show(found, output, DELIVERY_COLUMNS, name=lambda delivery: delivery.id)


@app.command()
def redeliver(
    context: typer.Context,
    id: WebhookId,
    delivery: Annotated[
        str | None, typer.Argument(help="Default: all failed ones.", show_default=False)
    ] = None,
) -> None:
    """Send again."""
    count = session_of(context).run(lambda client: client.webhooks.redeliver(id, delivery))
    say(f"{count} to be sent again")


def last_of(delivery: WebhookDelivery) -> str:
    """Return how the last try ended."""
    if not delivery.attempts:
        return ""
    last = delivery.attempts[-1]
    return last.error or f"HTTP {last.status}"
