"""Several parent accounts at Twilio: each organization's subaccount is reached through its own."""

import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from db.lifecycle import subaccounts
from domain.campaigns.telephony import Accepted, AccountStatus, NotProcessed, OutboundMessage
from providers.errors import NotFound, ProviderRefused, ProviderUnavailable
from providers.http import fast_client
from providers.twilio import Twilio
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN
from tests.builders import number, run
from tests.integration.conftest import Tollgate, organization, serving

SECOND, TOKEN = "AC" + "2" * 32, "2" * 32
GET_ACCOUNT = "GET Accounts/{sid}"
ORGANIZATION = "/v1/organizations/{}"


def two_parents(tollgate: Tollgate, *, token: str = TOKEN) -> Twilio:
    """As a process that starts has it: nothing is known but what is recorded."""

    async def recorded(account_sid: str) -> str | None:
        async with tollgate.services.engine.connect() as conn:
            return await subaccounts.parent_of(conn, account_sid)

    return Twilio(
        client=tollgate.to_twilio,
        account_sid=MAIN_SID,
        auth_token=MAIN_TOKEN,
        base_url=tollgate.twilio.url,
        further={SECOND: token},
        recorded=recorded,
    )


@pytest_asyncio.fixture
async def both(tollgate: Tollgate) -> AsyncIterator[Tollgate]:
    """An API with a further parent account."""
    tollgate.twilio.state.open_parent(SECOND, TOKEN)
    listener = socket.create_server(("127.0.0.1", 0))
    services = replace(tollgate.services, twilio=two_parents(tollgate))
    async with serving(services, listener):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield replace(tollgate, url=url, services=services)


async def onboard(tollgate: Tollgate, id_: str, owner: str) -> str:
    tollgate.accounts[id_] = sid = await tollgate.account(friendly_name=id_, owner=owner)
    created = await tollgate.post("/v1/organizations", organization(id_, sid))
    assert created.status_code == 201, created.text
    return sid


def message(account_sid: str) -> OutboundMessage:
    return OutboundMessage(
        account_sid=account_sid,
        sender="+15005550006",
        to="+14155550100",
        body="Hello",
        status_callback="",
    )


async def test_the_parent_is_found_when_an_organization_is_created(both: Tollgate) -> None:
    of_first = await onboard(both, "first", MAIN_SID)
    await onboard(both, "second", SECOND)

    shown = [(await both.get(ORGANIZATION.format(id_))).json() for id_ in ("first", "second")]
    repeated = await both.post("/v1/organizations", organization("first", of_first))

    assert [one["twilio_parent_sid"] for one in shown] == [MAIN_SID, SECOND]
    assert repeated.status_code == 200


async def test_messages_and_suspensions_go_through_the_parent_that_is_recorded(
    both: Tollgate,
) -> None:
    account_sid = await onboard(both, "second", SECOND)
    before = both.twilio.state.calls.copy()
    twilio = two_parents(both)

    sent = await twilio.send(message(account_sid))
    suspended = await twilio.ensure_status(account_sid, AccountStatus.SUSPENDED)

    assert isinstance(sent, Accepted)
    assert suspended.status is AccountStatus.SUSPENDED
    assert both.twilio.state.calls - before == {
        "POST Accounts/{sid}/Messages": 1,
        "POST Accounts/{sid}": 1,
        GET_ACCOUNT: 1,  # the status is read back, at the right parent at once
    }


async def test_a_parent_that_is_not_recorded_is_looked_for_once_and_remembered(
    both: Tollgate,
) -> None:
    """As after an upgrade, and after a subaccount was moved."""
    account_sid = await onboard(both, "second", SECOND)
    await run(both.services.engine, "UPDATE organizations SET twilio_parent_sid = NULL")
    twilio = two_parents(both)
    before = both.twilio.state.calls[GET_ACCOUNT]

    outcomes = [await twilio.send(message(account_sid)) for _ in range(3)]

    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert both.twilio.state.calls[GET_ACCOUNT] == before + 2


