"""Turns: one organization's requests wait for each other, but not for other organizations."""

import asyncio

import pytest

from activities.turns import TooManyWait, Turns


async def test_so_many_of_one_go_at_once_and_those_of_another_beside_them() -> None:
    turns, order, go_on = Turns(2), list[str](), asyncio.Event()

    async def act(name: str, organization_id: str) -> None:
        async with turns.of(organization_id):
            order.append(name)
            await go_on.wait()

    acting = [asyncio.create_task(act(f"a{n}", "a")) for n in range(3)]
    acting.append(asyncio.create_task(act("b", "b")))
    for _ in range(5):
        await asyncio.sleep(0)
    before = list(order)
    go_on.set()
    await asyncio.gather(*acting)

    assert before == ["a0", "a1", "b"]
    assert order == [*before, "a2"]


async def test_a_caller_that_would_wait_too_long_is_refused_and_takes_no_turn() -> None:
    turns = Turns(1, waiting=1)

    async def act() -> None:
        async with turns.of("a"):
            pass

    async with turns.of("a"):
        second = asyncio.create_task(act())
        await asyncio.sleep(0)
        with pytest.raises(TooManyWait):
            await act()
    await second
    await act()
