"""The status reference of a credential that a board carries."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick import cbor, cose, credential, did, limits
from tallystick.cose import Typ
from tallystick.credential import StatusReference
from tallystick.errors import TallystickError
from tallystick.keys import ESP256, PrivateKey
from tests.world import START, SimKey, key

ISSUER = did.did_key(key("issuer").public)
FAR = limits.TIME  # the longest exp


@pytest.mark.parametrize("holder", [key("device").public, SimKey("sim").public])
@pytest.mark.parametrize("issuer", [key("issuer"), PrivateKey.generate(ESP256)])
def test_it_fits_on_a_board(holder: Any, issuer: PrivateKey) -> None:
    """A board could not carry its credential: at the last index of the last list, with the longest names."""
    raw = credential.sign(
        issuer,
        did.did_key(issuer.public),
        did.did_key(holder),
        START,
        expires=FAR,
        status=StatusReference(limits.STATUS_LISTS, limits.STATUS_ENTRIES - 1),
    )
    assert len(raw) <= limits.BOARD_CREDENTIAL_BYTES
    read = credential.parse(raw)
    assert StatusReference(65_535, 1_048_575) == read.status
    read.signed.verify(issuer.public)


def test_the_registered_claim_would_not_fit() -> None:
    """The decision for a claim of our own would rest on a count that is wrong (docs/adr/0007)."""
    uri = "https://status.example.org/1"
    claims = {
        1: ISSUER,
        2: did.did_key(key("device").public),
        4: FAR,
        5: START,
        65_535: {"status_list": {"idx": 131_071, "uri": uri}},
    }
    raw = cose.sign(key("issuer"), Typ.CREDENTIAL, cbor.encode(claims))
    assert len(raw) > limits.BOARD_CREDENTIAL_BYTES


def test_without_a_reference_nothing_changed() -> None:
    """Credentials that boards carry already would be refused, or mean something else."""
    raw = credential.sign(key("issuer"), ISSUER, did.did_key(key("device").public), START)
    assert credential.parse(raw).status is None
    assert b"\x3a\x00\x01\x00\x01" not in raw


@pytest.mark.parametrize(
    "value",
    [
        *(None, 7, [7], [1, 2, 3], [0, 5], [65_536, 5], [1, -1], [1, 2**20], [1, True], [True, 1]),
        *(["1", 5], [1, b"5"], {}, {1: 5}, []),
    ],
)
def test_a_reference_in_another_form(value: Any) -> None:
    """Two readers would look at two places of the lists."""
    claims = {1: ISSUER, 2: ISSUER, 5: START, credential.STATUS: value}
    raw = cose.sign(key("issuer"), Typ.CREDENTIAL, cbor.encode(claims))
    with pytest.raises(TallystickError) as refused:
        credential.parse(raw)
    assert refused.value.code in ("credential.status", "credential.claims", "field.range")
