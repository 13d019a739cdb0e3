"""A simulator: one board, its gateway's log and a ledger, in memory and by a clock of its own.

It is no gateway and no ledger: nothing is checked, nothing is kept, and whoever holds it holds all
the keys. That is what it is for: a test takes one honest world and forges one thing in it. What it
makes is what real parts make, byte for byte. All keys come from names and all times from `START`,
so that two runs make the same bytes.

Step by step, for tests that forge a step:

    world = World()
    world.device.open()
    reading = world.device.readings([215])
    world.publish()                     # log, checkpoint, anchor, milestone
    data = world.prove([reading])       # a proof that `world.policy` calls VERIFIED

In one line, for tests that need a file:

    data = world.proof(1)               # of seq 1, with an anchor of its own
    text = world.policy_text()          # the policy as a file
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tallystick import (
    block,
    checkpoint,
    credential,
    did,
    merkle,
    milestone,
    proof,
    record,
    statement,
)
from tallystick.block import BlockKind
from tallystick.body import (
    Beacon,
    Body,
    Channel,
    CheckpointRef,
    Event,
    EventCode,
    Kind,
    MilestoneRef,
    Open,
    Readings,
    Rotate,
)
from tallystick.cose import Signer
from tallystick.keys import PrivateKey, PublicKey
from tallystick.milestone import Confirmed, Milestone
from tallystick.note import VerifierKey
from tallystick.policy import Issuer, Log, Policy
from tallystick.record import Record, device_id, genesis, possession_bytes
from tallystick.statement import StatementKind

START = 1_800_000_000  # Unix seconds of the first record
STEP_S = 60  # between two records
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
CHANNELS = (Channel("temperature", "Cel", -1), Channel("humidity", "%RH", -1))


def seed(name: str) -> bytes:
    """The 32 bytes from which the key called `name` is made."""
    return sha256(b"tallystick test key " + name.encode()).digest()


def key(name: str) -> PrivateKey:
    """The Ed25519 key called `name`."""
    return PrivateKey.from_seed(seed(name))


class SimKey:
    """A P-256 key as a SIM holds it. `sign` gives another signature each time, as a SIM does;
    `repeatable` gives the same one, for vectors (RFC 6979).
    """

    def __init__(self, name: str, *, repeatable: bool = False) -> None:
        secret = int.from_bytes(seed(name), "big") % (P256_ORDER - 1) + 1
        self._key = ec.derive_private_key(secret, ec.SECP256R1())
        self._repeatable = repeatable
        self.public: PublicKey = PrivateKey(self._key).public

    def sign(self, message: bytes) -> bytes:
        """r || s with the lower s."""
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=self._repeatable)
        r, s = decode_dss_signature(self._key.sign(message, algorithm))
        return r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")


class Device:
    """A board: it signs records and keeps its head. `seq`, `prev` and `time` may be set by a test,
    and a copy of it is a clone.
    """

    def __init__(self, signer: Signer | None = None) -> None:
        self.signer: Signer = signer or key("device")
        self.first = self.signer.public
        self.id = device_id(self.first)
        self.did = did.did_key(self.first)
        self.seq = 0
        self.prev = genesis(self.first)
        self.time = START
        self.boot = 0
        self.records: list[Record] = []

    def clone(self) -> Device:
        """Another board with the same key and the same head."""
        other = Device(self.signer)
        other.first, other.id, other.did = self.first, self.id, self.did
        other.seq, other.prev, other.time = self.seq, self.prev, self.time
        other.boot, other.records = self.boot, list(self.records)
        return other

    def sign(self, body: Body, **changes: Any) -> Record:
        """The next record; `changes` (seq, prev, time, signer) replace what an honest board says."""
        raw = record.sign(
            changes.get("signer", self.signer),
            changes.get("seq", self.seq),
            changes.get("prev", self.prev),
            changes.get("time", self.time),
            body,
        )
        made = record.parse(raw)
        self.records.append(made)
        self.seq, self.prev, self.time = made.seq + 1, made.id, made.time + STEP_S
        if made.kind is Kind.OPEN:
            self.boot = made.seq
        return made

    def open(self, *, channels: Sequence[Channel] = CHANNELS, **changes: Any) -> Record:
        """Power on."""
        body = Open(
            boots=self.seq,
            version="0.1.0",
            digest=bytes(range(16)),
            clock=2,
            fingerprint=None,
            channels=tuple(channels),
            tick_ms=1000,
        )
        return self.sign(body, **changes)

    def readings(
        self,
        temperatures: Sequence[int | None] = (215,),
        *,
        boot: int | None = None,
        **changes: Any,
    ) -> Record:
        """Readings of both channels, a minute apart."""
        humidities = tuple(
            None if value is None else 500 + i for i, value in enumerate(temperatures)
        )
        body = Readings(
            self.boot if boot is None else boot,
            STEP_S if len(temperatures) > 1 else 0,
            (tuple(temperatures), humidities),
        )
        return self.sign(body, **changes)

    def beacon(
        self,
        milestone: MilestoneRef | None = None,
        checkpoint: CheckpointRef | None = None,
        **changes: Any,
    ) -> Record:
        """What follows is younger than `milestone`."""
        return self.sign(Beacon(milestone, checkpoint, None, 0), **changes)

    def event(self, code: int, *args: Any, **changes: Any) -> Record:
        """Something happened."""
        return self.sign(Event(code, args), **changes)

    def adopt(self, upto: int, id: bytes, gateway: bytes = bytes(8)) -> Record:
        """Go on from an acknowledgement, as a board without a head does."""
        self.seq, self.prev = upto + 1, id
        return self.event(EventCode.ADOPTED, upto, gateway, self.time)

    def rotate(self, new: Signer, *, possession: bytes | None = None, **changes: Any) -> Record:
        """Hand over to the key `new`; the next record has to be an `open`."""
        message = possession_bytes(self.id, self.seq, self.prev, self.time, new.public)
        made = self.sign(Rotate(new.public, possession or new.sign(message)), **changes)
        self.signer = new
        return made


class GatewayLog:
    """The gateway's Merkle log: record bytes in, checkpoints and paths out."""

    def __init__(self, signer: PrivateKey) -> None:
        self.signer = signer
        self.origin = checkpoint.gateway_name(signer.public)
        self.entries: list[bytes] = []

    @property
    def vkey(self) -> VerifierKey:
        """What a policy trusts this log by."""
        return VerifierKey(self.origin, self.signer.public)

    def add(self, raw: bytes) -> int:
        """The index of the new leaf."""
        self.entries.append(raw)
        return len(self.entries) - 1

    def leaves(self, size: int | None = None) -> list[bytes]:
        """The leaf hashes of the tree of `size`."""
        return [merkle.leaf_hash(entry) for entry in self.entries[:size]]

    def checkpoint(self, size: int | None = None) -> bytes:
        """The signed note of the tree of `size`."""
        leaves = self.leaves(size)
        return checkpoint.sign(self.signer, self.origin, len(leaves), merkle.root(leaves))

    def inclusion(self, raw: bytes, size: int | None = None) -> tuple[int, list[bytes]]:
        """(index, path) of a record in the tree of `size`."""
        index = self.entries.index(raw)
        return index, merkle.inclusion_path(self.leaves(size), index)


