"""`python -m devcloud`: bring the developer cloud up and down, and tell how to use it."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from devcloud.account import UnreachableFolder
from devcloud.api import DevCloudFailed, NotSetUp, cloud_environment, open_devcloud
from devcloud.graph import UnknownName
from devcloud.progress import STYLES

app = typer.Typer(
    help="A real developer cloud on one Debian machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Names = Annotated[list[str] | None, typer.Argument(help="Components; default: what the demo needs")]


@app.command()
def up(components: Names = None) -> None:
    """Install, configure and start components and all they require."""
    open_devcloud(create=True).up(components or [])


@app.command()
def down() -> None:
    """Stop everything that runs; keep the state."""
    open_devcloud().down()


@app.command()
def reset() -> None:
    """Stop everything and forget the state; keep the cache."""
    open_devcloud().reset()


@app.command()
def status() -> None:
    """Show every process with its pid, port and log."""
    table = Table(box=None, pad_edge=False)
    for column in ("component", "process", "state", "pid", "port", "log"):
        table.add_column(column, overflow="fold")
    for line in open_devcloud().status():
        state = f"[{STYLES.get(line.state, 'yellow')}]{line.state}[/]"
        numbers = [str(n) if n else "" for n in (line.pid, line.port)]
        table.add_row(line.component, line.process, state, *numbers, str(line.log))
    Console().print(table)


@app.command()
def env(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead.")] = False,
) -> None:
    """Print the variables that programs need to use the cloud, for `eval`."""
    variables = cloud_environment(open_devcloud().site)
    if as_json:
        print(json.dumps(variables, indent=1))
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


@app.command()
def start(component: str) -> None:
    """Start one component alone."""
    open_devcloud().start(component)


@app.command()
def stop(component: str) -> None:
    """Stop one component alone."""
    open_devcloud().stop(component)


@app.command()
def kill(component: str) -> None:
    """End one component with SIGKILL, as a crash would."""
    open_devcloud().kill(component)


def main() -> None:
    """Run the command line; a failure is one message, not a traceback."""
    signal.signal(signal.SIGTERM, _interrupt)  # end as tidily as at Ctrl-C
    try:
        app()
    except NotSetUp as error:
        _fail(f"{error}; begin with: python -m devcloud up")
    except (DevCloudFailed, UnknownName, UnreachableFolder) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again to go on")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(message, style="red", markup=False, highlight=False)
    sys.exit(1)


if __name__ == "__main__":
    main()
