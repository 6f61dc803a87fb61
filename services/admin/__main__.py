"""``python -m services.admin install | check | environment <service> | export <folder>``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from services.admin.administrators import complete
from services.admin.environment import environment_of
from services.admin.export import export
from services.admin.install import check, install
from services.admin.settings import AdminSettings
from shared.runtime import logs
from shared.runtime.errors import ColobusError
from shared.runtime.settings import load

app = typer.Typer(
    help="Declare what Colobus needs on its broker and database. Settings: COLOBUS_ADMIN_AMQP_URL, "
    "COLOBUS_ADMIN_AMQP_MANAGEMENT_URL, COLOBUS_ADMIN_DATABASE_DSN, COLOBUS_CREDENTIALS_DIR, "
    "COLOBUS_TENANTS_FILE, COLOBUS_ROLE_SUFFIX.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("install")
def install_command() -> None:
    """Make secrets, exchanges, queues, users, roles, schemas, and run migrations. Idempotent."""
    asyncio.run(install(complete(load(AdminSettings))))


@app.command("check")
def check_command() -> None:
    """Tell what is missing or other than declared; exit 1 when anything is."""
    faults = asyncio.run(check(complete(load(AdminSettings))))
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise typer.Exit(1)


@app.command()
def environment(service: str) -> None:
    """Print the environment of a service as KEY=VALUE lines; it contains passwords."""
    for name, value in environment_of(service, load(AdminSettings)).items():
        typer.echo(f"{name}={value}")


@app.command("export")
def export_command(folder: Path) -> None:
    """Make all secrets and write them below FOLDER, for each container its own. Idempotent."""
    export(load(AdminSettings), folder)


def main() -> None:
    """Run a command; an error that is fit for reading is one line, not a traceback."""
    logs.configure("admin")
    try:
        app()
    except ColobusError as error:
        typer.echo(f"admin: {error.detail}", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