class Ledger:
    """A ledger node that orders what it is given: blocks, milestones, positions."""

    def __init__(self, signer: PrivateKey, name: str = "harbour") -> None:
        self.signer = signer
        self.blocks: dict[bytes, block.Block] = {}
        self.order: list[bytes] = []  # ids by position
        self.confirmed_by: dict[bytes, Milestone] = {}
        self.milestones: list[Milestone] = []
        start = self._keep(block.sign_genesis(signer, START, name))
        self.id = block.ledger_id(start.raw)
        self.tip = self.head = start.id

    def _keep(self, raw: bytes) -> block.Block:
        made = block.parse(raw)
        self.blocks[made.id] = made
        return made

    def post(self, kind: BlockKind, body: bytes, time: int, signer: Signer | None = None) -> bytes:
        """Attach a block behind the newest one; its id."""
        parents = dict.fromkeys((self.tip, self.head))
        raw = block.sign(signer or key("anyone"), list(parents), time, kind, body)
        self.tip = self._keep(raw).id
        return self.tip

    def milestone(self, time: int, **changes: Any) -> Milestone:
        """Confirm all that is attached; `changes` replace what an honest ledger says."""
        parents = list(dict.fromkeys((self.head, self.tip)))
        new: list[bytes] = []
        for parent in parents:
            self._walk(parent, new)
        order = self.order + new
        raw = milestone.sign(
            changes.get("signer", self.signer),
            changes.get("ledger", self.id),
            changes.get("index", len(self.milestones) + 1),
            parents,
            time,
            changes.get("first", len(self.order)),
            len(order),
            changes.get("root", merkle.root([merkle.leaf_hash(id) for id in order])),
        )
        made = milestone.from_block(self._keep(raw))
        self.order = order
        self.milestones.append(made)
        self.confirmed_by.update(dict.fromkeys(new, made))
        self.head = self.tip = made.id
        return made

    def _walk(self, start: bytes, new: list[bytes]) -> None:
        """Post-order: a block stands after all its parents (docs/format.md, section 8)."""
        if start in self.confirmed_by or start in new:
            return
        for parent in self.blocks[start].parents:
            self._walk(parent, new)
        new.append(start)

    def confirmed(self, id: bytes, by: Milestone | None = None) -> Confirmed:
        """The block `id`, and why it is in the ledger."""
        by = by or self.confirmed_by[id]
        leaves = [merkle.leaf_hash(one) for one in self.order[: by.size]]
        position = self.order.index(id)
        path = tuple(merkle.inclusion_path(leaves, position))
        return Confirmed(self.blocks[id], position, path, by)

    @property
    def name(self) -> str:
        """Origin and key name of its checkpoints."""
        return checkpoint.ledger_name(self.id)

    @property
    def vkey(self) -> VerifierKey:
        """What a policy trusts this ledger by."""
        return VerifierKey(self.name, self.signer.public)

    def newest(self) -> MilestoneRef:
        """The newest milestone, as a board is told of it."""
        return MilestoneRef(self.id, self.milestones[-1].id)


