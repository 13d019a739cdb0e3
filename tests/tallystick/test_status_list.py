"""Bitstring status lists: the published example, the bits, and lists that must be refused."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from tallystick import did, jcs, limits, status_list, vc
from tallystick.errors import FormatError, LimitError, TallystickError
from tallystick.status_list import ENTRIES, Purpose, StatusList
from tallystick.vc import StatusEntry
from tests.world import START, key

PUBLISHED = Path(__file__).resolve().parent.parent / "vectors" / "published"
ISSUER = did.did_key(key("issuer").public)
BASE = "https://example.org/sensors"


def packed(data: bytes) -> str:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return "u" + base64.urlsafe_b64encode(packer.compress(data) + packer.flush()).decode().rstrip(
        "="
    )


def test_the_published_example() -> None:
    """Other issuers' lists could not be read."""
    for case in json.loads((PUBLISHED / "bitstring-status-list/examples.json").read_text()):
        found = StatusList.decode(case["encodedList"])
        bits = bytes(found.get(i) for i in range(found.size))
        assert 8 * case["decoded_bytes"] == found.size
        assert case["all_zero"] == (not any(bits))
        whole = int("".join(map(str, bits)), 2).to_bytes(case["decoded_bytes"], "big")
        assert case["decoded_sha256"] == hashlib.sha256(whole).hexdigest()


def test_the_first_bit_is_the_leftmost() -> None:
    """Another reader would take one device for its neighbour."""
    for index, byte, value in ((0, 0, 0x80), (7, 0, 1), (8, 1, 0x80), (131_071, 16_383, 1)):
        bits = StatusList()
        bits.set(index)
        raw = base64.urlsafe_b64decode(bits.encode()[1:] + "==")
        unpacked = zlib.decompress(raw, 31)
        assert (ENTRIES // 8, value) == (len(unpacked), unpacked[byte])
        assert 1 == bits.count()


def test_bits_survive_the_way() -> None:
    """A suspension would be lost, or hit somebody else."""
    bits = StatusList()
    for index in (0, 9, 77_777, 131_071):
        bits.set(index)
    bits.set(9, value=False)
    again = StatusList.decode(bits.encode())
    assert [0, 77_777, 131_071] == [i for i in range(again.size) if again.get(i)]
    assert bits.encode() == again.encode()


@pytest.mark.parametrize("index", [-1, ENTRIES, 2**40])
def test_an_index_beyond_the_list(index: int) -> None:
    """A credential that no list speaks of would pass as not revoked."""
    for act in (StatusList().get, StatusList().set):
        with pytest.raises(FormatError) as refused:
            act(index)
        assert "status.index" == refused.value.code


@pytest.mark.parametrize(
    ("code", "encoded"),
    [
        ("status.size", packed(bytes(16_383))),  # too few: says whose credential is looked up
        ("status.size", packed(b"")),
        ("status.too-long", packed(bytes(2**17 + 1))),
        ("status.too-long", packed(bytes(64 * 2**20))),  # 64 MiB out of 64 KiB
        ("status.encoding", packed(bytes(16_384))[:-8]),
        ("status.encoding", packed(bytes(16_384)) + "AAAA"),
        ("status.encoding", packed(bytes(16_384))[1:]),
        ("status.encoding", "u" + "A" * 64),
        ("status.encoding", "u"),
        ("status.encoding", "u===="),
        ("status.encoding", "z2222"),
        ("status.encoding", "uH4sI\n"),
        ("status.encoding", None),
        ("status.encoding", ["u"]),
        ("status.too-long", "u" + "A" * limits.VC_BYTES),
    ],
)
def test_a_list_that_is_refused(code: str, encoded: Any) -> None:
    """A few bytes would take all memory, or a broken list would be read as one without revocations."""
    with pytest.raises((FormatError, LimitError)) as refused:
        StatusList.decode(encoded)
    assert code == refused.value.code


def test_lists_of_the_allowed_sizes() -> None:
    """A larger issuer's list would be refused."""
    assert limits.STATUS_ENTRIES == StatusList.decode(packed(bytes(2**17))).size
    assert StatusList.decode(packed(b"\xff" * 2**14)).get(ENTRIES - 1)
    with pytest.raises(FormatError):
        StatusList(ENTRIES + 4)


def made(purpose: Purpose = Purpose.REVOCATION, **changes: Any) -> Any:
    bits = StatusList()
    bits.set(94_567)
    id = status_list.list_id(BASE, 3, purpose)
    return {**status_list.document(bits, id, ISSUER, START), **changes}


def test_a_list_as_a_credential() -> None:
    """The list that is hosted could not be read again."""
    found = status_list.parse(jcs.parse(jcs.canonical(made())))
    assert (f"{BASE}/status/3/revocation", ISSUER, 3) == (found.id, found.issuer, found.number)
    assert (Purpose.REVOCATION, START) == (found.purpose, found.valid_from)
    entry = StatusEntry(Purpose.REVOCATION, 94_567, found.id)
    assert vc.is_set(entry, found)
    assert not vc.is_set(StatusEntry(Purpose.REVOCATION, 94_568, found.id), found)


def test_the_wrong_list() -> None:
    """A list of suspensions would answer for revocations, or one list for another."""
    found = status_list.parse(made())
    wrong = [
        StatusEntry(Purpose.SUSPENSION, 5, found.id),
        StatusEntry(Purpose.SUSPENSION, 5, status_list.list_id(BASE, 3, Purpose.SUSPENSION)),
        StatusEntry(Purpose.REVOCATION, 5, status_list.list_id(BASE, 4, Purpose.REVOCATION)),
        StatusEntry(
            Purpose.REVOCATION, 5, status_list.list_id("https://x.org", 3, Purpose.REVOCATION)
        ),
    ]
    for entry in wrong:
        with pytest.raises(FormatError) as refused:
            vc.is_set(entry, found)
        assert "status.list" == refused.value.code
    with pytest.raises(FormatError) as refused:
        vc.is_set(StatusEntry(Purpose.REVOCATION, ENTRIES, found.id), found)
    assert "status.index" == refused.value.code


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("status.purpose", {"id": f"{BASE}/status/3/suspension"}),
        ("status.id", {"id": f"{BASE}/status/3/refresh"}),
        ("status.id", {"id": f"{BASE}/status/03/revocation"}),
        ("status.id", {"id": f"{BASE}/status/65536/revocation"}),
        ("status.shape", {"id": 5}),
        ("status.shape", {"type": ["VerifiableCredential"]}),
        ("status.shape", {"@context": []}),
        ("status.shape", {"credentialSubject": []}),
        ("status.shape", {"credentialSubject": {"ttl": 5}}),
        ("status.shape", {"validUntil": "2027-01-15T08:00:00Z"}),
        ("field.time", {"validFrom": START}),
    ],
)
def test_a_list_in_another_form(code: str, changes: dict[str, Any]) -> None:
    """A reader would have to guess which list this is, and what it means."""
    with pytest.raises(TallystickError) as refused:
        status_list.parse(made(**changes))
    assert code == refused.value.code
