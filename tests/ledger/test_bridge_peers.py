"""A bridge before two real Conflux peers that die, part, and find each other again.

If this fails, an anchor is gone after a night in which the other ledger had trouble, or a proof that was good
is good no more.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest

from tallystick import checkpoint, settlement
from tallystick.account import parse_account
from tallystick.checkpoint import Checkpoint
from tallystick.milestone import Confirmed
from tallystick.note import VerifierKey
from tallystick.policy import Bridge as Trusted
from tallystick.receipt import State
from tallystick.verdict import Outcome
from tests.ledger.bridge_site import Bridge, look
from tests.ledger.site import Submitter, anchor, gateway_key, until
from tests.parts import Broker
from tools.conflux import Network, Peer

SAFE_S = 180.0
pytestmark = pytest.mark.timeout(600)
PARTITIONS = int(os.environ.get("TALLY_BRIDGE_PARTITIONS", "1"))
KEY = gateway_key()
LINE = str(VerifierKey(checkpoint.gateway_name(KEY.public), KEY.public))


class Walk:
    """One bridge, one site, and the confirmed anchors so far."""

    def __init__(self, bridge: Bridge, site: Submitter) -> None:
        self.bridge, self.site = bridge, site
        self.confirmed: list[Confirmed] = []
        self.size = 0

    def submit(self) -> bytes:
        """The next anchor."""
        self.size += 1
        name = self.site.submit(anchor(self.site.tips(), self.size, KEY))
        self.site.answer(name, State.ATTACHED)
        return name

    def posted(self, count: int) -> None:
        """Wait until so many transactions were handed to the node."""
        until(lambda: count <= len(self.bridge.events("posted")), f"transaction {count}", SAFE_S)

    def confirm(self, name: bytes) -> None:
        """Wait for its receipt."""
        answer = self.site.answer(name, State.CONFIRMED, timeout_s=SAFE_S)
        assert answer.confirmed is not None
        self.confirmed.append(answer.confirmed)

    def check(self, *peers: Peer) -> None:
        """Every proof verifies at each of the peers."""
        trusted = Trusted(self.bridge.vkey, account=parse_account(self.bridge.account))
        for one in self.confirmed:
            note, sent = checkpoint.parse(one.block.carried), one.transaction
            assert sent is not None
            one.verify_inclusion()
            one.milestone.verify(self.bridge.vkey.key)
            for peer in peers:
                good = partial(verifies, peer.url, one, note, trusted)
                until(good, f"{sent.hash.hex()} at peer {peer.number}", SAFE_S)


def verifies(url: str, one: Confirmed, note: Checkpoint, trusted: Trusted) -> bool:
    """Does a verifier who asks this node call it good?"""
    assert one.transaction is not None
    return Outcome.OK is settlement.judge(one, note, trusted, look(url, one.transaction)).result


def test_death_and_partition(tmp_path: Path) -> None:
    """Killed right after its anchor; alone; found again: every anchor survives, every proof still verifies."""
    with (
        Broker(tmp_path / "broker") as broker,
        Network(tmp_path / "conflux", peers=2, interval_ms=100) as network,
        Bridge(tmp_path / "bridge", broker.port) as bridge,
        Submitter(broker.port, bridge.id) as site,
    ):
        walk = Walk(bridge, site)
        bridge.allow(LINE)
        bridge.start(network[0].url)

        # its node is killed as soon as it has the transaction, and another anchor comes meanwhile
        first = walk.submit()
        walk.posted(1)
        network[0].kill()
        second = walk.submit()
        until(lambda: bridge.events("not posting"), "trouble is told")
        network[0].start()
        walk.confirm(first)
        walk.confirm(second)
        walk.check(*network.peers)

        # two halves of one network, each with a chain of its own
        for number in range(PARTITIONS):
            network.partition()
            parted = walk.submit()
            walk.posted(3 + number)
            until(lambda: executed_in(bridge, walk.size) is not None, "executed on one side")
            before = executed_in(bridge, walk.size)
            # the other side grows on alone, and will be the heavier one
            network[0].kill()
            time.sleep(6)
            network.heal()
            walk.confirm(parted)
            walk.check(*network.peers)
            assert before != executed_in(bridge, walk.size), "the block that had it lost its place"
        status = bridge.status()
        assert PARTITIONS <= status["moved"]
        assert (0, 2 + PARTITIONS) == (status["counts"]["lost"], status["next_nonce"])
        assert 0 == bridge.stop()


def executed_in(bridge: Bridge, count: int) -> object:
    """The block of the newest transaction, if there are so many by now."""
    newest = bridge.status()["newest"]
    return newest["block"] if newest["nonce"] == count - 1 else None
