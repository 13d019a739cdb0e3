"""A credential issued: the CWT for the board, the same facts as a verifiable credential for everyone else."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from tallystick import credential, data_integrity, jcs, vc
from tallystick import limits as library_limits
from tallystick.keys import PublicKey
from tallystick_host.errors import UndoneError
from tallystick_host.home import Home
from tallystick_host.issuer import Issuer
from tallystick_host.status_book import Place, StatusBook

__all__ = ["Issued", "end_of", "issue"]

CLOCK_SLACK_S: Final = 3600  # it is judged by the ledger's clock, which may lag behind ours


@dataclass(frozen=True)
class Issued:
    """The two forms, and the place in the status lists that both name."""

    cwt: bytes
    document: bytes
    place: Place | None


def end_of(days: int | None) -> int | None:
    """The moment in so many days, Unix seconds; None for None: it does not end."""
    return None if days is None else int(time.time()) + days * 86_400


def issue(
    home: Home,
    issuer: Issuer,
    subject: str,
    *,
    expires: int | None = None,
    key: PublicKey | None = None,
    role: str | None = None,
    board: str | None = None,
    with_status: bool = True,
) -> Issued:
    """Issue a credential for `subject` (a did:key). The place in the status lists is kept before anything is signed.

    `expires`: Unix seconds; `board`: its kind, as in `boards/`.
    """
    now = int(time.time())
    place = StatusBook(home, issuer).reserve(subject) if with_status else None
    cwt = credential.sign(
        issuer.key,
        issuer.key_did,
        subject,
        now - CLOCK_SLACK_S,
        expires=expires,
        key=key,
        role=role,
        status=None if place is None else place.reference,
        board=board,
    )
    # a rotated key or a role makes it longer: such a credential goes into proofs and hands, not onto a board
    if key is None and role is None and len(cwt) > library_limits.BOARD_CREDENTIAL_BYTES:
        raise UndoneError(
            f"{len(cwt)} bytes, a board carries {library_limits.BOARD_CREDENTIAL_BYTES}",
            code="credential.too-long",
            hint="the name of its kind is long: boards/ has shorter ones" if board else "",
        )
    unsigned = vc.document(
        credential.parse(cwt),
        issuer=issuer.did,
        status=() if place is None else vc.entries(place.base, place.reference),
    )
    signed = data_integrity.sign(issuer.key, unsigned, method=issuer.method, created=now)
    return Issued(cwt, jcs.canonical(signed) + b"\n", place)
