"""Ceph as a client sees it, without waiting for ever for what is down."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from devcloud.ceph_settings import POOL, WORKER, conf_path
from devcloud.site import Site

PATIENCE = {
    "client_mount_timeout": "20",
    "rados_mon_op_timeout": "20",
    "rados_osd_op_timeout": "20",
}


def libraries() -> tuple[ModuleType, ModuleType]:
    """Return `rados` and `rbd`: they are there only after devcloud has installed them."""
    importlib.invalidate_caches()
    return importlib.import_module("rados"), importlib.import_module("rbd")


@contextmanager
def connected(site: Site, user: str = WORKER) -> Iterator[Any]:
    """Provide a connection to the cluster."""
    rados, _ = libraries()
    with rados.Rados(conffile=str(conf_path(site)), name=user, conf=PATIENCE) as cluster:
        yield cluster


@contextmanager
def opened(site: Site, pool: str = POOL, user: str = WORKER) -> Iterator[Any]:
    """Provide an I/O context of a pool."""
    with connected(site, user) as cluster, cluster.open_ioctx(pool) as context:
        yield context


def make_image(site: Site, name: str, content: bytes = b"", size: int = 16 << 20) -> None:
    """Make an image that begins with `content`."""
    _, rbd = libraries()
    with opened(site) as context:
        rbd.RBD().create(context, name, size)
        if content:
            with rbd.Image(context, name) as image:
                image.write(content, 0)


def read_image(site: Site, name: str, offset: int, length: int) -> bytes:
    """Return what is in an image."""
    _, rbd = libraries()
    with opened(site) as context, rbd.Image(context, name, read_only=True) as image:
        content: bytes = image.read(offset, length)
        return content
