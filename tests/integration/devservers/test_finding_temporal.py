"""The search for the Temporal dev server's program, and the message if it is not found."""

from pathlib import Path

import pytest

from devservers.temporal import CLI_VERSION, NoTemporal, find_program

NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _nothing_on_path_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HTTPS_PROXY", NOBODY_LISTENS)
    monkeypatch.setenv("HTTP_PROXY", NOBODY_LISTENS)


async def test_a_program_on_path_comes_first(tmp_path: Path) -> None:
    on_path = _program(tmp_path / "bin" / "temporal")
    _program(tmp_path / "cache" / f"temporal-{CLI_VERSION}")

    assert await find_program(tmp_path / "cache") == on_path


async def test_our_cache_comes_second(tmp_path: Path) -> None:
    cached = _program(tmp_path / "cache" / f"temporal-{CLI_VERSION}")

    assert await find_program(tmp_path / "cache") == cached


async def test_when_nothing_works_the_error_names_all_four_ways(tmp_path: Path) -> None:
    with pytest.raises(NoTemporal) as refusal:
        await find_program(tmp_path / "cache", say=lambda _line: None)

    message = str(refusal.value)
    for way in (
        "TEMPORAL_ADDRESS",
        "on PATH",
        "our cache",
        "the SDK's download",
        "a build with Go",
    ):
        assert way in message
    assert list((tmp_path / "cache").iterdir()) == []


def _program(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path
