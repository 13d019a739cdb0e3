"""Whom a board believes: acknowledgements and grants, good and bad, over a real broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.firmware.bench import (
    ACKNOWLEDGEMENT,
    GRANT,
    GatewayDouble,
    Signer,
    VirtualBoard,
    canonical,
    check_chain,
)
from tests.parts import Broker

SETTLE_S = 3.0


@dataclass
class Site:
    owner: Signer
    signer: Signer
    board: VirtualBoard
    gateway: GatewayDouble
    public: bytes

    def refused(self, reason: str, count: int) -> None:
        """Wait until the board has refused this many messages for this reason."""
        deadline = time.monotonic() + 10
        while sum(line == f"# refused: {reason}" for line in self.board.said) < count:
            assert time.monotonic() < deadline, f"{reason!r} not {count} times in {self.board.said}"
            time.sleep(0.02)


@pytest.fixture
def site(tmp_path: Path, broker: Broker) -> Iterator[Site]:
    """A running board with a few records at a gateway that has not acknowledged anything yet."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board") as board:
        public = board.provision(owner, signer, broker.port)
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.ok("run")
            gateway.wait(3)
            yield Site(owner, signer, board, gateway, public)


def test_refused_acknowledgements(site: Site) -> None:
    """A forged acknowledgement makes a board delete records that nobody has."""
    device, good = site.gateway.device, site.signer
    record = site.gateway.records[2]
    nonce, root = bytes(16), bytes(32)
    start = [device, 2, record.id]
    shape = "message.shape"
    cases: list[tuple[str, bytes]] = [
        ("message.device", good.acknowledgement(bytes(8), 2, record.id)),
        ("message.signer", Signer().acknowledgement(device, 2, record.id)),
        ("message.signer", site.owner.acknowledgement(device, 2, record.id)),
        (
            "message.signer",
            good.sign(GRANT, [*start, [], 1, 1, root, None, nonce]),
        ),
        (shape, good.sign(ACKNOWLEDGEMENT, [device, 2, None, [], 1, 1, root, None, nonce])),
        (shape, good.sign(ACKNOWLEDGEMENT, [device, None, record.id, [], 1, 1, root, None, nonce])),
        (shape, good.sign(ACKNOWLEDGEMENT, [device, -1, record.id, [], 1, 1, root, None, nonce])),
        (shape, good.sign(ACKNOWLEDGEMENT, [*start, [[2, 1]], 1, 1, root, None, nonce])),
        (shape, good.sign(ACKNOWLEDGEMENT, [*start, [[1, 2], [2, 3]], 1, 1, root, None, nonce])),
        (
            shape,
            good.sign(
                ACKNOWLEDGEMENT, [*start, [[i, i] for i in range(17)], 1, 1, root, None, nonce]
            ),
        ),
        (shape, good.sign(ACKNOWLEDGEMENT, [*start, [], None, 1, root, None, nonce])),
        (shape, good.sign(ACKNOWLEDGEMENT, [*start, [], 1, 1, root[1:], None, nonce])),
        (shape, good.sign(ACKNOWLEDGEMENT, [*start, [], 1, 1, root, [bytes(8)], nonce])),
        (shape, good.sign(ACKNOWLEDGEMENT, [*start, [], 1, 1, root, None, None])),
        ("message.shape", good.sign(ACKNOWLEDGEMENT, [*start, [], 1, 1, root, None])),
        ("message.shape", good.sign(ACKNOWLEDGEMENT, 7)),
        ("message.cbor", good.sign_bytes(ACKNOWLEDGEMENT, b"\x18\x01")),
        ("message.cbor", good.sign_bytes(ACKNOWLEDGEMENT, canonical(start) + b"\0")),
        ("message.cbor", good.sign_bytes(ACKNOWLEDGEMENT, canonical({1: 2}))),
    ]
    whole = good.acknowledgement(device, 2, record.id)
    cases += [
        ("message.cose", whole[:-1]),
        ("message.signer", b""),
        # too long: read past and handed on empty
        ("message.signer", whole + bytes(1025 - len(whole))),
        ("message.signer", bytes(100000)),
        ("message.signature", whole[:-1] + bytes([whole[-1] ^ 1])),
        ("message.signature", whole.replace(record.id, bytes(32))),
    ]
    counts: dict[str, int] = {}
    for reason, data in cases:
        counts[reason] = counts.get(reason, 0) + 1
        site.gateway.publish("ack", data)
        site.refused(reason, counts[reason])
    status = site.board.status()
    assert (None, None, "ready") == (status["upto"], status["halted"], status["state"])
    held = site.gateway.upto()
    site.gateway.acknowledge()
    site.board.reach("upto", held)


