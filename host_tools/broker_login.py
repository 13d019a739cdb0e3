"""A board's login at the broker: its id and a password that nobody has chosen and nobody keeps.

The password goes to the board, over its console. The enrolment file holds what a mosquitto checks it with, one line
of its password file: ``$7$<rounds>$<salt>$<PBKDF2-HMAC-SHA512>`` (mosquitto 2, base64, 12 and 64 bytes). A login is
never evidence of anything: it keeps strangers off the broker, and boards off one another's topics.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final, Self

__all__ = ["Login"]

_PASSWORD_BYTES: Final = 24  # 192 bits: so the rounds need not slow a broker down
_ROUNDS: Final = 101  # mosquitto's own
_SALT_BYTES: Final = 12


@dataclass(frozen=True)
class Login:
    """`verifier` is what may be kept; `password` is shown to the board alone."""

    user: str
    password: str = field(repr=False)
    verifier: str = field(repr=False)

    @classmethod
    def make(cls, user: str) -> Self:
        """A new one."""
        password, salt = secrets.token_urlsafe(_PASSWORD_BYTES), secrets.token_bytes(_SALT_BYTES)
        digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
        parts = (base64.b64encode(part).decode() for part in (salt, digest))
        return cls(user, password, f"$7${_ROUNDS}${'$'.join(parts)}")
