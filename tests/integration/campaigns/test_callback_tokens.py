"""The tokens that sign callbacks: stored encrypted, so that Twilio is asked once for each subaccount
and not by each process again and again.
"""

import asyncio
from dataclasses import dataclass

import pytest
from temporalio.testing import ActivityEnvironment
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from activities.audit.passes import Pass
from activities.lifecycle import subaccounts as stored
from api.http import twilio_tokens
from api.http.twilio_tokens import Tokens
from domain.audit.reconciliation import Subject
from providers.twilio import Twilio
from simulators.twilio.app import MAIN_SID
from tests.builders import rows, run
from tests.integration.conftest import Tollgate

GET_ACCOUNT = "GET Accounts/{sid}"
URL = "https://tollgate.example/webhooks/twilio/status?attempt=a.1"
BODY = b"MessageStatus=delivered"


@dataclass(frozen=True)
class Process:
    """What an API process knows of tokens."""

    tokens: Tokens

    @classmethod
    def new(cls, tollgate: Tollgate, twilio: Twilio | None = None) -> "Process":
        return cls(Tokens(tollgate.services.engine, twilio or tollgate.services.twilio))

    async def accepts(self, account_sid: str, token: str) -> bool:
        assert await self.tokens.organization(account_sid) is not None
        signature = RequestValidator(token).compute_signature(URL, {"MessageStatus": "delivered"})
        return await self.tokens.signed(account_sid, URL, BODY, signature)


def token_of(tollgate: Tollgate, account_sid: str) -> str:
    return tollgate.twilio.state.accounts[account_sid].auth_token


def calls(tollgate: Tollgate) -> int:
    return tollgate.twilio.state.calls[GET_ACCOUNT]


async def down(tollgate: Tollgate) -> None:
    await tollgate.http.post(
        f"{tollgate.twilio.url}/_sim/faults", json={"kind": "down", "path": ".*Accounts"}
    )


async def test_callbacks_of_many_organizations_make_no_process_ask_for_their_tokens(
    tollgate: Tollgate,
) -> None:
    for number in range(20):
        await tollgate.onboard(f"organization-{number}", balance=None)
    asked_when_onboarded = calls(tollgate)

    for process in [Process.new(tollgate) for _ in range(3)]:
        for account_sid in tollgate.accounts.values():
            assert await process.accepts(account_sid, token_of(tollgate, account_sid))

    assert asked_when_onboarded == 20
    assert calls(tollgate) == asked_when_onboarded


async def test_a_subaccount_whose_token_is_not_stored_is_asked_about_once(
    tollgate: Tollgate,
) -> None:
    """As on the first callbacks after an upgrade."""
    await tollgate.onboard()
    account_sid = tollgate.accounts["acme"]
    await run(tollgate.services.engine, "DELETE FROM subaccount_tokens")
    before = calls(tollgate)

    for process in [Process.new(tollgate) for _ in range(3)]:
        assert await process.accepts(account_sid, token_of(tollgate, account_sid))

    assert calls(tollgate) == before + 1


