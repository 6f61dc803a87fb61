"""Requests are repeated while that may help, and a repeat can't make a second VM."""

from __future__ import annotations

import pytest

from colobus import ApiError, Client, CreateVm, NotAuthorized, NotFound, Phase, TryLater
from colobus.credentials import KeystoneLogin, keystone_login
from colobus.errors import ColobusError, CredentialsError, UnexpectedAnswer, Unreachable
from tests.integration.client.scripted import VM, Answer, Scripted, drops, problem, says, vm

REQUEST = CreateVm(image="debian", flavor="small")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ACCEPTED = says(vm(Phase.REQUESTED, 1), 202)


@pytest.mark.parametrize(
    "trouble",
    [
        drops,
        problem(429),
        problem(502),
        problem(503),
        problem(504),
        problem(409, retryable=True),
        says("<html>a proxy's page</html>", 502),
    ],
)
async def test_a_create_is_repeated_with_the_same_key(
    door: Scripted, client: Client, trouble: Answer
) -> None:
    """Whatever became of the first try, the second one is known to be the same request."""
    door.on("POST", "/v1/vms", trouble, trouble, ACCEPTED)
    assert (await client.create_vm(REQUEST)).id == VM
    keys = door.headers("Idempotency-Key")
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert keys[0]
    assert len({body for *_, body in door.seen}) == 1


async def test_two_creates_have_different_keys(door: Scripted, client: Client) -> None:
    """Asking twice on purpose makes two VMs."""
    door.on("POST", "/v1/vms", ACCEPTED)
    await client.create_vm(REQUEST)
    await client.create_vm(REQUEST)
    assert len(set(door.headers("Idempotency-Key"))) == 2


async def test_a_given_key_is_sent(door: Scripted, client: Client) -> None:
    """A program that may crash itself brings its own key."""
    door.on("POST", "/v1/vms", ACCEPTED)
    await client.create_vm(REQUEST, idempotency_key="job-7")
    assert door.headers("Idempotency-Key") == ["job-7"]


@pytest.mark.parametrize(
    ("given", "sent"), [(TRACE, TRACE), ("", None), ("a\r\nCookie: b", None), (None, None)]
)
async def test_the_callers_trace_goes_on(
    door: Scripted, monkeypatch: pytest.MonkeyPatch, given: str | None, sent: str | None
) -> None:
    """Every request, repeats included, is part of the trace that TRACEPARENT names, if any."""
    monkeypatch.delenv("TRACEPARENT", raising=False)
    if given is not None:
        monkeypatch.setenv("TRACEPARENT", given)
    door.on("POST", "/v1/vms", problem(503), ACCEPTED)
    async with Client(door.url, token="t0k3n") as client:
        await client.create_vm(REQUEST)
    assert door.headers("traceparent") == [sent, sent]


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, ApiError), (404, NotFound), (403, NotAuthorized), (409, ApiError), (422, ApiError)],
)
async def test_a_refusal_is_not_repeated(
    door: Scripted, client: Client, status: int, error: type[ApiError]
) -> None:
    """The same request would be refused again; the problem comes out whole."""
    door.on("POST", "/v1/vms", problem(status, "Bad", errors=[{"detail": "x", "pointer": "/a"}]))
    with pytest.raises(error) as caught:
        await client.create_vm(REQUEST)
    assert caught.value.status == status
    assert caught.value.problem.errors[0].pointer == "/a"
    assert len(door.seen) == 1


async def test_a_longer_pause_than_the_time_there_is_ends_the_tries(door: Scripted) -> None:
    """Retry-After is obeyed: who may not ask again in time doesn't ask again."""
    door.on("GET", f"/v1/vms/{VM}", says({"title": "Slow down"}, 429, Retry_After="3600"))
    async with Client(door.url, token="t", retry_for=5) as client:
        with pytest.raises(TryLater, match="Slow down"):
            await client.get(VM)
    assert len(door.seen) == 1


