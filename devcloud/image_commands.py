"""`python -m devcloud image`: build golden images."""

from __future__ import annotations

from typing import Annotated

import typer

from devcloud.api import open_devcloud
from devcloud.graph import UnknownName
from devcloud.images import IMAGES

app = typer.Typer(help="Golden images for machines.", no_args_is_help=True)


@app.callback()
def image() -> None:
    """Keep `build` a command of its own, though it is the only one."""


@app.command()
def build(
    name: Annotated[str, typer.Argument(help=", ".join(kind.name for kind in IMAGES))] = "tiny",
) -> None:
    """Build an image, unless it is in the cache, and print its path."""
    kinds = {kind.name: kind for kind in IMAGES}
    if name not in kinds:
        raise UnknownName(f"no image is called {name}; there are: {', '.join(kinds)}")
    print(kinds[name](open_devcloud(create=True).site).build())
