"""Makes a configured request ready to be sent: placeholders filled, headers and body as bytes."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import httpx

from conformance.config import fill, fill_header, fill_json, fill_path


def build_request(
    origin: str,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str | None],
    json_body: Any,
    body: str | None,
    names: Mapping[str, str],
) -> httpx.Request:
    """The request, its placeholders filled from `names`; headers whose value is None are left out.

    Raises `PlaceholderError`, `httpx.InvalidURL`, or `UnicodeEncodeError` for what cannot be sent.
    """
    url = _url(origin + fill_path(path, names))
    filled = {name: fill_header(value, names) for name, value in headers.items() if value is not None}
    filled.setdefault("Accept-Encoding", "identity")
    filled.setdefault("User-Agent", "sse-conformance")
    sent = [(name.encode(), value.encode()) for name, value in filled.items()]  # UTF-8, as 9.2.4 has ids
    if json_body is None:
        return httpx.Request(method, url, headers=sent, content=None if body is None else fill(body, names))
    value = fill_json(json_body, names)
    try:
        return httpx.Request(method, url, headers=sent, json=value)
    except UnicodeEncodeError:  # a lone surrogate: JSON can carry it escaped (RFC 8259, section 8.2)
        request = httpx.Request(method, url, headers=sent, content=json.dumps(value).encode())
        request.headers.setdefault("Content-Type", "application/json")
        return request


@lru_cache(maxsize=256)
def _url(text: str) -> httpx.URL:
    """To read a URL takes longer than to send it, and the same few are asked for again and again."""
    return httpx.URL(text)
