"""Uses some operations of the generated client; type-checked with it, and imported."""

from tollgate_client import AuthenticatedClient
from tollgate_client.api.organizations import check_sending, list_organizations
from tollgate_client.api.wallet import create_hold, debit_wallet
from tollgate_client.models import HoldRequest, PostingRequest, Problem


def tour(client: AuthenticatedClient) -> str:
    page = list_organizations.sync(client=client, limit=10)
    if page is None or isinstance(page, Problem):
        return "no page"
    for organization in page.data:
        answer = check_sending.sync(organization.id, client=client)
        if answer is None or isinstance(answer, Problem):
            return organization.name
    posting = PostingRequest(amount="1.00", currency="USD", reference_id="order-991")
    debit_wallet.sync("acme", client=client, body=posting)
    return create_hold.__name__ + HoldRequest.__name__


AuthenticatedClient(base_url="http://127.0.0.1:8000", token="tg_1")  # noqa: S106 - made up
