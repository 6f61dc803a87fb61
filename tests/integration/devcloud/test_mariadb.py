"""MariaDB: several of them on one machine, of as many developer clouds."""

from __future__ import annotations

from devcloud.components import mariadb
from tests.support.devcloud import own_cloud


def test_its_temporary_tables_are_where_no_other_server_removes_them() -> None:
    """Each that starts, or makes its system tables, removes all in its directory; /tmp is all's."""
    with own_cloud("test-mariadb") as cloud:
        cloud.up(["mariadb"])
        told = mariadb.query(cloud.site, "SELECT @@tmpdir")
        assert told.strip() == str(cloud.site.paths.run)
        made = "CREATE TEMPORARY TABLE mysql.t (a INT) ENGINE=Aria; INSERT INTO mysql.t VALUES (7);"
        assert mariadb.query(cloud.site, f"{made} SELECT a FROM mysql.t").strip() == "7"