class World:
    """Everybody of one site, and the proofs that they can make."""

    def __init__(self, signer: Signer | None = None) -> None:
        self.device = Device(signer)
        self.issuer, self.owner = key("issuer"), key("owner")
        self.log = GatewayLog(key("gateway"))
        self.ledger = Ledger(key("ledger"))
        self.anchors: list[bytes] = []
        self.statements: list[bytes] = []  # block ids
        self.last_statement: bytes | None = None

    @property
    def issuer_did(self) -> str:
        """The DID of the issuer that the policy trusts."""
        return did.did_key(self.issuer.public)

    @property
    def policy(self) -> Policy:
        """Trusts this issuer, this gateway and this ledger."""
        return Policy(
            (Issuer(self.issuer_did, self.issuer.public, "Acme"),),
            (Log(self.log.vkey, "field", "Acme"),),
            (Log(self.ledger.vkey, "", "Harbour"),),
        )

    def policy_text(self, *, issuer: bool = True, gateway: bool = True, ledger: bool = True) -> str:
        """The policy as a file, with a comment that must survive, less whom `False` names."""
        lines = ["# whom we trust", "version = 1"]
        if issuer:
            lines += ["[[issuers]]", f'did = "{self.issuer_did}"', 'name = "Acme"']
        if gateway:
            lines += ["[[gateways]]", f'vkey = "{self.log.vkey}"', 'name = "field"']
        if ledger:
            lines += ["[[ledgers]]", f'vkey = "{self.ledger.vkey}"', 'operator = "Harbour"']
        return "\n".join(lines) + "\n"

    def credential(self, signer: Signer | None = None, **changes: Any) -> bytes:
        """The issuer's credential for the device."""
        said: dict[str, Any] = {
            "issuer": self.issuer_did,
            "subject": self.device.did,
            "not_before": START - 86_400,
            "expires": START + 10 * 365 * 86_400,
            **changes,
        }
        return credential.sign(signer or self.issuer, **said)

    def admit(self, device: Device | None = None) -> None:
        """Put all new records of the device, or of a clone, into the log."""
        for one in (device or self.device).records:
            if one.raw not in self.log.entries:
                self.log.add(one.raw)

    def anchor(self, time: int | None = None, note: bytes | None = None) -> bytes:
        """Post the newest checkpoint; the block's id."""
        body = self.log.checkpoint() if note is None else note
        posted = self.ledger.post(BlockKind.ANCHOR, body, time or self.device.time)
        self.anchors.append(posted)
        return posted

    def publish(self, time: int | None = None) -> Milestone:
        """Log, checkpoint, anchor and milestone in one step."""
        self.admit()
        self.anchor(time)
        return self.ledger.milestone(time or self.device.time)

    def state(
        self,
        signer: Signer,
        kind: StatementKind,
        *args: bytes,
        time: int | None = None,
        **changes: Any,
    ) -> bytes:
        """Post a statement about the device that follows the last one; the block's id."""
        raw = statement.sign(
            signer,
            changes.get("device", self.device.did),
            changes.get("ledger", self.ledger.id),
            changes.get("previous", self.last_statement),
            kind,
            args,
        )
        if changes.get("counts", True):
            self.last_statement = statement.parse(raw).id
        posted = self.ledger.post(BlockKind.STATEMENT, raw, time or self.device.time)
        self.statements.append(posted)
        return posted

    def register(self) -> bytes:
        """The issuer registers the device to `owner`."""
        owner = did.did_key(self.owner.public).encode()
        return self.state(self.issuer, StatementKind.REGISTERED, owner)

    def parts(
        self,
        records: Sequence[Record],
        *,
        anchor: bytes | None = None,
        device: Device | None = None,
    ) -> dict[str, Any]:
        """The arguments of `proof.build` for an honest proof of `records`."""
        anchor = anchor or self.anchors[-1]
        note = self.ledger.blocks[anchor].carried
        size = checkpoint.parse(note).size
        chain = (device or self.device).records
        by_seq = {one.seq: one for one in chain}
        held = {one.seq for one in records}
        boots = {one.body.boot for one in records if isinstance(one.body, Readings)}
        last = records[-1].seq
        turns = [
            one.raw
            for one in chain
            if one.kind is Kind.ROTATE and one.seq < last and one.seq not in held
        ]
        return {
            "records": [one.raw for one in records],
            "opens": [by_seq[seq].raw for seq in sorted(boots - held)],
            "rotations": turns,
            "inclusions": [self.log.inclusion(one.raw, size) for one in records],
            "anchor": self.ledger.confirmed(anchor).encode(),
            "credential": self.credential(),
            "statements": [self.ledger.confirmed(one).encode() for one in self.statements],
        }

    def pending(self, records: Sequence[Record]) -> dict[str, Any]:
        """The same without an anchor: the newest checkpoint stands in the file itself."""
        self.admit()
        posted = self.anchor()
        self.ledger.milestone(self.device.time)
        parts = self.parts(records, anchor=posted)
        return {**parts, "anchor": None, "checkpoint": self.log.checkpoint(), "statements": []}

    def prove(self, records: Sequence[Record], /, **changes: Any) -> bytes:
        """The proof file of `records`; `changes` replace arguments of `proof.build`."""
        return proof.build(**{**self.parts(records), **changes})

    def proof(
        self,
        first: int,
        last: int | None = None,
        /,
        *,
        device: Device | None = None,
        anchored: bool = True,
        **changes: Any,
    ) -> bytes:
        """The proof file of the records `first`..`last` of the device, or of a clone: logged, and
        anchored by a milestone ten minutes later. `changes` replace arguments of `proof.build`.
        """
        given = device or self.device
        self.admit(given)
        note, posted = self.log.checkpoint(), self.anchor()
        self.ledger.milestone(given.time + 600)
        records = given.records[first : (first if last is None else last) + 1]
        parts = self.parts(records, anchor=posted, device=given)
        if not anchored:
            parts |= {"anchor": None, "checkpoint": note, "statements": []}
        return proof.build(**{**parts, **changes})


def with_forged_record(data: bytes) -> bytes:
    """A proof file with one bit of its first record's signature turned."""
    raw = proof.parse(data).records[0].raw
    return data.replace(raw, raw[:-1] + bytes([raw[-1] ^ 1]), 1)


def small() -> tuple[World, bytes]:
    """One open, one readings record, three more leaves, one anchor: a complete small proof."""
    world = World()
    world.device.open()
    reading = world.device.readings([215, 216, None, 214])
    for _ in range(3):
        world.device.readings()
    world.register()
    world.publish()
    return world, world.prove([reading])