async def test_callbacks_that_arrive_while_the_token_is_fetched_are_all_accepted(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    account_sid = tollgate.accounts["acme"]
    await run(tollgate.services.engine, "DELETE FROM subaccount_tokens")
    before, process = calls(tollgate), Process.new(tollgate)

    accepted = await asyncio.gather(
        *(process.accepts(account_sid, token_of(tollgate, account_sid)) for _ in range(10))
    )

    assert all(accepted)
    assert calls(tollgate) == before + 1


async def test_a_process_that_starts_while_twilio_is_down_verifies_callbacks(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    account_sid = tollgate.accounts["acme"]
    await down(tollgate)

    process = Process.new(tollgate)

    assert await process.accepts(account_sid, token_of(tollgate, account_sid))
    assert not await process.accepts(account_sid, "f" * 32)


async def test_a_new_token_is_stored_for_all_processes_and_the_old_one_is_refused(
    tollgate: Tollgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tollgate.onboard()
    account_sid = tollgate.accounts["acme"]
    first, other = Process.new(tollgate), Process.new(tollgate)
    old = token_of(tollgate, account_sid)
    assert await first.accepts(account_sid, old)
    assert await other.accepts(account_sid, old)
    new = tollgate.twilio.state.accounts[account_sid].auth_token = "e" * 32

    assert await first.accepts(account_sid, new)
    monkeypatch.setattr(twilio_tokens, "KEPT", 0.0)  # ten minutes later
    await down(tollgate)

    assert await other.accepts(account_sid, new)
    assert not await first.accepts(account_sid, old)
    assert not await other.accepts(account_sid, old)


async def test_a_stolen_database_holds_no_token(tollgate: Tollgate) -> None:
    await tollgate.onboard("acme")
    await tollgate.onboard("other")
    engine, twilio = tollgate.services.engine, tollgate.services.twilio
    token = token_of(tollgate, tollgate.accounts["acme"])
    thief = Twilio(
        client=tollgate.to_twilio, account_sid=MAIN_SID, auth_token="another", base_url="http://x"
    )

    found = {
        row.account_sid: row.encrypted
        for row in await rows(engine, "SELECT * FROM subaccount_tokens")
    }
    encrypted = found[tollgate.accounts["acme"]]

    assert token.encode() not in encrypted
    assert twilio.decrypted_token(tollgate.accounts["acme"], encrypted) == token
    assert twilio.decrypted_token(tollgate.accounts["other"], encrypted) is None  # rows exchanged
    assert thief.decrypted_token(tollgate.accounts["acme"], encrypted) is None


async def test_after_a_change_of_the_parents_token_each_is_fetched_and_stored_again(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    account_sid = tollgate.accounts["acme"]
    tollgate.twilio.state.main.auth_token = "d" * 32
    changed = Twilio(
        client=tollgate.to_twilio,
        account_sid=MAIN_SID,
        auth_token="d" * 32,
        base_url=tollgate.twilio.url,
    )
    before = calls(tollgate)

    for process in [Process.new(tollgate, changed) for _ in range(2)]:
        assert await process.accepts(account_sid, token_of(tollgate, account_sid))

    assert calls(tollgate) == before + 1


async def test_a_comparison_stores_the_tokens_and_parents_of_all_by_pages(
    tollgate: Tollgate,
) -> None:
    """As the first one after an upgrade."""
    engine = tollgate.services.engine
    for number in range(3):
        await tollgate.onboard(f"organization-{number}", balance=None)
    await run(engine, "DELETE FROM subaccount_tokens")
    await run(engine, "UPDATE organizations SET twilio_parent_sid = NULL")
    rotated = tollgate.accounts["organization-1"]
    tollgate.twilio.state.accounts[rotated].auth_token = "c" * 32
    before = calls(tollgate)

    at = Pass(subject=Subject.TWILIO)
    while not at.done:
        at = await ActivityEnvironment().run(tollgate.services.passes.reconcile, at)
    await down(tollgate)
    process = Process.new(tollgate)

    for account_sid in tollgate.accounts.values():
        assert await process.accepts(account_sid, token_of(tollgate, account_sid))
    parents = await rows(engine, "SELECT twilio_parent_sid FROM organizations")
    assert {row.twilio_parent_sid for row in parents} == {MAIN_SID}
    assert calls(tollgate) == before


async def test_what_has_not_changed_is_not_written_again(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    engine, twilio = tollgate.services.engine, tollgate.services.twilio
    versions = "SELECT xmin::text, ctid::text FROM subaccount_tokens"
    before = await rows(engine, versions)
    account = await twilio.get_account(tollgate.accounts["acme"])
    nobodys = await twilio.get_account(await tollgate.account(friendly_name="nobody"))

    async with engine.begin() as conn:
        await stored.keep(conn, twilio, [account, nobodys])

    assert await rows(engine, versions) == before
