"""The types that the client ships are the contract's, and newer servers don't break them."""

from __future__ import annotations

import msgspec

from colobus import models
from shared.contract import generate_client_models
from shared.contract.kinds import KINDS


def test_the_generated_file_is_up_to_date() -> None:
    """Whoever changes the contract regenerates the client's types in the same change."""
    generated = generate_client_models.generate()
    assert generate_client_models.TARGET.read_text() == generated, "run `make models`"


def test_every_kind_has_its_path() -> None:
    """The client builds paths from the same plurals as the front door."""
    assert {kind.name: kind.plural for kind in KINDS.values()} == models.PLURALS


def test_a_reason_that_the_client_does_not_know_is_kept() -> None:
    """A server may learn new words before its clients do."""
    status = msgspec.json.decode(b'{"phase":"active","reason":"moon_phase"}', type=models.Status)
    assert status.phase is models.Phase.ACTIVE
    assert str(status.reason) == "moon_phase"


def test_a_field_that_the_client_does_not_know_is_ignored() -> None:
    """A server may say more of a resource before its clients can read it."""
    status = msgspec.json.decode(b'{"phase":"active","mood":"good"}', type=models.Status)
    assert status == models.Status(phase=models.Phase.ACTIVE)
