"""Pages of Twilio's newer APIs (`/v1/...`): items under a key, the rest in `meta`."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from simulators.twilio.answers import Refusal, page_number


def page_v1(
    key: str, url: str, given: dict[str, str], items: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The token of a page is the number of items before it."""
    size = min(page_number(given, "PageSize", 50) or 1, 1000)
    page = page_number(given, "Page", 0)
    token = given.get("PageToken", "")
    if page and not token:
        raise Refusal(400, 20006, "Page number out of range")
    start = page_number({"PageToken": token.removeprefix("PT")}, "PageToken", 0)

    def link(of: int, before: int = 0) -> str:
        more = {"PageToken": f"PT{before}"} if before else {}
        return f"{url}?{urlencode({'PageSize': size, 'Page': of, **more})}"

    end = start + size
    return {
        key: items[start:end],
        "meta": {
            "first_page_url": link(0),
            "key": key,
            "next_page_url": link(page + 1, end) if end < len(items) else None,
            "page": page,
            "page_size": size,
            "previous_page_url": None,
            "url": link(page, start),
        },
    }
