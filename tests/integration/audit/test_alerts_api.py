"""Alerts over HTTP: listed, acknowledged, closed where that is right."""

from db import alerts
from db.api_keys import Scope
from domain.alerts import AlertKind
from tests.integration.conftest import Tollgate


async def raise_some(tollgate: Tollgate) -> dict[str, str]:
    """The ids by kind."""
    await tollgate.onboard()
    async with tollgate.services.engine.begin() as conn:
        await alerts.raise_(conn, "acme", AlertKind.REFUND, "refund R-1")
        await alerts.raise_(conn, "acme", AlertKind.STUCK, "a step")
        await alerts.raise_(conn, alerts.INSTALLATION, AlertKind.GUARANTEE_1, "a balance")
        return {alert.kind: alert.id for alert in await alerts.standing(conn)}


async def listed(tollgate: Tollgate, query: str = "") -> list[str]:
    answer = await tollgate.get(f"/v1/alerts{query}")
    assert answer.status_code == 200, answer.text
    return [alert["kind"] for alert in answer.json()["data"]]


async def test_alerts_are_filtered_by_kind_severity_organization_and_status(
    tollgate: Tollgate,
) -> None:
    ids = await raise_some(tollgate)
    await tollgate.post(f"/v1/alerts/{ids['stuck']}/acknowledge", {"owner": "jo"})
    await tollgate.post(f"/v1/alerts/{ids['refund']}/close", {"reason": "resolved"})

    assert await listed(tollgate) == ["guarantee_1", "stuck"]
    assert await listed(tollgate, "?severity=page&organization_id=acme") == ["stuck"]
    assert await listed(tollgate, "?organization_id=") == ["guarantee_1"]
    assert await listed(tollgate, "?kind=stuck") == ["stuck"]
    assert await listed(tollgate, "?kind=stuck&severity=info") == []
    assert await listed(tollgate, "?status=open") == ["guarantee_1"]
    assert await listed(tollgate, "?status=acknowledged") == ["stuck"]
    assert await listed(tollgate, "?status=cleared") == ["refund"]
    for query in (
        "?kind=nothing",
        "?severity=high",
        "?status=closed",
        "?cursor=x",
        "?organization_id=%00",
    ):
        assert (await tollgate.get(f"/v1/alerts{query}")).status_code == 422, query


async def test_an_alert_shows_what_it_means_and_who_did_what(tollgate: Tollgate) -> None:
    ids = await raise_some(tollgate)
    path = f"/v1/alerts/{ids['refund']}"
    await tollgate.post(f"{path}/acknowledge", {"owner": "jo", "note": "asked the bank"}, key="a")
    again = await tollgate.post(
        f"{path}/acknowledge", {"owner": "jo", "note": "asked the bank"}, key="a"
    )
    closed = await tollgate.post(f"{path}/close", {"reason": "it was sent"}, key="c")

    record = (await tollgate.get(path)).json()
    assert again.headers["idempotent-replayed"] == "true"
    assert closed.json() == record
    assert [change["change"] for change in record["history"]] == [
        "raised",
        "acknowledged",
        "closed",
    ]
    assert record["runbook"] == "docs/how-to/runbook.md#alert-refund"
    assert record["clears_when"] is None
    assert record["closed_by"].startswith("operator (key_")


async def test_what_clears_by_itself_is_not_closed_by_a_person(tollgate: Tollgate) -> None:
    ids = await raise_some(tollgate)
    body = {"reason": "go away"}

    by_id = await tollgate.post(f"/v1/alerts/{ids['stuck']}/close", body)
    by_kind = await tollgate.ask("DELETE", "/v1/organizations/acme/alerts/stuck")

    assert [(answer.status_code, answer.json()["code"]) for answer in (by_id, by_kind)] == [
        (409, "alert_clears_itself")
    ] * 2
    assert "clears when the step is done" in by_id.json()["detail"]
    assert set(await listed(tollgate)) == set(ids)


async def test_what_is_not_open_is_not_found(tollgate: Tollgate) -> None:
    ids = await raise_some(tollgate)
    path = f"/v1/alerts/{ids['refund']}"
    await tollgate.post(f"{path}/close", {"reason": "resolved"})

    for id_ in (ids["refund"], "alt_0", "x"):
        for act, body in (("close", {"reason": "x"}), ("acknowledge", {})):
            answer = await tollgate.post(f"/v1/alerts/{id_}/{act}", body)
            assert (answer.status_code, answer.json()["code"]) == (404, "alert_not_found"), id_
    for id_ in ("alt_0", "%00"):
        assert (await tollgate.get(f"/v1/alerts/{id_}")).status_code == 404
        assert (await tollgate.get(f"/v1/notification-routes/{id_}")).status_code == 404
    assert (await tollgate.get(path)).json()["status"] == "cleared"


async def test_who_looks_after_an_alert_is_shown_to_operators_only(tollgate: Tollgate) -> None:
    ids = await raise_some(tollgate)
    await tollgate.post(f"/v1/alerts/{ids['stuck']}/acknowledge", {"owner": "jo@example.com"})

    for path in ("/v1/organizations/acme/alerts", "/v1/organizations/acme/explain"):
        by_a_reader = await tollgate.get(path, scope=Scope.READ)
        assert by_a_reader.status_code == 200
        assert "jo@example.com" not in by_a_reader.text, path
        assert "jo@example.com" in (await tollgate.get(path)).text, path
    assert (await tollgate.get("/v1/alerts", scope=Scope.READ)).status_code == 403
