"""PayPal's access token: which one is used, for how long, and what invalidates it."""

import pytest

from providers.errors import ProviderUnavailable
from providers.http import fast_client
from providers.paypal.oauth import Tokens
from tests.unit.providers.local import Received, Reply, reply, serving

HOUR = 3600


def token(value: str) -> Reply:
    return reply({"access_token": value, "expires_in": HOUR})


@pytest.mark.parametrize(("id_", "secret"), [("", "secret"), ("id", "")])
def test_an_empty_id_or_secret_is_refused_at_the_start(id_: str, secret: str) -> None:
    with pytest.raises(ValueError, match="client id and a client secret"):
        Tokens(fast_client(), id_, secret)


async def test_an_expired_token_is_not_used_even_without_a_replacement() -> None:
    now = [0.0]
    answers = [token("A1"), Reply(503)]
    async with serving(lambda _: answers.pop(0)) as server, fast_client(server.url) as client:
        tokens = Tokens(client, "id", "secret", clock=lambda: now[0])
        await tokens.current()
        now[0] = HOUR

        with pytest.raises(ProviderUnavailable):
            await tokens.current()


async def test_a_token_that_was_refused_meanwhile_is_not_kept_while_there_is_no_other() -> None:
    now = [0.0]
    kept: list[Tokens] = []

    def answer(_: Received) -> Reply:
        if now[0] == 0:
            return token("A1")
        kept[0].forget("A1")
        return Reply(503)

    async with serving(answer) as server, fast_client(server.url) as client:
        tokens = Tokens(client, "id", "secret", clock=lambda: now[0])
        kept.append(tokens)
        await tokens.current()
        now[0] = HOUR * 0.9
        with pytest.raises(ProviderUnavailable):
            await tokens.current()


async def test_only_the_token_that_was_refused_is_forgotten() -> None:
    answers = [token("A1"), token("A2")]
    async with serving(lambda _: answers.pop(0)) as server, fast_client(server.url) as client:
        tokens = Tokens(client, "id", "secret")
        tokens.forget("A1")
        first = await tokens.current()
        tokens.forget("A0")
        second = await tokens.current()
        tokens.forget("A1")
        third = await tokens.current()

    assert (first, second, third) == ("A1", "A1", "A2")


@pytest.mark.parametrize("value", [None, "", "A\n1"])
async def test_an_answer_without_a_usable_token_is_none(value: str | None) -> None:
    answer = reply({"access_token": value, "expires_in": HOUR})
    async with serving(lambda _: answer) as server, fast_client(server.url) as client:
        with pytest.raises(ProviderUnavailable, match="no access token"):
            await Tokens(client, "id", "secret").current()
