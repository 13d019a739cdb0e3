"""A world in memory: a board, a gateway's log, a ledger and an issuer. All of it is a simulator.

It signs with keys made of fixed seeds and keeps nothing on a disk, so that a test can say in a line what it needs a
proof of::

    world = World()
    world.board.open()
    world.board.readings([215, 216])
    data = world.proof(1)                                # anchored, with credential
    verdict = tallystick.verify.verify(data, tallystick.policy.parse(world.policy().encode()))

What it makes is what real parts make, byte for byte; only who holds the keys differs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tallystick import (
    block,
    cbor,
    checkpoint,
    credential,
    did,
    merkle,
    message,
    milestone,
    proof,
    record,
    statement,
)
from tallystick.block import BlockKind
from tallystick.body import Beacon, Body, Channel, Clock, MilestoneRef, Open, Readings
from tallystick.checkpoint import gateway_name, ledger_name
from tallystick.keys import PrivateKey
from tallystick.milestone import Confirmed
from tallystick.note import VerifierKey
from tallystick.statement import StatementKind
from tallystick_host.console import TransportError

START: Final = 1_763_640_000  # 2025-11-20T12:00:00Z
CHANNELS: Final = (Channel("temperature", "Cel", -1), Channel("humidity", "%RH", 0))


def key(name: str) -> PrivateKey:
    """The simulator's key of this name; the same in each run."""
    return PrivateKey.from_seed(name.encode().ljust(32, b"."))


@dataclass
class Board:
    """A simulated board: signs a chain. `branch` makes a clone with the same key and the same past."""

    signer: PrivateKey = field(default_factory=lambda: key("board"))
    time: int = START
    chain: list[bytes] = field(default_factory=list)

    @property
    def did(self) -> str:
        return did.did_key(self.signer.public)

    @property
    def id(self) -> str:
        return self.signer.public.kid.hex()

    def sign(self, says: Body) -> int:
        """Sign one record more; its seq."""
        seq = len(self.chain)
        prev = record.parse(self.chain[-1]).id if seq else record.genesis(self.signer.public)
        self.chain.append(record.sign(self.signer, seq, prev, self.time, says))
        self.time += 10
        return seq

    def open(self) -> int:
        """An `open` with a channel for temperature (tenths of a degree) and one for humidity."""
        return self.sign(Open(1, "0.1.0", bytes(16), Clock.NTP, None, CHANNELS, 1000))

    def readings(self, tenths: Sequence[int | None]) -> int:
        """Readings of `tenths` of a degree, ten seconds apart, at 40 % humidity."""
        boot = max(
            i for i, raw in enumerate(self.chain) if isinstance(record.parse(raw).body, Open)
        )
        interval = 10 if len(tenths) > 1 else 0
        return self.sign(Readings(boot, interval, (tuple(tenths), (40,) * len(tenths))))

    def beacon(self, named: MilestoneRef) -> int:
        """A beacon that names a milestone."""
        return self.sign(Beacon(named, None, None, 0))

    def branch(self) -> Board:
        """A clone: the same key goes on from here a second time."""
        return Board(self.signer, self.time, list(self.chain))


