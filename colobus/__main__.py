"""``python -m colobus`` and the ``colobus`` command."""

from __future__ import annotations

from colobus.cli.app import app


def main() -> None:
    """Run the command line."""
    app(prog_name="colobus")


if __name__ == "__main__":
    main()
