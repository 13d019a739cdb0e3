"""Errors of the library: one base, two trees.

Whatever bytes it is given, the library raises nothing but these::

    TallystickError
    ├── EvidenceError          a check ran and failed: somebody changed something
    │   ├── SignatureError     a signature does not verify
    │   ├── PathError          a Merkle path does not lead to the root
    │   └── LinkError          a record does not continue the one before it
    └── UncheckedError         it could not be checked
        ├── FormatError        bytes that are not in the form of docs/format.md
        ├── LimitError         larger, longer or deeper than `tallystick.limits` allows
        ├── KeyRefusedError    a key that must never be trusted (low order, not canonical)
        ├── KeyUnknownError    no key at hand for this kid or name
        ├── PolicyError        the policy itself cannot be used
        └── UnverifiedError    values were asked for that no verification stands behind

Every error has a stable `code` (docs/format.md, section 15), a message in words, and sometimes a
`hint` with what to do. Messages never hold a secret.
"""

from __future__ import annotations

__all__ = [
    "EvidenceError",
    "FormatError",
    "KeyRefusedError",
    "KeyUnknownError",
    "LimitError",
    "LinkError",
    "PathError",
    "PolicyError",
    "SignatureError",
    "TallystickError",
    "UncheckedError",
    "UnverifiedError",
]


class TallystickError(Exception):
    """Base of all errors of the library.

    `code` is stable and dotted (`cbor.trailing-bytes`), `detail` is for people, `hint` says what
    to do and may be empty.
    """

    def __init__(self, code: str, detail: str, *, hint: str = "") -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.hint = hint


class EvidenceError(TallystickError):
    """A check ran and failed."""


class SignatureError(EvidenceError):
    """A signature does not verify under the key that it names."""


class PathError(EvidenceError):
    """A Merkle inclusion or consistency path does not lead to the root."""


class LinkError(EvidenceError):
    """A record does not continue the record before it."""


class UncheckedError(TallystickError):
    """Something could not be checked; it says nothing about the evidence."""


class FormatError(UncheckedError):
    """Bytes that are not in the one form that docs/format.md allows."""


class LimitError(UncheckedError):
    """A size, count or depth above its limit."""


class KeyRefusedError(UncheckedError):
    """A public key that must never be trusted."""


class KeyUnknownError(UncheckedError):
    """No key at hand for a kid, an origin or a DID."""


class PolicyError(UncheckedError):
    """The policy cannot be used as it is written."""


class UnverifiedError(UncheckedError):
    """Values of a proof that is not VERIFIED were asked for, and not by that name."""
