"""A bridge between a real broker and a real Conflux node.

If this fails, a site that has outgrown the embedded ledger loses anchors, pays twice for one, or holds
receipts that the other ledger does not bear out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick import checkpoint, settlement
from tallystick.account import parse_account
from tallystick.note import VerifierKey
from tallystick.policy import Bridge as Trusted
from tallystick.receipt import State
from tallystick.transaction import calldata
from tallystick.verdict import Outcome
from tests.ledger.bridge_site import Bridge, look
from tests.ledger.site import Submitter, anchor, gateway_key, until
from tests.parts import Broker
from tools.conflux import Network

SAFE_S = 60.0
GATEWAY = VerifierKey(checkpoint.gateway_name(gateway_key().public), gateway_key().public)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One node with a block every 100 ms: a transaction is safe after some ten seconds."""
    with Network(tmp_path_factory.mktemp("conflux"), interval_ms=100) as network:
        yield network


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A real broker."""
    with Broker(tmp_path / "broker") as broker:
        yield broker


def test_an_anchor_goes_all_the_way(network: Network, broker: Broker, tmp_path: Path) -> None:
    """Submitted like any anchor; its receipt proves itself with what the other ledger says."""
    with Bridge(tmp_path / "bridge", broker.port) as bridge:
        bridge.allow(str(GATEWAY))
        bridge.start(network[0].url)
        with Submitter(broker.port, bridge.id) as site:
            raw = anchor(site.tips(), 7)
            name = site.submit(raw)
            site.answer(name, State.ATTACHED)
            until(
                lambda: (
                    bridge.status()["counts"]["accepted"] + bridge.status()["counts"]["executed"]
                ),
                "sent",
            )
            answer = site.answer(name, State.CONFIRMED, timeout_s=SAFE_S)
            confirmed = answer.confirmed
            assert confirmed is not None
            assert confirmed.block.raw == raw
            confirmed.verify_inclusion()
            confirmed.milestone.verify(bridge.vkey.key)
            note = checkpoint.parse(confirmed.block.carried)
            sent = confirmed.transaction
            assert sent is not None
            assert calldata(note.note.text) == sent.data
            assert bridge.account == str(sent.account)
            trusted = Trusted(bridge.vkey, account=parse_account(bridge.account))
            skipped = settlement.judge(confirmed, note, trusted, None)
            assert Outcome.SKIPPED is skipped.result
            found = settlement.judge(confirmed, note, trusted, look(network[0].url, sent))
            assert (Outcome.OK, True) == (found.result, "is safe" in found.detail)
            # the retained anchor is the same proof
            retained = until(
                lambda: site.retained.get(bridge.topics.anchor(note_id(note))), "anchor"
            )
            assert confirmed.encode() == retained
        assert 0 == bridge.stop()


def note_id(note: checkpoint.Checkpoint) -> bytes:
    """The gateway whose log it is."""
    return bytes.fromhex(note.origin.rpartition("/")[2])
