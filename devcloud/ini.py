"""Render the configuration formats of the daemons from plain mappings."""

from __future__ import annotations

from collections.abc import Mapping

Value = str | int | float | bool
Sections = dict[str, dict[str, Value]]


def render_ini(sections: Mapping[str, Mapping[str, Value]]) -> str:
    """Return an oslo.config file; booleans become `true` and `false`."""
    blocks = []
    for section, options in sections.items():
        lines = [f"{key} = {_text(value)}" for key, value in options.items()]
        blocks.append("\n".join([f"[{section}]", *lines]) + "\n")
    return "\n".join(blocks)


def render_options(options: Mapping[str, Value]) -> str:
    """Return `key = value` lines, as RabbitMQ and PostgreSQL read them."""
    return "".join(f"{key} = {_text(value)}\n" for key, value in options.items())


def merge(*parts: Mapping[str, Mapping[str, Value]]) -> Sections:
    """Return the sections of all parts; later options win."""
    merged: Sections = {}
    for part in parts:
        for section, options in part.items():
            merged.setdefault(section, {}).update(options)
    return merged


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
