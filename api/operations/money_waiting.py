"""Money that waits for a person, as one list, with the requests that resolve each."""

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.context import Here
from api.http.auth import OPERATOR
from api.http.cursors import Cursor, Cursors, Limit, Page
from api.http.fields import CurrencyOut, Decimal, Reference, Time, options
from db.operations import money_waiting
from db.operations.money_waiting import Place, Waiting, WaitingKind

router = APIRouter(prefix="/v1/money-waiting", tags=["operations"])
_CURSORS: Cursors[Place] = Cursors("money_waiting", tuple[AwareDatetime, Reference])


class ActOut(BaseModel):
    """A request that resolves it, or a part of that."""

    model_config = ConfigDict(title="PossibleAct")

    method: str = Field(examples=["POST"], description="The method of the request.")
    path: str = Field(
        examples=["/v1/inbound-deliveries/17/dismiss"], description="The path of the request."
    )
    about: str = Field(examples=["dismiss it"], description="What it does.")


class MoneyWaitingOut(BaseModel):
    """Money that somebody has to move, or to decide about."""

    model_config = ConfigDict(title="MoneyWaiting")

    kind: str = Field(description="What it is.", json_schema_extra=options(WaitingKind))
    organization_id: str | None = Field(description="Whose it is; null if unknown.")
    provider: str | None = Field(examples=["paypal"], description="The provider that reported it.")
    reference: str = Field(
        description="The provider's id of the payment, refund or dispute; or the alert's kind."
    )
    amount: Decimal | None = Field(description="As the provider reported it; null if unknown.")
    currency: CurrencyOut | None = Field(description="ISO 4217 code.")
    payer: str = Field(description="The payer that the provider reported.")
    custom_id: str | None = Field(
        description="The payer's reference: what the host application wrote into the payment."
    )
    since: Time = Field(description="Since when it waits.")
    deadline: Time | None = Field(
        description="By when a dispute has to be answered, as its webhook says."
    )
    why: str = Field(description="Why it waits.")
    to_do: str = Field(description="What a person should do.")
    acts: list[ActOut] = Field(description="The requests that resolve it.")

    @classmethod
    def of(cls, waiting: Waiting) -> "MoneyWaitingOut":
        return cls(
            kind=waiting.kind.value,
            organization_id=waiting.organization_id,
            provider=waiting.provider and waiting.provider.value,
            reference=waiting.reference,
            amount=waiting.amount and waiting.amount.micros,
            currency=waiting.amount and waiting.amount.currency,
            payer=waiting.payer,
            custom_id=waiting.custom_id,
            since=waiting.since,
            deadline=waiting.deadline,
            why=waiting.why,
            to_do=waiting.to_do,
            acts=_acts(waiting),
        )


class MoneyWaitingPage(Page[MoneyWaitingOut]):
    pass


@router.get(
    "",
    dependencies=[OPERATOR],
    operation_id="list_money_waiting",
    summary="List money that waits for a person",
)
async def page(here: Here, cursor: Cursor = None, limit: Limit = 100) -> MoneyWaitingPage:
    """Returns payments and refunds that could not be booked, open disputes, and alerts about money
    of all organizations, the oldest first.
    """
    after = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        found = await money_waiting.page(conn, after=after, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, money_waiting.place_of)
    return MoneyWaitingPage(
        data=[MoneyWaitingOut.of(waiting) for waiting in shown], next_cursor=following
    )


def _acts(waiting: Waiting) -> list[ActOut]:
    organization = f"/v1/organizations/{waiting.organization_id or '{organization_id}'}"
    if waiting.delivery_id is not None:
        delivery = f"/v1/inbound-deliveries/{waiting.delivery_id}"
        acts = [
            ActOut(method="POST", path=f"{delivery}/retry", about="query the provider again now"),
            ActOut(method="POST", path=f"{delivery}/dismiss", about="dismiss it, once resolved"),
        ]
        if waiting.kind is WaitingKind.PAYMENT:
            about = "credit it, with the payment's id as the reference"
            path = f"{organization}/wallet/credits"
            acts.insert(1, ActOut(method="POST", path=path, about=about))
        return acts
    if waiting.kind is WaitingKind.DISPUTE:
        path = f"{organization}/blocks/dispute/{waiting.reference}"
        return [ActOut(method="DELETE", path=path, about="let it send before that is decided")]
    path = f"/v1/alerts/{waiting.alert_id}/close"
    return [ActOut(method="POST", path=path, about="close the alert, once resolved")]
