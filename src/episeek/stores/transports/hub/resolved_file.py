"""The Hub's answer to a request for `/resolve/`: the URL of a file's bytes, its time of expiry, and the identity of the file."""

import math
import time
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs, urlsplit

from episeek.stores.identity import FileIdentity, etag_id

_LFS_ETAG_LENGTH = 64
"""Number of hexadecimal digits of a SHA-256, the ETag of large files. The ETag of other files is git's SHA-1."""


@dataclass(frozen=True, slots=True)
class ResolvedFile:
    """The URL at which the bytes of a file can be read, and the identity of the file."""

    url: str
    headers: Mapping[str, str]
    """Headers to send to that URL: the token, if the bytes are on the Hub itself."""
    identity: FileIdentity
    expires_at: float
    """The time at which the URL expires, in seconds on the monotonic clock."""


def store_ids(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the identities in an answer of the Hub, the strongest first: `sha256:` of LFS, `xet:`, or `etag:` with git's hash."""
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
    """Return the seconds until a signed URL expires, or infinity if the URL does not contain the time.

    URLs of CloudFront contain Expires, in seconds since 1970. URLs of S3 contain X-Amz-Date, and X-Amz-Expires in seconds after
    this date. The seconds are counted from the Date header of the answer, because the clock of this machine may differ.

    Args:
        url: The signed URL.
        date: The Date header; None to use the clock of this machine.
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
    """Return the scheme and authority of a URL. The token is only sent to the origin of the Hub."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
