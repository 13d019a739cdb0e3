"""A credential issued: the CWT for the board, the same facts as a verifiable credential for everyone else."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from tallystick import credential, data_integrity, jcs, vc
from tallystick import limits as library_limits
from tallystick.credential import Credential
from tallystick.keys import PublicKey
from tallystick_host.errors import UndoneError
from tallystick_host.home import Home
from tallystick_host.issuer import Issuer
from tallystick_host.status_book import Place, StatusBook

__all__ = ["Issued", "as_document", "end_of", "issue"]

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
    return Issued(cwt, _document(issuer, credential.parse(cwt), place, now), place)


def as_document(home: Home, issuer: Issuer, held: Credential) -> bytes:
    """A credential that this issuer gave, as the verifiable credential with the same facts and the same place in the
    status lists; `UndoneError` if it is another issuer's.
    """
    if held.issuer != issuer.key_did:
        raise UndoneError(
            f"the issuer {held.issuer} signs its verifiable credential, and this is {issuer.key_did}",
            code="vc.issuer",
            hint="whoever has that issuer's home folder runs this, or tally credential issue --form vc",
        )
    held.signed.verify(issuer.key.public)
    places = StatusBook(home, issuer).places(held.subject)
    place = next((one for one in places if one.reference == held.status), None)
    if place is None and held.status is not None:
        place = Place(held.status, held.subject, issuer.base)
    return _document(issuer, held, place, int(time.time()))


def _document(issuer: Issuer, held: Credential, place: Place | None, now: int) -> bytes:
    status = () if place is None else vc.entries(place.base, place.reference)
    unsigned = vc.document(held, issuer=issuer.did, status=status)
    signed = data_integrity.sign(issuer.key, unsigned, method=issuer.method, created=now)
    return jcs.canonical(signed) + b"\n"