class Ledger:
    """A simulated ledger: each block names the one before, and `confirm` is a milestone over all blocks so far.

    `blocks` stand in their confirmed order (docs/format.md, section 8): a milestone is the first that the next one
    confirms.
    """

    def __init__(self, name: str = "ledger") -> None:
        self.signer = key(name)
        genesis = block.sign_genesis(self.signer, START - 1000, "simulated")
        self.id = block.ledger_id(genesis)
        self.blocks = [genesis]
        self._newest = self._tip = block.block_id(genesis)
        self._index = 0
        self._size = 0
        self._confirmed_by: list[tuple[int, bytes]] = []  # size and milestone
        self.confirm(START - 900)

    @property
    def vkey(self) -> VerifierKey:
        return VerifierKey(ledger_name(self.id), self.signer.public)

    @property
    def named(self) -> MilestoneRef:
        """The newest milestone, as a board names it."""
        return MilestoneRef(self.id, self._newest)

    def post(self, kind: BlockKind, body: bytes) -> int:
        """Attach a block; its position."""
        self.blocks.append(block.sign(self.signer, [self._tip], START, kind, body))
        self._tip = block.block_id(self.blocks[-1])
        return len(self.blocks) - 1

    def confirm(self, time: int) -> None:
        """Sign a milestone over all blocks."""
        self._index += 1
        first, self._size = self._size, len(self.blocks)
        parents = list(dict.fromkeys([self._newest, self._tip]))
        root = merkle.root(self._leaves())
        self.milestone = milestone.sign(
            self.signer, self.id, self._index, parents, time, first, self._size, root
        )
        self._confirmed_by.append((self._size, self.milestone))
        self._newest = self._tip = block.block_id(self.milestone)
        self.blocks.append(self.milestone)

    def confirmed(self, position: int) -> bytes:
        """CBOR `confirmed` of the block at `position`, by the milestone that confirmed it."""
        size, stone = next(one for one in self._confirmed_by if position < one[0])
        path = merkle.inclusion_path(self._leaves()[:size], position)
        return cbor.encode([self.blocks[position], position, path, stone])

    def _leaves(self) -> list[bytes]:
        return [merkle.leaf_hash(block.block_id(raw)) for raw in self.blocks]


class World:
    """One issuer, one board, one gateway, one ledger."""

    def __init__(self) -> None:
        self.issuer, self.owner, self.gateway = key("issuer"), key("owner"), key("gateway")
        self.board, self.ledger = Board(), Ledger()
        self.statements: list[int] = []
        self._previous: bytes | None = None

    @property
    def gateway_line(self) -> VerifierKey:
        return VerifierKey(gateway_name(self.gateway.public), self.gateway.public)

    def policy(self, *, issuer: bool = True, gateway: bool = True, ledger: bool = True) -> str:
        """A policy that trusts these, with a comment that must survive."""
        lines = ["# whom we trust", "version = 1"]
        if issuer:
            lines += ["[[issuers]]", f'did = "{did.did_key(self.issuer.public)}"', 'name = "Acme"']
        if gateway:
            lines += ["[[gateways]]", f'vkey = "{self.gateway_line}"', 'name = "shed"']
        if ledger:
            lines += ["[[ledgers]]", f'vkey = "{self.ledger.vkey}"', 'operator = "Harbour"']
        return "\n".join(lines) + "\n"

    def credential(self, *, expires: int | None = None) -> bytes:
        """The issuer's credential of the board."""
        issuer_did = did.did_key(self.issuer.public)
        return credential.sign(
            self.issuer, issuer_did, self.board.did, START - 5000, expires=expires
        )

    def say(self, kind: StatementKind, args: Sequence[bytes] = ()) -> None:
        """The issuer's statement about the board, posted to the ledger."""
        raw = statement.sign(
            self.issuer, self.board.did, self.ledger.id, self._previous, kind, args
        )
        self._previous = statement.parse(raw).id
        self.statements.append(self.ledger.post(BlockKind.STATEMENT, raw))

    def proof(
        self,
        first: int,
        last: int | None = None,
        *,
        board: Board | None = None,
        anchored: bool = True,
        before: bytes | None = None,
        links: Sequence[int] = (),
        credential: bytes | None = None,
        change: Callable[[dict[str, object]], None] = lambda parts: None,
    ) -> bytes:
        """The proof of the records `first`..`last`. `change` may alter the parts before they are put together."""
        given = board or self.board
        seqs = range(first, (first if last is None else last) + 1)
        leaves = [merkle.leaf_hash(raw) for raw in given.chain]
        note = checkpoint.sign(
            self.gateway, str(self.gateway_line.name), len(leaves), merkle.root(leaves)
        )
        boots = {
            said.boot
            for seq in seqs
            if isinstance(said := record.parse(given.chain[seq]).body, Readings)
        }
        parts: dict[str, object] = {
            "records": [given.chain[seq] for seq in seqs],
            "opens": [given.chain[seq] for seq in sorted(boots - set(seqs) - set(links))],
            "inclusions": [(seq, merkle.inclusion_path(leaves, seq)) for seq in seqs],
            "credential": credential or self.credential(),
            "links": [given.chain[seq] for seq in links],
            "before": before,
        }
        if anchored:
            position = self.ledger.post(BlockKind.ANCHOR, note)
            self.ledger.confirm(given.time + 600)
            parts["anchor"] = self.ledger.confirmed(position)
            parts["statements"] = [self.ledger.confirmed(one) for one in self.statements]
        else:
            parts["checkpoint"] = note
        change(parts)
        return proof.build(**parts)  # type: ignore[arg-type]

    def with_forged_record(self, data: bytes) -> bytes:
        """`data` with one bit of the first record's signature turned."""
        raw = proof.parse(data).records[0].raw
        return data.replace(raw, raw[:-1] + bytes([raw[-1] ^ 1]), 1)

    def confirmed_statements(self) -> list[Confirmed]:
        """The statements as the ledger gives them."""
        return [milestone.parse_confirmed(self.ledger.confirmed(one)) for one in self.statements]


