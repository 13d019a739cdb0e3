"""What other people's tools get from a gateway: receipts, statements, and a log that any C2SP client can check.

If these fail, our log is readable by us alone.
"""

from __future__ import annotations

import base64
from hashlib import sha256

from tallystick import cose_receipt, credential, note, scitt
from tallystick.did import did_key
from tallystick.keys import PrivateKey
from tests.gateway.boards import START, Board
from tests.gateway.ledger_double import LedgerDouble
from tests.gateway.running import Field, Gateway, command, eventually


def start(gateway: Gateway, field: Field, count: int) -> Board:
    """A gateway that has taken and anchored `count` records of one board."""
    issuer, board = PrivateKey.generate(), Board()
    held = credential.sign(issuer, did_key(issuer.public), board.did, START)
    gateway.enrol(board, credentials={board.id: held})
    gateway.start()
    records = board.fill(count)
    field.send(board, records)
    field.acked(board, count - 1)
    eventually(lambda: gateway.json("/healthz")["anchored"] >= count, "anchor confirmed")
    return board


def test_receipts_and_statements(gateway: Gateway, ledger: LedgerDouble, field: Field) -> None:
    board = start(gateway, field, 5)
    own = note.VerifierKey.parse(gateway.line).key
    asked = ("export", "--dir", gateway.folder, "--device", board.id.hex(), "--seq", "2", "--to")
    raw = board.records[2].raw
    receipt = command(*asked, "cose-receipt").stdout
    found = cose_receipt.verify(receipt, own, raw)
    assert found.signed_size == found.size >= 5
    # the same again: nothing in it depends on the moment
    gateway.stop()
    assert receipt == command(*asked, "cose-receipt").stdout
    statement = command(*asked, "scitt-statement").stdout
    assert raw == scitt.verify(statement, own, board.key.public).raw


def test_what_cannot_be_exported(gateway: Gateway, ledger: LedgerDouble, field: Field) -> None:
    board = start(gateway, field, 2)
    asked = ("export", "--dir", gateway.folder, "--to", "cose-receipt", "--device")
    for device, seq, status in ((board.id.hex(), "9", 1), ("00" * 8, "0", 1), ("zz", "0", 2)):
        done = command(*asked, device, "--seq", seq, check=False)
        assert (status, b"") == (done.returncode, done.stdout)
        assert b"error: " in done.stderr
    assert 2 == command(*asked, board.id.hex(), check=False).returncode


class TlogClient:
    """A client of C2SP tlog-tiles, written from the specification's text; it uses nothing of the house."""

    def __init__(self, gateway: Gateway) -> None:
        self.get = gateway.get
        lines = gateway.get("/checkpoint").text.split("\n")
        self.origin, self.size, self.root = lines[0], int(lines[1]), base64.b64decode(lines[2])

    def hashes(self) -> list[bytes]:
        """All leaf hashes, from the tiles of level 0: full ones, and one partial."""
        found: list[bytes] = []
        full, rest = divmod(self.size, 256)
        for n in range(full + (rest > 0)):
            number = f"{n:03}" if n < 1000 else f"x{n // 1000:03}/{n % 1000:03}"
            suffix = "" if n < full else f".p/{rest}"
            tile = self.get(f"/tile/0/{number}{suffix}").content
            assert 32 * (256 if n < full else rest) == len(tile)
            found += [tile[i : i + 32] for i in range(0, len(tile), 32)]
        return found

    def level_one(self) -> list[bytes]:
        """The hashes of the full tiles, from level 1."""
        count = self.size // 256
        tile = self.get(f"/tile/1/000.p/{count}").content if count else b""
        return [tile[i : i + 32] for i in range(0, len(tile), 32)]


def tree(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, over leaf hashes, as its recursion is written there."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\1" + tree(leaves[:k]) + tree(leaves[k:])).digest()


def test_a_tlog_client_checks_the_log(gateway: Gateway, ledger: LedgerDouble, field: Field) -> None:
    """Records are added one after the other until a tile is full, and the tree leads to the signed root each time."""
    board = start(gateway, field, 300)
    client = TlogClient(gateway)
    assert client.size >= 300
    leaves = client.hashes()
    assert client.root == tree(leaves)
    assert sha256(b"\0" + board.records[7].raw).digest() in leaves
    assert [tree(leaves[:256])] == client.level_one()
    known = gateway.json("/v1/identity")
    assert client.origin == known["origin"]
