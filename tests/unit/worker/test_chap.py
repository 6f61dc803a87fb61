"""CHAP accounts are derived: the same each time, and another for all else."""

from __future__ import annotations

import re

from services.iscsi_worker.names import Names
from shared.contract.identifiers import new_id
from shared.worker.chap import Chap

KEY = bytes(range(32))
TARGET = "iqn.2026-11.org.colobus:i1.bigtop.attachment-01jgz0000000000000000000002"
INITIATOR = "iqn.2026-11.org.test:one"


def test_an_account_is_what_it_is() -> None:
    """Initiators were told it: a change of the derivation would lock them out. Pinned here."""
    account = Chap(KEY).account(TARGET, INITIATOR)
    assert account.username == "colobus-34d13ea0df537f155fa4"
    assert str(account.secret) == "kEuAcqq723cEZV-Z"


def test_everything_that_it_is_made_of_makes_another() -> None:
    """Key, target, initiator, generation: name and secret differ."""
    accounts = [
        Chap(KEY).account(TARGET, INITIATOR),
        Chap(bytes(32)).account(TARGET, INITIATOR),
        Chap(KEY).account(TARGET + "x", INITIATOR),
        Chap(KEY).account(TARGET, INITIATOR + "x"),
        Chap(KEY).account(TARGET + "i", INITIATOR[1:]),
        Chap(KEY, generation=2).account(TARGET, INITIATOR),
    ]
    assert len({str(one.secret) for one in accounts}) == len(accounts)
    assert len({one.username for one in accounts}) == len(accounts)


def test_accounts_have_a_form_that_every_target_takes() -> None:
    """ceph-iscsi: names of 8-64, secrets of 12-16; tgt: neither a comma nor an equals sign."""
    chap, names = Chap(KEY), Names("i1")
    for _ in range(500):
        account = chap.account(names.target("bigtop", new_id("attachment")), INITIATOR)
        assert re.fullmatch(r"[a-z0-9-]{8,64}", account.username)
        assert re.fullmatch(r"[A-Za-z0-9_-]{12,16}", account.secret)


def test_no_text_shows_the_secret() -> None:
    """Neither of the account nor of what derives it."""
    account = Chap(KEY).account(TARGET, INITIATOR)
    assert str(account.secret) not in repr(account)
    assert repr(Chap(KEY)) == "Chap(***)"
