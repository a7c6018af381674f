"""Signatures of webhooks: HMAC-SHA256 over time and body, so that neither can be changed nor used again later."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from typing import Final

HEADER: Final = "Penstock-Signature"
TOLERANCE: Final = 300
"""Seconds by which the time of a signature may differ from the receiver's clock."""
_FORM: Final = re.compile(r"t=(\d{1,15}),v1=([0-9a-f]{64})")


def signature(secret: str, body: bytes, at: int) -> str:
    """The header's value, such as `t=1763750000,v1=5f…`.

    Args:
        secret: What sender and receiver share.
        body: The request's body, byte for byte.
        at: Seconds since 1970.
    """
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


def verified(secret: str, body: bytes, header: str, *, now: float | None = None, tolerance: float = TOLERANCE) -> bool:
    """Whether whoever knows the secret signed this body, and not long ago.

    Args:
        secret: What sender and receiver share.
        body: The request's body, byte for byte.
        header: The value of `Penstock-Signature`.
        now: Seconds since 1970; the clock's by default.
        tolerance: How many seconds the signature may be old, or ahead.
    """
    found = _FORM.fullmatch(header)
    if found is None:
        return False
    at = int(found[1])
    fresh = abs((time.time() if now is None else now) - at) <= tolerance
    return hmac.compare_digest(signature(secret, body, at), header) and fresh