def test_grants(site: Site) -> None:
    """A gateway that was replaced, or that nobody granted, must not decide what a board deletes."""
    successor, stranger = Signer(), Signer()
    site.gateway.publish_grant(stranger, stranger.grant(stranger, 9))
    site.refused("message.signer", 1)
    site.gateway.publish_grant(
        stranger, site.owner.grant(stranger, 9, origin="tallystick/0000000000000000")
    )
    site.refused("message.origin", 1)
    site.gateway.publish_grant(successor, site.owner.grant(successor, 2))
    deadline = time.monotonic() + 10
    while site.board.info()["gateway"] != successor.kid.hex():
        assert time.monotonic() < deadline
    site.gateway.publish_grant(site.signer, site.owner.grant(site.signer, 1))
    site.refused("grant.serial: 1 is not above 2", 1)
    site.gateway.publish_grant(stranger, site.owner.grant(stranger, 2))
    site.refused("grant.serial: 2 is not above 2", 1)
    site.gateway.acknowledge()
    site.refused("message.signer", 2)
    site.gateway.signer = successor
    held = site.gateway.upto()
    site.gateway.acknowledge()
    site.board.reach("upto", held)
    # the highest serial outlives a power cut
    site.board.restart()
    assert successor.kid.hex() == site.board.info()["gateway"]
    answer = site.board.command(f"set grant {site.owner.grant(site.signer, 1).hex()}")
    assert "ERROR refused grant.serial: 1 is not above 2" == answer


@pytest.mark.parametrize("case", ["above the head", "another id"])
def test_contradiction_halts_then_adopts(site: Site, case: str) -> None:
    """A restored board that signs on forks its chain, and its owner loses what it measured since."""
    board, gateway = site.board, site.gateway
    upto = 40 if case == "above the head" else 1
    identity = bytes(range(32))
    gateway.automatic = False
    gateway.publish(
        "ack", site.signer.acknowledgement(gateway.device, upto, identity, time_s=1800000007)
    )
    halted = board.wait("state", "halted")
    told = time.monotonic()
    assert halted["halted"].startswith("the gateway has ")
    assert halted["next"] == board.status()["next"]
    # a restart must not sign its way around the contradiction
    board.restart()
    assert halted["next"] == board.status()["next"]
    gateway.records.clear()
    adopted = gateway.wait(3)
    assert time.monotonic() - told > SETTLE_S
    assert [upto + 1, identity] == adopted[0].payload[:2]
    assert [3, 3, upto, site.signer.kid, 1800000007] == adopted[0].payload[3:]
    assert 0 == adopted[1].kind
    check_chain(adopted, identity)
    assert board.status()["halted"] is None


def test_no_head_waits_for_word(tmp_path: Path, broker: Broker) -> None:
    """A key without a head (a new file system in an old board) signs nothing on its own."""
    owner, signer = Signer(), Signer()
    with VirtualBoard(tmp_path / "board") as board:
        board.ok(f"set owner {owner.public.hex()}")
        board.ok(f"set grant {owner.grant(signer).hex()}")
        board.ok(f"set broker 127.0.0.1 {broker.port}")
        public = bytes.fromhex(board.info()["key"])
        board.ok("run")
        with GatewayDouble(broker.port, public, signer) as gateway:
            board.wait("connected", True)
            gateway.acknowledge()  # holds nothing: tells the board nothing
            time.sleep(SETTLE_S + 0.5)
            assert (None, "halted") == (board.status()["next"], board.status()["state"])
            assert {} == gateway.records
            gateway.publish(
                "ack", signer.acknowledgement(gateway.device, 9, bytes(range(32)), size=10)
            )
            records = gateway.wait(2)
            assert [10, 11] == [record.seq for record in records[:2]]
            assert "ERROR refused there are records of this board already" == board.command(
                "genesis"
            )


def test_acknowledgement_sets_clock_and_is_echoed(site: Site) -> None:
    """Without the clock event nobody can say when the first readings of a board were taken."""
    before = dict(site.gateway.records)
    milestone = [b"ledger!!", bytes(range(32))]
    nonce = b"0123456789abcdef"
    site.gateway.acknowledge(milestone=milestone, nonce=nonce)
    deadline = time.monotonic() + 20
    while True:
        later = [record for seq, record in site.gateway.records.items() if seq not in before]
        beacons = [
            record for record in later if record.kind == 2 and record.payload[4] == milestone
        ]
        clocks = [record for record in later if record.kind == 3 and record.payload[4] == 0]
        if beacons and clocks:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert nonce == beacons[0].payload[6]
    assert site.signer.kid == beacons[0].payload[5][0]
    assert 5 == clocks[0].payload[7]
    assert abs(time.time() - clocks[0].payload[6]) < 10
    assert all(record.payload[2] < 2**30 for record in before.values())
