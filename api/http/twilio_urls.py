"""The URL that Twilio called, over which it signs."""

from fastapi import Request


def called(request: Request, public_url: str) -> str:
    """The public address, independent of proxies, with the path and query of the request."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    return public_url + (path + b"?" + query if query else path).decode("latin-1")
