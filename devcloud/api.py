"""The developer cloud for Python code: tests stop, start and kill its parts.

cloud = open_devcloud()
cloud.stop("keystone")
cloud.start("keystone")
environment = cloud_environment(cloud.site)
"""

from __future__ import annotations

from devcloud.environment import cloud_environment
from devcloud.paths import Paths
from devcloud.site import NotSetUp, Site
from devcloud.supervisor import DevCloudFailed, Status, Supervisor

__all__ = [
    "DevCloudFailed",
    "NotSetUp",
    "Paths",
    "Site",
    "Status",
    "Supervisor",
    "cloud_environment",
    "open_devcloud",
]


def open_devcloud(paths: Paths | None = None, *, create: bool = False) -> Supervisor:
    """Return the developer cloud in these folders (default: those the environment names).

    Args:
        paths: State and cache folder.
        create: Allow a cloud that was never brought up; else that is `NotSetUp`.
    """
    return Supervisor(Site.open(paths, create=create))
