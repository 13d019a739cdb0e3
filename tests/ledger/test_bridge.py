"""A bridge between a real broker and a real Conflux node.

If this fails, a site that has outgrown the embedded ledger loses anchors, pays twice for one, or holds
receipts that the other ledger does not bear out.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick import block, checkpoint, proof, settlement, verify
from tallystick.account import parse_account
from tallystick.block import BlockKind
from tallystick.note import VerifierKey
from tallystick.policy import Bridge as Trusted
from tallystick.policy import Log
from tallystick.receipt import State
from tallystick.transaction import calldata
from tallystick.verdict import Outcome, Status
from tests.ledger.bridge_site import Bridge, look
from tests.ledger.site import Ledger, Submitter, anchor, gateway_key, until
from tests.parts import Broker
from tests.world import World, key
from tools.conflux import Network, call, transactions

SAFE_S = 180.0
pytestmark = pytest.mark.timeout(600)
KILLS = int(os.environ.get("TALLY_BRIDGE_KILLS", "5"))
KILL_SEED = int(os.environ.get("TALLY_BRIDGE_SEED", "7"))
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

            def found() -> settlement.Finding:
                return settlement.judge(confirmed, note, trusted, look(network[0].url, sent))

            # a young Conflux chain takes its word back which block is safe, at some 150 blocks
            until(lambda: Outcome.OK is found().result, "safe for a verifier", SAFE_S)
            assert "is safe" in found().detail
            # the retained anchor is the same proof
            retained = until(
                lambda: site.retained.get(bridge.topics.anchor(note_id(note))), "anchor"
            )
            assert confirmed.encode() == retained
        assert 0 == bridge.stop()


def note_id(note: checkpoint.Checkpoint) -> bytes:
    """The gateway whose log it is."""
    return bytes.fromhex(note.origin.rpartition("/")[2])


def test_killed_under_load(network: Network, broker: Broker, tmp_path: Path) -> None:
    """Killed at any moment, it would lose an anchor, or pay for one twice."""
    lot = random.Random(KILL_SEED)
    keys = [gateway_key(number) for number in range(1, 4)]
    lines = [str(VerifierKey(checkpoint.gateway_name(key.public), key.public)) for key in keys]
    with Bridge(tmp_path / "bridge", broker.port, account=1) as bridge:
        bridge.allow(*lines)
        bridge.start(network[0].url, confirm_at="executed")
        waiting: dict[bytes, tuple[int, int, bytes]] = {}  # id: gateway, size, block
        top = dict.fromkeys(range(len(keys)), 0)
        with Submitter(broker.port, bridge.id) as site:
            for _ in range(KILLS):
                end = time.monotonic() + lot.uniform(0.5, 3.0)
                while time.monotonic() < end:
                    number = lot.randrange(len(keys))
                    top[number] += 1
                    raw = anchor(site.tips(), top[number], keys[number])
                    waiting[site.submit(raw)] = number, top[number], raw
                    time.sleep(0.05)
                bridge.kill()
                bridge.start(network[0].url, confirm_at="executed")
            sizes = answered(site, waiting, timeout_s=SAFE_S + 5 * KILLS)
        # what was rejected is covered: a larger checkpoint of the same log is confirmed
        for name, (number, size, _) in waiting.items():
            newest = site.receipts[name][-1]
            if newest.state is State.REJECTED:
                assert "anchor.superseded" == newest.detail
                assert any(other > size for other in sizes[number])
        counts = bridge.status()["counts"]
        assert (0, 0) == (counts["waiting"], counts["lost"])
        address = bridge.account.rpartition(":")[2]
        until(
            lambda: (
                counts_of(bridge)
                == int(call(network[0].url, "eth_getTransactionCount", address, "latest"), 16)
            ),
            "all executed",
        )
        paid = [one["input"] for one in transactions(network[0].url, address)]
        assert len(paid) == len(set(paid)) == counts_of(bridge)
        # one transaction carries one note, in however many anchors
        assert len(paid) <= sum(top.values())


def counts_of(bridge: Bridge) -> int:
    """Transactions that the bridge has signed."""
    nonce = bridge.status()["next_nonce"]
    assert isinstance(nonce, int)
    return nonce


def answered(
    site: Submitter, waiting: dict[bytes, tuple[int, int, bytes]], *, timeout_s: float
) -> dict[int, set[int]]:
    """Submit again, as gateways do, until each has its last answer; the confirmed sizes of each gateway."""
    end = time.monotonic() + timeout_s
    while True:
        last = {name: had[-1] if (had := site.receipts.get(name)) else None for name in waiting}
        open_still = [
            name for name, got in last.items() if got is None or got.state is State.ATTACHED
        ]
        if not open_still:
            break
        assert time.monotonic() < end, f"{len(open_still)} of {len(waiting)} anchors without an end"
        for name in open_still:
            site.submit(waiting[name][2])
        time.sleep(1)
    sizes: dict[int, set[int]] = {}
    for name, got in last.items():
        assert got is not None
        if got.confirmed is not None:
            number, size, _ = waiting[name]
            assert got.confirmed.transaction is not None
            sizes.setdefault(number, set()).add(size)
    return sizes


def test_an_embedded_ledger_behind_it(network: Network, broker: Broker, tmp_path: Path) -> None:
    """One transaction would not carry a whole ledger; or a proof with it would not verify."""
    world = World()
    world.device.open()
    reading = world.device.readings([215])
    world.admit()
    with (
        Ledger(tmp_path / "ledger", broker.port) as ledger,
        Bridge(tmp_path / "bridge", broker.port, account=2) as bridge,
        Submitter(broker.port, ledger.id) as site,
    ):
        note = world.log.checkpoint()
        raw = block.sign(key("anyone"), site.tips()[:1], world.device.time, BlockKind.ANCHOR, note)
        answer = site.answer(site.submit(raw), State.CONFIRMED)
        assert answer.confirmed is not None
        file = tmp_path / "one.tally"
        file.write_bytes(
            proof.build(
                records=[reading.raw],
                opens=[world.device.records[0].raw],
                inclusions=[world.log.inclusion(reading.raw)],
                anchor=answer.confirmed.encode(),
                credential=world.credential(not_before=0),
            )
        )
        ledger_dir = ("--ledger-dir", str(ledger.folder))
        early = bridge.command("attach", *ledger_dir, str(file))
        assert (1, True) == (early.returncode, "has posted no checkpoint" in early.stderr)
        # it comes later than the anchor, and carries many of that ledger's blocks
        until(lambda: len(site.milestones) > 5, "milestones")
        bridge.start(network[0].url, "--follow", ledger.name, confirm_at="executed", budget="0.1")
        until(lambda: bridge.status()["counts"]["executed"], "executed", SAFE_S)
        done = bridge.command("attach", *ledger_dir, str(file))
        assert 0 == done.returncode, done.stderr
        parsed = proof.parse(file.read_bytes())
        assert parsed.anchor is not None
        sent = parsed.anchor.transaction
        assert sent is not None
        assert sent.later is not None
        assert sent.later.size > parsed.anchor.milestone.size
        line = VerifierKey.parse(ledger.name)
        trusted = Trusted(line, account=parse_account(bridge.account))
        alone = world.policy.replace(ledgers=(Log(line),))
        bridged = world.policy.replace(ledgers=(), bridges=(trusted,))
        assert Status.VERIFIED is verify.verify(parsed, alone).status
        assert Status.UNDECIDED is verify.verify(parsed, bridged).status

        def status() -> Status:
            seen = {sent.hash: look(network[0].url, sent)}
            return verify.verify(parsed, bridged, seen=seen).status

        until(lambda: Status.VERIFIED is status(), "verified", SAFE_S)
        # again is harmless, and another ledger's folder is refused
        assert 0 == bridge.command("attach", *ledger_dir, str(file)).returncode
        wrong = bridge.command("attach", "--ledger-dir", str(bridge.folder), str(file))
        assert (1, True) == (wrong.returncode, "folder of another ledger" in wrong.stderr)
        (tmp_path / "no.tally").write_bytes(b"no proof")
        bad = bridge.command("attach", *ledger_dir, str(tmp_path / "no.tally"))
        assert (1, "") == (bad.returncode, bad.stdout)