async def test_retry_after_is_waited_for(door: Scripted, client: Client) -> None:
    """A short Retry-After leads to success."""
    slow = says({"title": "Slow down"}, 429, Retry_After="1")
    door.on("GET", f"/v1/vms/{VM}", slow, says(vm(Phase.ACTIVE, 2)))
    assert (await client.get(VM)).status.phase is Phase.ACTIVE


@pytest.mark.parametrize(
    ("url", "error"),
    [("http://127.0.0.1:1", Unreachable), ("no address", ColobusError), ("ftp://x", ColobusError)],
)
async def test_a_wrong_address_is_an_error_of_ours(url: str, error: type[ColobusError]) -> None:
    """Nothing of the HTTP library gets out."""
    async with Client(url, token="t", retry_for=0.1) as client:
        with pytest.raises(error):
            await client.get(VM)


@pytest.mark.parametrize("answer", [says([]), says("hello"), says({"id": 5})])
async def test_an_answer_of_another_form_is_an_error_of_ours(
    door: Scripted, client: Client, answer: Answer
) -> None:
    """Something else may listen at that address."""
    door.on("GET", f"/v1/vms/{VM}", answer)
    with pytest.raises(UnexpectedAnswer):
        await client.get(VM)


def token(name: str, expires_at: str) -> Answer:
    """A token of Keystone's."""
    return says({"token": {"expires_at": expires_at}}, 201, X_Subject_Token=name)


def login(door: Scripted) -> KeystoneLogin:
    """Alice's login at the scripted Keystone."""
    auth = {"auth_url": door.url, "username": "alice", "password": "p", "project_name": "bigtop"}
    return keystone_login(auth)


async def test_a_keystone_token_is_fetched_once_and_renewed_when_refused(door: Scripted) -> None:
    """A token that was revoked is replaced without the caller noticing."""
    far = "2999-01-01T00:00:00.000000Z"
    door.on("POST", "/v3/auth/tokens", problem(503), token("one", far), token("two", far))
    good = says(vm(Phase.ACTIVE, 2))
    door.on("GET", f"/v1/vms/{VM}", good, good, problem(401), good)
    async with Client(door.url, credentials=login(door)) as client:
        for _ in range(3):
            await client.get(VM)
    asked = [token for token in door.headers("X-Auth-Token") if token]
    assert asked == ["one", "one", "one", "two"]


async def test_a_token_about_to_end_is_renewed(door: Scripted) -> None:
    """No request is sent with a token that may end on its way."""
    past = "2001-01-01T00:00:00.000000Z"
    door.on("POST", "/v3/auth/tokens", token("one", past), token("two", past))
    door.on("GET", f"/v1/vms/{VM}", says(vm(Phase.ACTIVE, 2)))
    async with Client(door.url, credentials=login(door)) as client:
        await client.get(VM)
        await client.get(VM)
    assert [token for token in door.headers("X-Auth-Token") if token] == ["one", "two"]


async def test_a_wrong_password_is_told(door: Scripted) -> None:
    """Keystone's own words come out; there is no second try, which could lock the account."""
    door.on("POST", "/v3/auth/tokens", says({"error": {"message": "Not alice"}}, 401))
    async with Client(door.url, credentials=login(door)) as client:
        with pytest.raises(CredentialsError, match="Not alice"):
            await client.get(VM)
    assert len(door.seen) == 1


async def test_a_refused_fresh_token_is_refused(door: Scripted) -> None:
    """A user whom the front door doesn't know gets its answer instead of an endless loop."""
    far = "2999-01-01T00:00:00.000000Z"
    door.on("POST", "/v3/auth/tokens", token("one", far))
    door.on("GET", f"/v1/vms/{VM}", problem(401, "Who?"))
    async with Client(door.url, credentials=login(door)) as client:
        with pytest.raises(NotAuthorized, match="Who"):
            await client.get(VM)
    assert len(door.seen) == 4
