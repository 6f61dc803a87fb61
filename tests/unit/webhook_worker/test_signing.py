"""Signatures of webhooks and where their secrets come from."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.webhook_worker.signing import CALLBACK, Signer, SigningKey

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
SIGNER = Signer(b"m" * 32)
BODY = '{"ä": 1}'


def test_the_signature_is_what_the_specification_says() -> None:
    """HMAC-SHA256 over ``id.timestamp.body`` with the decoded secret, computed here by hand."""
    key = SigningKey("bigtop", "wh-1")
    headers = SIGNER.headers(key, "msg_1", BODY, NOW)
    secret = base64.b64decode(SIGNER.secret(key).removeprefix("whsec_"))
    content = f"msg_1.{int(NOW.timestamp())}.{BODY}".encode()
    expected = base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
    assert headers == {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": f"v1,{expected}",
    }


def test_secrets_have_the_length_that_the_specification_wants() -> None:
    """Between 24 and 64 bytes."""
    assert len(base64.b64decode(SIGNER.secret(SigningKey("a", "b"))[6:])) == 32


def test_every_subscription_tenant_generation_and_master_key_has_a_secret_of_its_own() -> None:
    """Nobody can compute one secret from another, nor meet one twice."""
    keys = [
        SigningKey("a", "wh-1"),
        SigningKey("b", "wh-1"),
        SigningKey("a", "wh-2"),
        SigningKey("a", "wh-1", 2),
        SigningKey("a", "wh-11"),
        SigningKey("a", CALLBACK),
        SigningKey("b", CALLBACK),
        SigningKey("a", CALLBACK, 2),
        SigningKey("1", "wh"),
    ]
    secrets = [signer.secret(key) for signer in (SIGNER, Signer(b"n" * 32)) for key in keys]
    assert len(set(secrets)) == len(secrets)


def test_the_same_secret_is_derived_every_time() -> None:
    """Secrets needn't be stored."""
    key = SigningKey("a", "wh-1", 3)
    assert Signer(b"m" * 32).secret(key) == SIGNER.secret(key)


@pytest.mark.parametrize(
    ("ages", "generations"),
    [
        ([], [5]),
        ([timedelta(hours=1)], [5, 4]),
        ([timedelta(hours=25)], [5]),
        ([timedelta(hours=25), timedelta(hours=1)], [5, 4]),
        ([timedelta(hours=3), timedelta(hours=1)], [5, 4, 3]),
    ],
)
def test_a_former_secret_signs_along_for_a_day(
    ages: list[timedelta], generations: list[int]
) -> None:
    """However often it was rotated meanwhile, say by a repeat of a call whose answer was lost."""
    now = datetime.now(UTC)  # not that of the import: receivers refuse what is minutes old
    key = SigningKey("a", "wh-1", 5, tuple(now - age for age in ages))
    assert key.signing_generations(now, DAY) == generations
    headers = SIGNER.headers(key, "msg_1", BODY, now)
    assert len(headers["webhook-signature"].split(" ")) == len(generations)
    for generation in range(1, 6):
        webhook = Webhook(SIGNER.secret(key, generation))
        if generation in generations:
            webhook.verify(BODY, headers)
        else:
            with pytest.raises(WebhookVerificationError):
                webhook.verify(BODY, headers)
