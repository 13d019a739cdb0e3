"""Pruning, backup, snapshot, restore: what was proven stays proven, and no copy signs a second history."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tallystick import block
from tallystick.block import BlockKind
from tallystick.milestone import Confirmed
from tallystick.receipt import State
from tallystick.statement import StatementKind
from tallystick_ledger import tree
from tallystick_ledger.dag import MAX_DEPTH
from tallystick_ledger.folder import Folder
from tallystick_ledger.follower import Follower
from tallystick_ledger.fsck import check
from tallystick_ledger.node import Node
from tallystick_ledger.prune import prunable, prune
from tallystick_ledger.store import Store
from tests.ledger.conftest import Clock
from tests.ledger.site import Following, Ledger, Submitter, anchor, gateway_key, said, until
from tests.ledger.test_cli import tally_ledger
from tests.ledger.test_node import attach, refused
from tests.parts import Broker

DEVICE, ISSUER = gateway_key(51), gateway_key(50)


def lived(node: Node, clock: Clock, rounds: int) -> list[bytes]:
    """A ledger with some history, a day a round; the ids of its anchors and of one statement."""
    names: list[bytes] = []
    for size in range(1, rounds + 1):
        clock.now += 86_400
        names.append(attach(node, anchor(node.tips()[:2], size)))
        if size < 5:
            names.append(attach(node, anchor(node.tips()[:2], size, gateway_key(2))))
        if size == 3:
            raw = said(node.tips()[:1], node.id, DEVICE, StatementKind.STOLEN, ISSUER)
            names.append(attach(node, raw))
        node.tick()
    return names


def proofs(node: Node, names: list[bytes]) -> list[Confirmed]:
    """What the node gives for each."""
    found = [node.receipt(name).confirmed for name in names]
    return [one for one in found if one is not None]


def test_pruning_keeps_every_proof_that_was_given(node: Node, folder: Folder, clock: Clock) -> None:
    """A receipt of three years ago must still verify, and the tree must still be the one that it was part of."""
    names = lived(node, clock, MAX_DEPTH + 20)
    given = proofs(node, names)
    upto = prunable(node.store, clock.now)
    while prune(node.store, upto, 7):
        pass
    for one in given:
        one.verify_inclusion()
        one.milestone.verify(node.store.key)
        # the tree of today still holds the block where the proof says
        path = tree.path(node.store.node, one.position, node.head.size)
        now = Confirmed(one.block, one.position, tuple(path), one.milestone)
        assert block.block_id(one.block.raw) == node.store.id_at(now.position)
        for size in (one.milestone.size, node.head.size):
            assert tree.root(node.store.node, size)
        assert one.milestone.root == tree.root(node.store.node, one.milestone.size)
    left = {one.block.id for one in proofs(node, names)}
    kept = {one.block.id for one in given if one.block.kind is BlockKind.STATEMENT}
    newest = {node.store.newest_anchor(gateway_key(n).public.kid) for n in (1, 2)}
    assert kept | newest <= left
    assert len(left) < len(given) / 2 + 10
    again = next(one.block.raw for one in given if one.block.id not in left)
    assert "block.pruned" == node.submit([again])[0].receipt.detail
    # the chain goes on
    attach(node, anchor(node.tips()[:2], 99))
    node.tick()
    report = check(folder.database)
    assert [] == report.damage
    assert report.pruned > 0
    # what was young enough to build on was left
    assert "block.parent-deep" == refused(node, anchor([names[0]], 100))


def test_pruned_block_that_was_changed_is_found(node: Node, folder: Folder, clock: Clock) -> None:
    """An id is all that is left of a pruned block: if it is not the one that was signed, the tree says so."""
    lived(node, clock, MAX_DEPTH + 10)
    prune(node.store, prunable(node.store, clock.now))
    node.store.connection.execute("UPDATE blocks SET id = zeroblob(32) WHERE arrival = 2")
    assert check(folder.database).damage


def test_missing_bytes_are_no_pruning(node: Node, folder: Folder, clock: Clock) -> None:
    """Damage must not pass as housekeeping."""
    lived(node, clock, MAX_DEPTH + 10)
    node.store.connection.execute("UPDATE blocks SET raw = NULL WHERE arrival = 5")
    assert any("was not pruned" in line for line in check(folder.database).damage)


def test_follower_starts_from_a_snapshot(
    node: Node, folder: Folder, clock: Clock, tmp_path: Path
) -> None:
    """Years of blocks need not be read again; what a snapshot says leads to roots that the ledger signed."""
    lived(node, clock, MAX_DEPTH + 20)
    file = tmp_path / "snapshot"
    done = tally_ledger("snapshot", "--dir", str(folder.path), str(file))
    assert (0, f"{file}\n") == (done.returncode, done.stdout), done.stderr
    assert [] == [one for one in tmp_path.iterdir() if one.name not in ("snapshot", "site")]
    copy = tmp_path / "copy"
    done = tally_ledger("restore", "--dir", str(copy), str(file))
    assert 0 == done.returncode, done.stderr
    assert f"{folder.identity()}\n" == done.stdout
    with Store.writing(copy / "ledger.db") as store:
        follower = Follower(store)
        assert node.head == follower.head
        assert store.pruned() > 0
        raws: list[bytes] = []
        for size in range(200, 203):
            raws.append(anchor(node.tips()[:2], size))
            attach(node, raws[-1])
            raws += [one.block.raw for one in node.tick()]
        follower.seen(raws)
        assert 3 == len(follower.advance())
        assert node.head == follower.head
    assert [] == check(copy / "ledger.db").damage
    done = tally_ledger("run", "--dir", str(copy), "--broker", "127.0.0.1:1")
    assert 1 == done.returncode
    assert "hint: " in done.stderr


def test_backup_of_a_running_ledger_comes_back(tmp_path: Path, broker: Broker) -> None:
    """The disk dies: the newest backup and the key make the same ledger again; an older one signs nothing."""
    ledger = Ledger(tmp_path / "site", broker.port, interval_s=0.1)
    try:
        ledger.start()
        with Submitter(broker.port, ledger.id) as one:
            one.answer(one.submit(anchor(one.parents())), State.CONFIRMED)
            old = tmp_path / "old.backup"
            assert 0 == ledger.command("backup", str(old)).returncode
            name = one.submit(anchor(one.parents(), 2))
            proof = one.answer(name, State.CONFIRMED).confirmed
            assert proof is not None
            until(lambda: len(one.milestones) > 3, "more milestones")
            assert 0 == ledger.stop()
            new = tmp_path / "new.backup"
            assert 0 == ledger.command("backup", str(new)).returncode
            assert 1 == ledger.command("backup", str(new)).returncode  # never over another
            key = str(ledger.folder / "ledger.key")
            back = {}
            for file in (old, new):
                folder = tmp_path / f"from-{file.stem}"
                done = tally_ledger("restore", "--dir", str(folder), str(file), "--key", key)
                assert 0 == done.returncode, done.stderr
                again = tally_ledger("restore", "--dir", str(folder), str(file), "--key", key)
                assert 1 == again.returncode
                back[file] = folder
            ledger.folder = back[old]
            ledger.start()
            assert ledger.process is not None
            assert 1 == ledger.process.wait(15)
            ledger.folder = back[new]
            ledger.start()
            until(lambda: ledger.health().get("broker") == "connected", "the ledger")
            mine = httpx.get(f"{ledger.url()}/v1/blocks/{name.hex()}/confirmed").content
            assert proof.encode() == mine
            one.answer(one.submit(anchor(one.parents(), 3)), State.CONFIRMED)
    finally:
        ledger.kill()
    assert 0 == ledger.command("fsck").returncode


@pytest.mark.timeout(120)
def test_runs_pruned_and_says_so(tmp_path: Path, broker: Broker) -> None:
    """Who follows from genesis must be told why it cannot, and what to do."""
    ledger = Ledger(tmp_path / "site", broker.port, interval_s=0.05)
    late = Following(tmp_path / "late", broker.port, ledger.name)
    try:
        ledger.start("--keep-days", "0")
        with Submitter(broker.port, ledger.id) as one:
            name = one.submit(anchor(one.parents()))
            one.answer(name, State.CONFIRMED)
            two = one.submit(anchor(one.parents(), 2))
            one.answer(two, State.CONFIRMED)

            def gone() -> bool:
                answer = httpx.get(f"{ledger.url()}/v1/blocks/{name.hex()}")
                return answer.status_code == 410 and answer.json()["code"] == "block.pruned"

            # a block is young for 15 rounds of at least a second
            until(gone, "pruning", 60)
            # sent again, it is told that its proof cannot be had a second time
            late.start()
            assert late.process is not None
            assert 1 == late.process.wait(30)
            assert "snapshot" in late.log.read_text()
    finally:
        late.kill()
        ledger.kill()


@pytest.mark.parametrize("damage", ["garbage", "cut", "wrong key"])
def test_restore_refuses_what_is_not_whole(
    node: Node, folder: Folder, clock: Clock, tmp_path: Path, damage: str
) -> None:
    """A bad backup must be found before the good disk is thrown away."""
    lived(node, clock, 5)
    file = tmp_path / "backup"
    assert 0 == tally_ledger("backup", "--dir", str(folder.path), str(file)).returncode
    raw = file.read_bytes()
    options: list[str] = []
    if damage == "garbage":
        file.write_bytes(b"garbage")
    elif damage == "cut":
        file.write_bytes(raw[: len(raw) // 2 // 4096 * 4096])
    else:
        other = tmp_path / "other"
        tally_ledger("init", "--dir", str(other))
        options = ["--key", str(other / "ledger.key")]
    target = tmp_path / "target"
    done = tally_ledger("restore", "--dir", str(target), str(file), *options)
    assert 1 == done.returncode
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not (target / "ledger.db").exists()
    assert not (target / "ledger.key").exists()


def test_prune_command(tmp_path: Path, clock: Clock) -> None:
    """An operator prunes by hand, too."""
    clock.now = 1_700_000_000
    folder = Folder(tmp_path / "old")
    folder.create("years ago", clock.now)
    with Store.writing(folder.database) as store:
        node = Node(store, folder.key(), clock)
        for size in range(1, MAX_DEPTH + 30):
            attach(node, anchor(node.tips()[:1], size))
            node.tick()
            node.announced = node.head.size
    done = tally_ledger("prune", "--dir", str(folder.path), "--keep-days", "0")
    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith("pruned up to position ")
    done = tally_ledger("fsck", "--dir", str(folder.path), "--json")
    assert 0 == done.returncode, done.stdout
    assert '"sound": true' in done.stdout
    assert '"pruned": 0' not in done.stdout
