"""Keys, rates and conversations, each by itself."""

import hashlib

import pytest

from edgewise.config import Config, parse_config
from edgewise.request import Request
from edgewise.server.admission import Keys, Rates
from edgewise.server.conversations import Conversations
from edgewise.server.errors import HttpError

MODEL = """
[models.a]
provider = "p"
free = true
context = 8000
ttft_ms = 100
quality = 0.5
"""


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def test_keys_stand_in_the_file_and_in_the_environment() -> None:
    config = parse_config(f'{MODEL}[tenants.acme]\nkey_sha256 = ["{digest("one")}", "{digest("two")}"]\n')
    keys = Keys(config, f"other:{digest('three')}")
    assert keys.tenant_of({"authorization": "Bearer one"}) == "acme"
    assert keys.tenant_of({"authorization": "bearer  two"}) == "acme"
    assert keys.tenant_of({"x-api-key": "three"}) == "other"
    for headers in ({}, {"authorization": "Bearer"}, {"authorization": f"Bearer {digest('one')}"}, {"x-api-key": "é"}):
        with pytest.raises(HttpError, match="API key"):
            keys.tenant_of(headers)


def test_without_keys_the_door_is_open_and_a_mistake_closes_it() -> None:
    config = parse_config(MODEL)
    assert Keys(config, "").tenant_of({}) is None
    with pytest.raises(HttpError):
        Keys(config, "acme:not-a-hash").tenant_of({})


def is_taken(rates: Rates, tenant: str, config: Config) -> bool:
    try:
        rates.take(tenant, config)
    except HttpError:
        return False
    return True


def test_a_bucket_fills_steadily_up_to_one_minute() -> None:
    now = 1000.0
    config = parse_config(f"{MODEL}[tenants.acme]\nrequests_per_minute = 60\n")
    rates = Rates(clock=lambda: now)

    def taken() -> int:
        return sum(is_taken(rates, "acme", config) for _ in range(1000))

    assert taken() == 60
    with pytest.raises(HttpError) as caught:
        rates.take("acme", config)
    assert (caught.value.status, caught.value.headers) == (429, {"retry-after": "1"})
    now += 2.5
    assert taken() == 2
    now += 3600
    assert taken() == 60
    for _ in range(100):
        rates.take("nobody", config)


def test_strangers_share_the_default_tenants_rate() -> None:
    config = parse_config(f"{MODEL}[tenants.default]\nrequests_per_minute = 2\n")
    rates = Rates(clock=lambda: 0.0)
    rates.take("one", config)
    rates.take("", config)
    with pytest.raises(HttpError):
        rates.take("two", config)


def ask(session: str, tenant: str = "", **fields: object) -> Request:
    return Request.parse({"text": "hello", "session": session, "tenant": tenant, **fields})


def test_a_conversation_is_remembered_for_its_tenant() -> None:
    conversations = Conversations()
    conversations.remember(ask("s", "acme"), "small", 1200)
    known = conversations.recall(ask("s", "acme"))
    assert (known.session_model, known.cached_tokens) == ("small", 1200)
    assert conversations.recall(ask("s", "other")).session_model == ""
    assert conversations.recall(ask("", "acme")).session_model == ""
    assert conversations.recall(ask("s", "acme", session_model="large")).session_model == "large"


def test_the_oldest_conversations_are_forgotten() -> None:
    conversations = Conversations(most=2)
    for session in ("one", "two", "one", "three"):
        conversations.remember(ask(session), "small", 1)
    assert [conversations.recall(ask(session)).session_model for session in ("one", "two", "three")] == [
        "small", "", "small",
    ]  # fmt: skip
