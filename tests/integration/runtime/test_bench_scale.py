"""`tollgate bench scale` at a tiny size: it measures every call, and its databases certify."""

from bench import scale
from devservers.postgres import Postgres
from runtime import database
from tests.conftest import fresh_database


async def test_it_measures_every_call_and_certifies(postgres: Postgres) -> None:
    with (
        fresh_database(postgres, "bench_scale_few") as few,
        fresh_database(postgres, "bench_scale_many") as many,
    ):
        engines = {
            100: database.create_engine(few, pool_size=1),
            300: database.create_engine(many, pool_size=1),
        }
        said: list[str] = []
        report = await scale.run(engines, said.append, messages=1_000, new=100, repeated=2)
        for engine in engines.values():
            await engine.dispose()

    document = report.as_json()
    assert document["organizations"] == [100, 300]
    assert document["certify"] is True
    assert all(cost > 0 for costs in report.costs.values() for cost in costs)
    assert {"relay", "seal_idle", "debit", "explain", "scrape", scale.SUSPENSION} <= set(
        document["ratio"]
    )
