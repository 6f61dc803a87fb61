"""MariaDB: several of them on one machine, of as many developer clouds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devcloud.api import Supervisor
from devcloud.components import mariadb
from tests.support.devcloud import own_cloud


@pytest.fixture
def cloud() -> Iterator[Supervisor]:
    """A server of this test's own."""
    with own_cloud("test-mariadb") as made:
        made.up(["mariadb"])
        yield made


def test_its_temporary_tables_are_where_no_other_server_removes_them(cloud: Supervisor) -> None:
    """Each that starts, or makes its system tables, removes all in its directory; /tmp is all's."""
    told = mariadb.query(cloud.site, "SELECT @@tmpdir")
    assert told.strip() == str(cloud.site.paths.run)
    made = "CREATE TEMPORARY TABLE mysql.t (a INT) ENGINE=Aria; INSERT INTO mysql.t VALUES (7);"
    assert mariadb.query(cloud.site, f"{made} SELECT a FROM mysql.t").strip() == "7"
