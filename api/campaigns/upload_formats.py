"""The format of an uploaded file of recipients, by its media type."""

from dataclasses import dataclass
from email.message import Message
from typing import Annotated, Literal

from fastapi import Query, Request

from api.campaigns import uploads
from api.campaigns.uploads import CSV, NDJSON, UnknownCharset
from api.http.errors import Kind, Problem

Unused = Annotated[
    Literal["refuse", "ignore"],
    Query(description="What to do with columns or keys besides the number, which are not used."),
]


@dataclass(frozen=True, slots=True)
class Format:
    """What the request says of its file; `charset` is None where it says nothing."""

    media_type: str
    charset: str | None
    ignore_unused: bool


def format_of(request: Request, *, ignore_unused: bool) -> Format:
    """Raises `Problem`: neither NDJSON nor CSV, compressed, or in a charset that is not read."""
    header = Message()
    header["Content-Type"] = request.headers.get("content-type", "")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in (NDJSON, CSV):
        raise Problem(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            f"send {NDJSON} or {CSV}",
            headers={"Accept": f"{NDJSON}, {CSV}"},
        )
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Problem(Kind.UNSUPPORTED_ENCODING, "send the file as it is, without Content-Encoding")
    try:
        return Format(media_type, uploads.charset(header.get_content_charset("")), ignore_unused)
    except UnknownCharset as problem:
        raise Problem(Kind.UNSUPPORTED_CHARSET, str(problem)) from problem
