"""What the Hub's answer to `/resolve/` says of a file: where its bytes are, until when, and which they are."""

import math
import time
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs, urlsplit

from episeek.stores.identity import FileIdentity, etag_id

_LFS_ETAG_LENGTH = 64
"""Hexadecimal digits of a SHA-256; the Hub gives it as the ETag of large files, and git's SHA-1 of the others."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a file are."""

    url: str
    headers: Mapping[str, str]
    identity: FileIdentity
    expires: float
    """On the monotonic clock."""


def store_ids(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The identities in the Hub's answer, the strongest first: LFS's SHA-256, Xet's hash, or git's as `etag:`."""
    etag = etag_id(headers.get("X-Linked-ETag") or headers.get("ETag"))
    value = etag[0].removeprefix("etag:") if etag else ""
    is_digest = len(value) == _LFS_ETAG_LENGTH and all(digit in "0123456789abcdef" for digit in value)
    xet = headers.get("X-Xet-Hash")
    return (
        *((f"sha256:{value}",) if is_digest else ()),
        *((f"xet:{xet}",) if xet else ()),
        *(() if is_digest else etag),
    )


def lifetime_seconds(url: str, date: str | None) -> float:
    """How long a signed URL is good for; infinite where it does not say.

    CloudFront: Expires, seconds since 1970. S3: X-Amz-Date and X-Amz-Expires, seconds. Counted from the answer's Date: the
    clock of this machine may be another.
    """
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    try:
        if "Expires" in query:
            expires = float(query["Expires"])
        elif "X-Amz-Expires" in query:
            signed = time.strptime(query["X-Amz-Date"] + " UTC", "%Y%m%dT%H%M%SZ %Z")
            expires = timegm(signed) + float(query["X-Amz-Expires"])
        else:
            return math.inf
        return expires - (time.time() if date is None else parsedate_to_datetime(date).timestamp())
    except (KeyError, ValueError, TypeError):
        return math.inf


def origin(url: str) -> tuple[str, str]:
    """Scheme and authority: what may be told the token."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
