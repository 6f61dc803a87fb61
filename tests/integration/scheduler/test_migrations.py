"""The tables that the migrations make."""

from __future__ import annotations

import psycopg


def test_there_is_nothing_that_nobody_uses(ledger_dsn: str) -> None:
    """Refusals are in ``full_clouds`` and ``scarce_nodes``, not in what those took the place of."""
    with psycopg.connect(ledger_dsn) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'scheduler'"
        ).fetchall()
    columns = set(rows)
    assert ("full_clouds", "not_before") in columns
    assert ("scarce_nodes", "not_before") in columns
    assert ("resources", "not_before") not in columns
    assert "releases" not in {table for table, _ in columns}
