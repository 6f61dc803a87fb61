"""Golden images: disks that machines are cloned from, built here of Debian packages.

`IMAGES` is their table. A built image is kept in the cache under a name that holds a digest of all
it was made of, so a newer kernel or another line of a script makes another image.
"""

from __future__ import annotations

from devcloud.images.debian_image import DebianImage
from devcloud.images.image import GoldenImage
from devcloud.images.tiny_image import TinyImage

IMAGES: tuple[type[GoldenImage], ...] = (TinyImage, DebianImage)

__all__ = ["IMAGES", "DebianImage", "GoldenImage", "TinyImage"]
