"""An act over many organizations, from its preview to what Twilio says of each subaccount."""

from tests.world import World, until


async def test_a_confirmed_suspension_reaches_twilio_for_each_organization(world: World) -> None:
    organization_id, _ = await world.organization()
    await world.applied(organization_id, "active")
    act = {"act": "suspend", "filter": {"q": organization_id}, "reason": "abuse"}
    preview = (await world.api.post("/v1/bulk-acts", json=act)).json()
    path = f"/v1/bulk-acts/{preview['id']}"
    before = await world.standing(organization_id)

    await world.api.post(f"{path}/confirm", json={"digest": preview["digest"]})

    async def done() -> bool:
        return bool((await world.api.get(path)).json()["status"] == "done")

    await until(done, "the bulk act")
    await world.applied(organization_id, "suspended")
    assert before.status.value == "active", "the preview did nothing"
    assert await world.subaccount_status(organization_id) == "suspended"
    await world.certify()