async def test_a_subaccount_that_was_moved_is_found_at_its_new_parent(both: Tollgate) -> None:
    account_sid = await onboard(both, "moved", SECOND)
    both.twilio.state.accounts[account_sid].owner = MAIN_SID
    twilio = two_parents(both)

    account = await twilio.get_account(account_sid)

    assert account.owner_sid == MAIN_SID
    assert isinstance(await twilio.send(message(account_sid)), Accepted)


async def test_while_the_parent_cannot_be_looked_for_nothing_counts_as_sent(both: Tollgate) -> None:
    account_sid = await onboard(both, "second", SECOND)
    await run(both.services.engine, "UPDATE organizations SET twilio_parent_sid = NULL")
    await both.http.post(
        f"{both.twilio.url}/_sim/faults", json={"kind": "down", "path": ".*Accounts"}
    )

    outcome = await two_parents(both).send(message(account_sid))

    assert isinstance(outcome, NotProcessed)
    assert outcome.unreachable


async def test_a_parent_whose_token_is_wrong_does_not_make_its_subaccounts_unknown(
    both: Tollgate,
) -> None:
    account_sid = await onboard(both, "second", SECOND)
    nobodys = await both.account(friendly_name="nobody", owner=MAIN_SID)
    twilio = two_parents(both, token="f" * 32)

    with pytest.raises(ProviderRefused) as refused:
        await twilio.get_account(account_sid)

    assert not isinstance(refused.value, NotFound)
    assert (await twilio.get_account(nobodys)).sid == nobodys


async def test_a_suspended_parent_stops_only_its_own_subaccounts(both: Tollgate) -> None:
    first = await onboard(both, "first", MAIN_SID)
    second = await onboard(both, "second", SECOND)
    both.twilio.state.accounts[SECOND].status = "suspended"
    twilio = two_parents(both)

    assert isinstance(await twilio.send(message(first)), Accepted)
    with pytest.raises(ProviderUnavailable, match="parent account"):
        await twilio.ensure_status(second, AccountStatus.SUSPENDED)


async def test_with_one_parent_nobody_asks_whose_a_subaccount_is(tollgate: Tollgate) -> None:
    async def recorded(_: str) -> str | None:
        raise AssertionError("the only parent has it")

    async with fast_client() as client:
        twilio = Twilio(
            client=client,
            account_sid=MAIN_SID,
            auth_token=MAIN_TOKEN,
            base_url=tollgate.twilio.url,
            recorded=recorded,
        )
        account_sid = await tollgate.account(friendly_name="acme")

        assert isinstance(await twilio.send(message(account_sid)), Accepted)
        assert tollgate.twilio.state.calls[GET_ACCOUNT] == 0


async def test_a_main_account_is_refused_whichever_it_is(both: Tollgate) -> None:
    for sid in (MAIN_SID, SECOND):
        refused = await both.post("/v1/organizations", organization("acme", sid))

        assert refused.status_code == 422
        assert "main account" in refused.text
    assert await number(both.services.engine, "SELECT count(*) FROM organizations") == 0


async def test_the_subaccounts_of_all_parents_are_listed(
    both: Tollgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.twilio.adapter._MOST_LISTED", 2)
    opened = {await onboard(both, f"first-{n}", MAIN_SID) for n in range(3)}
    opened |= {await onboard(both, f"second-{n}", SECOND) for n in range(2)}
    twilio = two_parents(both)

    pages = [await twilio.list_accounts()]
    while pages[-1].next is not None:
        pages.append(await twilio.list_accounts(page=pages[-1].next))
    behind_a_parent_that_is_gone = await twilio.list_accounts(page=f"AC{'3' * 32} /more")

    listed = [account.sid for page in pages for account in page.accounts]
    assert sorted(listed) == sorted({*opened, MAIN_SID, SECOND})
    assert [len(page.accounts) for page in pages] == [2, 2, 2, 1]
    assert behind_a_parent_that_is_gone.next is None
