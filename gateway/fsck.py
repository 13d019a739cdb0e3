"""Everything again from the stored bytes: leaf hashes, roots, tiles, checkpoints, chains, anchors.

It trusts no stored result: every record is parsed and its signature checked again, every chain is
walked again from its first record, every tile is computed again from the leaves. Reads only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tallystick import checkpoint, did, merkle, milestone, record
from tallystick.chain import Chain, Link, Result
from tallystick.errors import TallystickError
from tallystick.note import VerifierKey
from tallystick_gateway.anchors import LedgerKey
from tallystick_gateway.folder import Folder, Identity
from tallystick_gateway.store import Store
from tallystick_gateway.store.places import Place, start_of
from tallystick_gateway.tiles import HEIGHT, WIDTH, Tiles, bundle, partials, tile_path

__all__ = ["Report", "check"]


@dataclass
class Report:
    """What was counted, and one line for everything that is wrong."""

    counts: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    derived: int = 0  # of what is wrong, what follows from the records: tiles and bundles

    def count(self, name: str) -> None:
        """One more of these was looked at."""
        self.counts[name] = self.counts.get(name, 0) + 1

    def expect(self, good: bool, what: str) -> None:
        """Note `what` unless it is good."""
        if not good:
            self.wrong.append(what)

    def expect_file(self, good: bool, what: str) -> None:
        """The same for a file that the gateway can write again."""
        self.derived += not good
        self.expect(good, what)


def check(
    store: Store,
    folder: Folder,
    identity: Identity | None,
    progress: Callable[[int, int], None] = lambda _done, _whole: None,
) -> Report:
    """Compare all that is stored with what follows from the stored bytes; `progress(done, all)`
    counts leaves.
    """
    report = Report()
    with store.snapshot():
        leaves = _chains(store, folder.log, report, progress)
        _tiles(store, folder.log, leaves, report)
        _checkpoints(store, leaves, identity, report)
        _anchors(store, leaves, report)
    return report


class _Leaves:
    """The tree over all leaf hashes, kept as its full subtrees; `roots` answers sizes that were
    asked for in advance.
    """

    def __init__(self, sizes: set[int], full: Callable[[int, int, bytes], None]) -> None:
        self.size = 0
        self.edge: list[list[bytes]] = []  # by tile level: the hashes of its unfinished tile
        self.roots: dict[int, bytes] = {0: merkle.EMPTY_ROOT}
        self._sizes = sizes
        self._full = full
        self._stack: list[bytes] = []

    def add(self, leaf_hash: bytes) -> None:
        index, subtree = self.size, leaf_hash
        while index & 1:
            subtree = merkle.node_hash(self._stack.pop(), subtree)
            index >>= 1
        self._stack.append(subtree)
        self._into_level(0, leaf_hash)
        self.size += 1
        if self.size in self._sizes:
            root = self._stack[-1]
            for left in reversed(self._stack[:-1]):
                root = merkle.node_hash(left, root)
            self.roots[self.size] = root

    def _into_level(self, level: int, value: bytes) -> None:
        if level == len(self.edge):
            self.edge.append([])
        self.edge[level].append(value)
        if len(self.edge[level]) == WIDTH:
            hashes, self.edge[level] = self.edge[level], []
            self._full(level, self.size >> (HEIGHT * (level + 1)), b"".join(hashes))
            self._into_level(level + 1, merkle.root(hashes))


class _Links:
    """The links of all chains in a temporary database: ten million do not fit into memory."""

    def __init__(self) -> None:
        self.database = sqlite3.connect("", isolation_level=None)
        self.database.execute("PRAGMA synchronous = OFF")
        self.database.execute(
            "CREATE TABLE links (device BLOB, seq INTEGER, id BLOB, prev BLOB, kid BLOB,"
            " PRIMARY KEY (device, seq)) WITHOUT ROWID"
        )
        self.database.execute("BEGIN")

    def of(self, device: bytes) -> _LinksOf:
        return _LinksOf(self.database, device)


@dataclass
class _LinksOf:
    database: sqlite3.Connection
    device: bytes

    def get(self, seq: int) -> Link | None:
        row = self.database.execute(
            "SELECT id, prev, kid FROM links WHERE device = ? AND seq = ?", (self.device, seq)
        ).fetchone()
        return None if row is None else Link(*row)

    def add(self, seq: int, link: Link) -> None:
        self.database.execute(
            "INSERT INTO links VALUES (?, ?, ?, ?, ?)",
            (self.device, seq, link.id, link.prev, link.kid),
        )


def _chains(
    store: Store, folder: Path, report: Report, progress: Callable[[int, int], None]
) -> _Leaves:
    """Walk all leaves in order: each record's place in the tree, its signature, its outcome, its
    chain's state.
    """
    sizes = {size for _, size, _, _ in store.all_checkpoints()}
    sizes |= {anchor.size for anchor in store.anchors("confirmed")}
    leaves = _Leaves(sizes, lambda level, n, right: _tile(folder, level, n, right, report))
    links = _Links()
    rows = {row.device: row for row in store.devices()}
    chains: dict[bytes, Chain] = {}
    whole = store.size()
    for leaf in store.leaves():
        idx, device, seq, result, raw = leaf.idx, leaf.device, leaf.seq, leaf.result, leaf.raw
        where = f"leaf {idx} (device {device.hex()}, seq {seq})"
        report.count("leaves")
        if idx % WIDTH == 0:
            progress(idx, whole)
        report.expect(idx == leaves.size, f"{where}: leaf {leaves.size} is missing before it")
        leaves.add(merkle.leaf_hash(raw))
        try:
            if device not in chains:
                key = did.public_key(rows[device].did)
                chains[device] = Chain(key, links.of(device))
            parsed = record.parse(raw)
            finding = chains[device].admit(parsed)
        except KeyError:
            report.wrong.append(f"{where}: its device is not in the database")
            continue
        except TallystickError as error:
            report.wrong.append(f"{where}: {error}")
            continue
        same = (parsed.seq, finding.result) == (seq, Result(result))
        report.expect(same, f"{where}: is {finding.result}, stored as {result} with another head")
        if finding.result is Result.ADMITTED:
            right = Place(seq, idx, parsed.kind.value, parsed.time, start_of(parsed.id))
            report.expect(leaf.place == right, f"{where}: its row says another kind, time or id")
            report.expect(
                store.place(device, seq) == right, f"{where}: another record has its place"
            )
        else:
            known = store.evidence_result(parsed.id)
            report.expect(known == finding.result, f"{where}: the evidence says {known}")
    for device, chain in chains.items():
        report.count("chains")
        state = rows[device].state
        report.expect(
            state == chain.dump(), f"chain of device {device.hex()}: the stored state is another"
        )
    return leaves


def _tiles(store: Store, folder: Path, leaves: _Leaves, report: Report) -> None:
    for level, edge in enumerate(leaves.edge):
        _tile(folder, level, leaves.size >> (HEIGHT * (level + 1)), b"".join(edge), report)
    newest = store.newest_checkpoint(store.fact("origin") or "")
    published = newest.size if newest else 0
    for n in range(-(-leaves.size // WIDTH)):
        _bundle(store, folder, n, leaves.size, report)
    for level in range(len(leaves.edge)):
        n, width = divmod(published >> (HEIGHT * level), WIDTH)
        if width:
            tiles = Tiles(folder, store.entries)
            report.expect_file(
                tiles.held(level, n, width * merkle.HASH_BYTES) is not None,
                f"{tile_path(level, n, width)} is missing, which the newest checkpoint needs",
            )


def _tile(folder: Path, level: int, n: int, right: bytes, report: Report) -> None:
    if len(right) == WIDTH * merkle.HASH_BYTES:
        report.count("tiles")
        name = tile_path(level, n)
        report.expect_file(_content(folder / name) == right, f"{name} is missing or wrong")
    for width in partials(folder, level, n):
        name = tile_path(level, n, width)
        held = _content(folder / name)
        # a file that has gone meanwhile was replaced by a wider one
        good = held is None or held == right[: width * merkle.HASH_BYTES]
        report.expect_file(good, f"{name} is wrong")


def _bundle(store: Store, folder: Path, n: int, size: int, report: Report) -> None:
    entries = store.entries(n * WIDTH, min(size, (n + 1) * WIDTH))
    if len(entries) == WIDTH:
        report.count("bundles")
        name = tile_path("entries", n)
        right = _content(folder / name) == bundle(entries)
        report.expect_file(right, f"{name} is missing or wrong")
    for width in partials(folder, "entries", n):
        name = tile_path("entries", n, width)
        held = _content(folder / name)
        report.expect_file(held is None or held == bundle(entries[:width]), f"{name} is wrong")


def _checkpoints(store: Store, leaves: _Leaves, identity: Identity | None, report: Report) -> None:
    for origin, size, root, note in store.all_checkpoints():
        report.count("checkpoints")
        where = f"checkpoint of size {size} ({origin})"
        report.expect(leaves.roots.get(size) == root, f"{where}: the leaves have another root")
        try:
            parsed = checkpoint.parse(note)
            if identity is not None and origin == identity.origin:
                parsed.verify(identity.verifier)
        except TallystickError as error:
            report.wrong.append(f"{where}: {error}")
            continue
        same = (parsed.origin, parsed.size, parsed.root) == (origin, size, root)
        report.expect(same, f"{where}: the note says otherwise")


def _anchors(store: Store, leaves: _Leaves, report: Report) -> None:
    line = store.fact("ledger")
    for anchor in store.anchors("confirmed"):
        report.count("anchors")
        where = f"anchor of size {anchor.size}"
        try:
            confirmed = milestone.parse_confirmed(anchor.confirmed or b"")
            if line is not None:
                LedgerKey(VerifierKey.parse(line)).confirmed(confirmed)
            note = checkpoint.parse(confirmed.block.carried)
        except TallystickError as error:
            report.wrong.append(f"{where}: {error}")
            continue
        report.expect(confirmed.block.raw == anchor.block, f"{where}: another block is confirmed")
        report.expect(
            leaves.roots.get(note.size) == note.root, f"{where}: the leaves have another root"
        )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def lines(report: Report) -> Iterator[str]:
    """The report as lines: what was looked at, then what is wrong."""
    for name, number in report.counts.items():
        yield f"{name}: {number}"
    yield from report.wrong
    yield "ok" if not report.wrong else f"wrong: {len(report.wrong)}"