class ScriptedBoard:
    """A board's console out of a script (a simulator): no serial port, no firmware. It is a `Transport`.

    `answer` turns a command line into what the board prints. `said` keeps all commands.
    """

    name = "the scripted board (simulator)"
    hint = "this is a simulator"
    stays = False
    start_s = 1.0

    def __init__(self, signer: PrivateKey | None = None) -> None:
        self.signer = signer or key("board")
        self.owner: str | None = None
        self.gateway: str | None = None
        self.serial = -1
        self.next: int | None = None
        self.born = False
        self.config: dict[str, object] = {"broker_host": None, "broker_port": 1883}
        self.config |= {"interval_ms": 10000, "batch": 1}
        self.credential = b""
        self.said: list[str] = []
        self.closed = False
        self._out = bytearray(b"ets Jun  8 2016 00:22:57\r\n\xff\xfe\r\n# no key yet: making one\n")

    def write(self, data: bytes) -> None:
        for line in data.decode().splitlines():
            if line.strip():
                self.said.append(line)
                self._out += self.answer(line)

    def read(self, timeout_s: float) -> bytes:
        if self.closed:
            raise TransportError("closed")
        data, self._out = bytes(self._out), bytearray()
        return data

    def close(self) -> None:
        self.closed = True

    def answer(self, line: str) -> bytes:
        """One answer line, as firmware/tally/console.py gives it."""
        name, _, rest = line.partition(" ")
        given: str = getattr(self, f"_{name}")(rest)
        return given.encode() + b"\r\n"

    def _help(self, rest: str) -> str:
        return "OK info challenge set genesis run config"

    def _info(self, rest: str) -> str:
        facts = {"id": self.signer.public.kid.hex(), "key": self.signer.public.raw.hex()}
        state = {
            "owner": self.owner,
            "gateway": self.gateway,
            "next": self.next,
            "state": "waiting",
        }
        return "OK " + json.dumps(facts | state)

    def _config(self, rest: str) -> str:
        return "OK " + json.dumps(self.config)

    def _challenge(self, rest: str) -> str:
        return (
            "OK "
            + message.sign_challenge(
                self.signer,
                device=self.signer.public.kid,
                nonce=bytes.fromhex(rest),
                next_seq=self.next,
            ).hex()
        )

    def _set(self, rest: str) -> str:
        what, *values = rest.split()
        if what == "owner":
            self.owner = values[0]
        elif what == "grant":
            grant = message.parse_grant(bytes.fromhex(values[0]))
            if grant.serial <= self.serial:
                return f"ERROR refused serial {grant.serial} is not above {self.serial}"
            self.serial, self.gateway = grant.serial, grant.key.kid.hex()
        elif what == "credential":
            self.credential = bytes.fromhex(values[0])
        elif what == "broker":
            self.config |= {"broker_host": values[0], "broker_port": int(values[1])}
        else:
            self.config[{"interval": "interval_ms", "batch": "batch"}[what]] = int(values[0])
        return "OK"

    def _genesis(self, rest: str) -> str:
        if self.born:
            return "ERROR refused this board has lost the head of its chain"
        self.next, self.born = 0, True
        return "OK"

    def _run(self, rest: str) -> str:
        return "OK"
