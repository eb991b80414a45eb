"""Rotation of an account's token: `accounts.twilio.com/v1/AuthTokens/Secondary` and `/Promote`.

Both tokens authenticate until the secondary one is promoted; then only that one does. Callbacks are
signed with the primary token (Twilio's page of the AuthToken resource).
"""

from datetime import UTC, datetime

from simulators.twilio.answers import Answer, Refusal, not_found, ok
from simulators.twilio.state import Account, State


def rotate(state: State, account: Account, method: str, base: str, path: str) -> Answer:
    match method, path.removeprefix("/v1/AuthTokens/"):
        case "POST", "Secondary":
            if account.secondary_token is not None:
                raise Refusal(409, 20009, "A secondary auth token exists already")
            account.secondary_token = f"{state.chance.getrandbits(128):032x}"
            return ok(_json(account, "secondary_auth_token", account.secondary_token, base), 201)
        case "DELETE", "Secondary":
            if account.secondary_token is None:
                raise not_found(path)
            account.secondary_token = None
            return Answer(204, b"")
        case "POST", "Promote":
            if account.secondary_token is None:
                raise not_found(path)
            account.auth_token, account.secondary_token = account.secondary_token, None
            return ok(_json(account, "auth_token", account.auth_token, base))
    raise not_found(path)


def _json(account: Account, name: str, token: str, base: str) -> dict[str, str]:
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    kind = "Secondary" if name.startswith("secondary") else "Promote"
    return {
        "account_sid": account.sid,
        name: token,
        "date_created": now,
        "date_updated": now,
        "url": f"{base}/v1/AuthTokens/{kind}",
    }
