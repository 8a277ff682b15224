"""Requests to an S3 server that no client of ours makes: signed by hand (AWS Signature Version 4)."""

import hashlib
import hmac
import http.client
import urllib.parse
from datetime import UTC, datetime
from typing import NamedTuple

from samovar.adapters.objects import S3Access


class S3Answer(NamedTuple):
    """Header names in lower case."""

    status: int
    headers: dict[str, str]
    body: str


def ask_s3(access: S3Access, method: str, path: str, query: str = "", body: bytes = b"", **more: str) -> S3Answer:
    """``more`` are headers, their hyphens as underscores. ``query`` stands as AWS sorts it, ``x=`` for a bare ``x``."""
    place = urllib.parse.urlsplit(access.endpoint)
    at, digest = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), hashlib.sha256(body).hexdigest()
    headers = {"host": place.netloc, "x-amz-content-sha256": digest, "x-amz-date": at}
    headers |= {name.replace("_", "-").lower(): value for name, value in more.items()}
    names = ";".join(sorted(headers))
    lines = [method, path, query, *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, digest]
    scope = f"{at[:8]}/{access.region}/s3/aws4_request"
    wanted = "\n".join(["AWS4-HMAC-SHA256", at, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()])
    key = f"AWS4{access.secret_access_key}".encode()
    for word in (*scope.split("/"), wanted):
        key = hmac.digest(key, word.encode(), "sha256")
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access.access_key_id}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    )
    connection = http.client.HTTPConnection(place.netloc, timeout=30)
    try:
        connection.request(method, f"{path}?{query}" if query else path, body, headers)
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return S3Answer(answer.status, told, answer.read().decode("utf-8", "replace"))
    finally:
        connection.close()
