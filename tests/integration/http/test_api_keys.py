"""API keys are listed and read, by operators alone, and never with their secrets."""

from db.api_keys import Scope
from tests.integration.conftest import Tollgate

KEYS = "/v1/api-keys"


async def test_keys_are_listed_and_read_without_their_secrets(tollgate: Tollgate) -> None:
    listed = await tollgate.get(KEYS)
    data = listed.json()["data"]
    first = (await tollgate.get(f"{KEYS}?limit=1")).json()
    rest = (await tollgate.get(f"{KEYS}?cursor={first['next_cursor']}")).json()
    response = await tollgate.get(f"{KEYS}/{data[0]['id']}")
    absent = [await tollgate.get(f"{KEYS}/{id_}") for id_ in ("key_000000000000", "%00")]

    assert {key["scope"] for key in data} == {"read", "write", "operator"}
    assert [*first["data"], *rest["data"]] == data
    assert response.json() == data[0]
    assert data[0].keys() == {"id", "name", "scope", "created_at", "revoked_at"}
    assert not [secret for secret in tollgate.keys.values() if secret in listed.text]
    assert {answer.status_code for answer in absent} == {404}


async def test_only_operators_see_them(tollgate: Tollgate) -> None:
    for scope in (Scope.READ, Scope.WRITE):
        answer = await tollgate.get(KEYS, scope=scope)

        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
