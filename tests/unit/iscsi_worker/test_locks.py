"""What the lock on an image is called."""

from __future__ import annotations

import pytest

from services.iscsi_worker.rbd_backend import lock_of


@pytest.mark.parametrize(("length", "named"), [(1, True), (90, True), (91, False), (115, False)])
def test_a_lock_has_the_images_name_where_it_fits(length: int, named: bool) -> None:
    """Ceph takes 100 bytes, some of which are its own; others' locks are not ours."""
    image = "i" * length
    lock = lock_of(image)
    assert (lock == image) is named
    assert len(lock) <= 90
    assert lock == lock_of(image)
    assert lock != lock_of(image[:-1] + "x")
