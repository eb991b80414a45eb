"""What receivers verify events with: the libraries of Standard Webhooks, and Go's own; and the
examples of the page about events, as they stand there.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from providers.outbound.signatures import SigningKey, headers, new_key

HERE = Path(__file__).parent / "webhook_libraries"
PAGE = Path(__file__).parents[2] / "docs/how-to/react-to-events.md"
BODY = json.dumps(
    {
        "id": "evt_1",
        "type": "organization.suspended",
        "timestamp": "2026-03-02T12:00:00Z",
        "organization_id": "acme",
        "data": {"epoch": 1, "blocks": ["nonpayment"], "reason": "ä €"},
    },
    ensure_ascii=False,
)
HMAC, ED25519 = new_key("v1"), new_key("v1a")
Verify = Callable[[Sequence[Mapping[str, Any]]], list[bool]]


def signed(*keys: SigningKey, secret: SigningKey, **changed: str) -> dict[str, Any]:
    pairs = [(key.scheme, key.raw) for key in keys]
    own = headers("evt_1", int(time.time()), BODY.encode(), pairs)
    return {"secret": secret.shown, "body": BODY, "headers": {**own, **changed}}


def genuine() -> list[dict[str, Any]]:
    """Signed now: the libraries refuse what is older than five minutes."""
    return [signed(HMAC, secret=HMAC), signed(new_key("v1"), HMAC, ED25519, secret=HMAC)]


def forged() -> list[dict[str, Any]]:
    return [
        signed(new_key("v1"), secret=HMAC),
        {**signed(HMAC, secret=HMAC), "body": BODY.replace("acme", "beta")},
        signed(HMAC, secret=HMAC, **{"webhook-id": "evt_2"}),
    ]


def old() -> dict[str, Any]:
    return signed(HMAC, secret=HMAC, **{"webhook-timestamp": str(int(time.time()) - 3_600)})


def missing(problem: str) -> NoReturn:
    """In CI nothing is skipped silently."""
    if os.environ.get("CI"):
        pytest.fail(problem)
    pytest.skip(problem)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the npm packages of the lock file."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        missing("node and npm are not installed")
    directory = tmp_path_factory.mktemp("libraries")
    shutil.copytree(HERE, directory, dirs_exist_ok=True)
    installed = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=directory, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    if installed.returncode:
        missing(f"npm could not install the libraries: {installed.stderr.strip()[-300:]}")
    return directory


def ask(
    command: Sequence[str], messages: Sequence[Mapping[str, Any]], directory: Path
) -> list[bool]:
    lines = "".join(f"{json.dumps(message)}\n" for message in messages)
    done = subprocess.run(
        command, cwd=directory, input=lines, capture_output=True, text=True, timeout=600, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_python(message: Mapping[str, Any]) -> bool:
    try:
        Webhook(message["secret"]).verify(message["body"].encode(), message["headers"])
    except WebhookVerificationError:
        return False
    return True


def test_the_python_library_accepts_ours_and_no_other() -> None:
    assert [by_python(message) for message in genuine()] == [True] * 2
    assert [by_python(message) for message in [*forged(), old()]] == [False] * 4


def test_the_npm_library_accepts_ours_and_no_other(libraries: Path) -> None:
    verdicts = ask(["node", "verify.js"], [*genuine(), *forged(), old()], libraries)

    assert verdicts == [True] * 2 + [False] * 4


def test_go_accepts_both_schemes_and_no_forgery(tmp_path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed")
    private = [signed(ED25519, secret=ED25519), signed(HMAC, ED25519, secret=ED25519)]
    others = [*forged(), signed(new_key("v1a"), secret=ED25519), signed(HMAC, secret=ED25519)]
    command = [go, "run", str(HERE / "verify.go")]

    verdicts = ask(command, [*genuine(), *private, *others], tmp_path)

    assert verdicts == [True] * 4 + [False] * len(others)


def example(language: str) -> str:
    [code] = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(code)


def test_the_example_in_python_handles_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    handled: list[tuple[str, list[str]]] = []
    monkeypatch.setenv("WEBHOOK_SECRET", HMAC.shown)
    names: dict[str, Any] = {
        "first_time": lambda _: True,
        "show_banner": lambda *about: handled.append(about),
    }
    exec(example("python"), names)
    message = signed(HMAC, secret=HMAC)

    assert names["receive"](BODY.encode(), message["headers"]) == 204
    assert names["receive"](BODY.encode() + b" ", message["headers"]) == 400
    assert handled == [("acme", ["nonpayment"])]


def test_the_example_in_typescript_handles_an_event(libraries: Path) -> None:
    (libraries / "example.ts").write_text(example("ts"))
    message = signed(HMAC, secret=HMAC)
    verdicts = [
        subprocess.run(
            ["node", "handle.js", "example.ts"],
            cwd=libraries,
            input=json.dumps({"body": body, "headers": message["headers"]}),
            env={**os.environ, "WEBHOOK_SECRET": HMAC.shown},
            capture_output=True,
            text=True,
            timeout=600,
            check=True,
        ).stdout
        for body in (BODY, f"{BODY} ")
    ]

    assert json.loads(verdicts[0]) == {"status": 204, "handled": [["acme", ["nonpayment"]]]}
    assert json.loads(verdicts[1]) == {"status": 400, "handled": []}
