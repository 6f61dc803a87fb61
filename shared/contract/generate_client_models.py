"""Writes ``colobus/models.py``: the contract's types that a client needs, copied without the rest.

The wheel installs ``colobus`` only, so the client can't import this package. What it needs is
followed from `ROOTS` through every name their definitions mention. Enums become open ones: a
client must not fail on a reason that a newer server has learnt to say.

Run by ``make models``; a contract test asserts that the file is up to date.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from shared.contract.kinds import KINDS

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "colobus" / "models.py"

#: Modules in the order in which their definitions depend on each other.
MODULES = ("problems", "resources", "kinds", "messages")
ROOTS = (
    "CapacityReported",
    "Problem",
    "QuotaReported",
    "Resource",
    "ResourceStatusChanged",
    "VmCatalogReported",
    "Webhook",
    "WebhookDeliveriesListed",
    "HOLDING_PHASES",
    "TERMINAL_PHASES",
    *(
        struct.__name__
        for kind in KINDS.values()
        for struct in (kind.spec, kind.create, kind.update)
    ),
    "ExtendLease",
)

HEADER = '''"""The public types of Colobus, generated from the contract by `make models`; don't edit."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta


class OpenEnum(enum.StrEnum):
    """An enumeration that keeps words it doesn't know: a newer server may say more."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        return member
'''


def generate() -> str:
    """Return the text of ``colobus/models.py``."""
    definitions = _definitions()
    wanted = _reachable(definitions)
    parts = [HEADER]
    parts += [ast.unparse(node) for name, node in definitions.items() if name in wanted]
    plurals = {kind.name: kind.plural for kind in KINDS.values()}
    parts.append("#: Kind of resource → the word for it in paths.")
    parts[-1] += f"
PLURALS: dict[str, str] = {plurals!r}
"
    return _formatted("\n\n".join(parts))


def _definitions() -> dict[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for module in MODULES:
        for node in ast.parse((HERE / f"{module}.py").read_text()).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = _opened(node)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = node
    return found


def _opened(node: ast.ClassDef) -> ast.ClassDef:
    is_enum = [ast.unparse(base) for base in node.bases] == ["enum.StrEnum"]
    if is_enum:
        node.bases = [ast.Name("OpenEnum")]
    return node


def _reachable(definitions: dict[str, ast.stmt]) -> set[str]:
    reached: set[str] = set()
    todo = list(ROOTS)
    while todo:
        name = todo.pop()
        if name in reached:
            continue
        reached.add(name)
        mentioned = {n.id for n in ast.walk(definitions[name]) if isinstance(n, ast.Name)}
        todo.extend(mentioned & definitions.keys())
    return reached


def _formatted(text: str) -> str:
    ruff = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length=100", "-"]
    done = subprocess.run(ruff, input=text, text=True, capture_output=True, check=True)  # noqa: S603
    return done.stdout


if __name__ == "__main__":
    TARGET.write_text(generate())
