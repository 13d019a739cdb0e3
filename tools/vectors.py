"""Write the vectors that CPython, MicroPython and the browser share.

    python -m tools.vectors           writes tests/vectors/*.json
    python -m tools.vectors --check   exit status 1 if a file is not up to date

Keys come from fixed seeds and times from a fixed start, so that each run makes the same bytes. A
case of `record.json` holds what a board needs to rebuild its bytes: the seed (32 bytes, hex) of the
Ed25519 key, the head, and the fields that follow `kind` in the payload, where a byte string is
{"hex": ...}. `refused.json` and
`refused_objects.json` hold bytes and the code that every implementation gives for them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tallystick import (
    block,
    cbor,
    checkpoint,
    cose,
    credential,
    did,
    merkle,
    message,
    proof,
    record,
    update,
)
from tallystick import statement as statements
from tallystick.block import BlockKind
from tallystick.body import Channel, CheckpointRef, EventCode, MilestoneRef, Open, Readings, Rotate
from tallystick.errors import TallystickError
from tallystick.keys import PublicKey
from tallystick.milestone import parse as parse_milestone
from tallystick.milestone import parse_confirmed
from tallystick.note import VerifierKey
from tallystick.record import Record
from tallystick.statement import StatementKind
from tallystick.update import Kind
from tests.world import START, Device, SimKey, World, key, seed, small

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "vectors"
Case = dict[str, Any]

PARSERS: dict[str, Callable[[bytes], object]] = {
    "cbor": cbor.decode,
    "record": record.parse,
    "acknowledgement": message.parse_acknowledgement,
    "command": message.parse_command,
    "challenge": message.parse_challenge,
    "grant": message.parse_grant,
    "manifest": update.parse_manifest,
    "checkpoint": checkpoint.parse,
    "block": block.parse,
    "milestone": parse_milestone,
    "confirmed": parse_confirmed,
    "statement": statements.parse,
    "credential": credential.parse,
    "proof": proof.parse,
    "did": lambda raw: did.public_key(raw.decode()),
    "ed25519 key": lambda raw: PublicKey.from_bytes(raw, -19),
    "p256 key": lambda raw: PublicKey.from_bytes(raw, -9),
    "vkey": lambda raw: VerifierKey.parse(raw.decode()),
}
ON_A_BOARD = {
    *("cbor", "ed25519 key", "record", "acknowledgement", "command", "challenge", "grant"),
    "manifest",
}


def plain(value: Any) -> Any:
    """`value` as JSON has it: a byte string as {"hex": ...}."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    return value


def payload(raw: bytes) -> Any:
    """The decoded payload of a signed object."""
    tagged = cbor.decode(raw)
    assert isinstance(tagged, cbor.Tagged)  # noqa: S101 - what we have signed ourselves
    return cbor.decode(tagged.value[2])


def records() -> list[Case]:
    """Each kind of record, by one device, as its chain goes."""
    device = Device()
    stone, point = (
        MilestoneRef(bytes(range(8)), bytes(range(32))),
        CheckpointRef(bytes(range(8, 16)), 1000, bytes(range(32, 64))),
    )
    made: list[tuple[str, Record, str]] = []

    def add(name: str, one: Record, by: str = "device") -> None:
        made.append((name, one, by))

    add("open, first", device.open())
    add("one reading", device.readings([215]))
    add("ten readings", device.readings([215 + i % 5 - 2 for i in range(10)]))
    add("readings with nulls", device.readings([None, 215, None, 214, None]))
    add("negative values", device.readings([-400, -(2**31), 2**40]))
    add("beacon", device.beacon(stone, point))
    add("beacon that knows nothing", device.beacon())
    add("event clock", device.event(EventCode.CLOCK, 300, START, 2))
    add("event dropped", device.event(EventCode.DROPPED, 3, 4))
    add("event pruned", device.event(EventCode.PRUNED, 5, 5))
    head = device.prev
    add("event adopted", device.adopt(device.seq - 1, head, bytes(range(8))))
    add("event config", device.event(EventCode.CONFIG, bytes(16)))
    add("event sensor", device.event(EventCode.SENSOR, 1, 1))
    add("event update", device.event(EventCode.UPDATE, b"0.1.0", b"0.1.1", 0))
    add("event tamper", device.event(EventCode.TAMPER, 0, 1))
    add("event of another code", device.event(999, -1, b"x", None, [1, [2]]))
    full = Open(
        300, "0.1.1", bytes(range(16)), 5, bytes(range(16)), (Channel("t", "Cel", -2),), 1000, stone
    )
    add("open with a milestone", device.sign(full))
    add("intervals one by one", device.sign(_uneven(device.boot)))
    before_clock = device.open(time=300)
    device.time = START + 9000
    add("open, clock not set", before_clock)
    add("size: 1 reading at seq 100000", sized(1))
    add("size: 10 readings at seq 100000", sized(10))
    add("size: 60 readings at seq 100000", sized(60))
    rotate = device.rotate(key("second"))
    add("rotate", rotate)
    add("open by the new key", device.open(), "second")
    return [record_case(name, one, by) for name, one, by in made]


def _uneven(boot: int) -> Readings:
    """Three readings at intervals of their own."""
    return Readings(boot, (10, 25), ((1, 2, 3),))


def sized(count: int) -> Record:
    """The record whose size docs/format.md, section 4 promises."""
    device = Device()
    device.boot = 99_000
    values = [20_000 + i % 24 for i in range(count)]
    return device.readings(values, seq=100_000, prev=bytes(range(32)))


def record_case(name: str, one: Record, by: str) -> Case:
    seq, prev, time, _, *fields = payload(one.raw)
    case = {
        "name": name,
        "kind": one.kind.name.lower(),
        "seed": seed(by).hex(),
        "seq": seq,
        "prev": prev.hex(),
        "time": time,
        "fields": plain(fields),
        "bytes": one.raw.hex(),
        "id": one.id.hex(),
    }
    if isinstance(one.body, Rotate):
        case["new_seed"] = seed("second").hex()
        case["device"] = key("device").public.kid.hex()
    return case


def signed_case(name: str, kind: str, by: str, raw: bytes) -> Case:
    """A signed object, its signer's seed, and its payload in JSON."""
    tagged: Any = cbor.decode(raw)
    header: Any = cbor.decode(tagged.value[0])
    signed = cose.parse(raw, header[16])
    return {
        "name": name,
        "kind": kind,
        "seed": seed(by).hex(),
        "fields": plain(payload(raw)),
        "bytes": raw.hex(),
        "id": (block.block_id(raw) if kind == "block" else signed.id).hex(),
    }


def messages() -> list[Case]:
    """What gateway, owner and board say to each other."""
    device, gateway = key("device").public, key("gateway")
    stone = MilestoneRef(bytes(range(8)), bytes(range(32)))
    ack = {
        "device": device.kid,
        "missing": [range(3, 6), range(9, 10)],
        "time": START,
        "size": 7,
        "root": bytes(range(32)),
        "nonce": bytes(range(16)),
    }
    return [
        signed_case(
            "acknowledgement",
            "acknowledgement",
            "gateway",
            message.sign_acknowledgement(gateway, upto=2, id=bytes(32), milestone=stone, **ack),  # type: ignore[arg-type]
        ),
        signed_case(
            "acknowledgement of nothing",
            "acknowledgement",
            "gateway",
            message.sign_acknowledgement(
                gateway,
                upto=None,
                id=None,
                milestone=None,
                **{**ack, "missing": []},  # type: ignore[arg-type]
            ),
        ),
        signed_case(
            "command",
            "command",
            "gateway",
            message.sign_command(
                gateway, device=device.kid, counter=7, name="interval", args=[60, b"x", None, [1]]
            ),
        ),
        *(
            signed_case(
                name,
                "challenge",
                "device",
                message.sign_challenge(
                    key("device"), device=device.kid, nonce=bytes(range(16)), next_seq=head
                ),
            )
            for name, head in (("challenge", 12), ("challenge without a head", None))
        ),
        signed_case("grant", "grant", "owner", message.sign_grant(key("owner"), gateway.public, 3)),
        *(
            signed_case(f"manifest, {name}", "manifest", "update", manifest)
            for name, manifest in manifests()
        ),
    ]


def manifests() -> Iterator[tuple[str, bytes]]:
    """Of an agent for any board, and of an image for one board after an earlier update."""
    files = {"boot.py": b"", "main.py": b"", "tally/life.mpy": b"M"}
    rows = [
        ("an agent", Kind.AGENT, None, 2566, 0, files),
        ("an image", Kind.IMAGE, "Generic ESP32 module", 5, 3, {"image/00000000": b"\xe9"}),
    ]
    for name, kind, board, machine, minimum, content in rows:
        yield (
            name,
            update.sign_manifest(
                key("update"),
                counter=7,
                minimum=minimum,
                version="1.2.0",
                kind=kind,
                board=board,
                machine=machine,
                index=update.index_of(content),
            ),
        )


def log_cases() -> list[Case]:
    """Trees of 0 to 9 leaves, their paths, and a checkpoint of each."""
    entries = [bytes([i]) * i for i in range(9)]
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    gateway = key("gateway")
    origin = checkpoint.gateway_name(gateway.public)
    cases: list[Case] = []
    for size in range(10):
        root = merkle.root(leaves[:size])
        cases.append(
            {
                "name": f"tree of {size}",
                "kind": "tree",
                "entries": [entry.hex() for entry in entries[:size]],
                "root": root.hex(),
                "inclusion": [
                    [h.hex() for h in merkle.inclusion_path(leaves[:size], i)] for i in range(size)
                ],
                "consistency": [
                    [h.hex() for h in merkle.consistency_path(leaves[:size], old)]
                    for old in range(size + 1)
                ],
                "checkpoint": checkpoint.sign(gateway, origin, size, root).decode(),
            }
        )
    line = str(VerifierKey(origin, gateway.public))
    return [
        {"name": "gateway", "kind": "key", "seed": seed("gateway").hex(), "vkey": line},
        *cases,
    ]


def ledger_cases() -> list[Case]:
    """One small ledger: every block, and every confirmed block with its path."""
    world, _ = small()
    ledger = world.ledger
    ledger.post(BlockKind.ANCHOR, world.log.checkpoint(), START + 900)
    ledger.milestone(START + 1000)
    by = {0: "ledger", 1: "ledger", 2: "anyone", 3: "anyone"}
    cases = [
        signed_case(one.kind.name.lower(), "block", by[one.kind], one.raw)
        for one in ledger.blocks.values()
    ]
    for position, id in enumerate(ledger.order):
        if position == 0:
            continue  # nobody asks for genesis
        held = ledger.confirmed(id)
        cases.append(
            {
                "name": f"position {position}",
                "kind": "confirmed",
                "block": id.hex(),
                "bytes": held.encode().hex(),
                "size": held.milestone.size,
                "root": held.milestone.root.hex(),
            }
        )
    return cases


def statement_cases() -> list[Case]:
    """The life of a device, and what takes no effect; `took` and `status` are what `History` says."""
    world = World()
    owner, buyer = did.did_key(key("owner").public).encode(), did.did_key(key("buyer").public)
    inspector = credential.sign(
        world.issuer,
        world.issuer_did,
        did.did_key(key("inspector").public),
        START,
        role="inspector",
    )
    day = 86_400
    plan: list[tuple[str, str, StatementKind, tuple[bytes, ...], int, bool]] = [
        ("a stranger registers", "stranger", StatementKind.REGISTERED, (owner,), 0, False),
        ("registered", "issuer", StatementKind.REGISTERED, (owner,), 1, True),
        ("the owner suspends", "owner", StatementKind.SUSPENDED, (b"no",), 2, False),
        ("suspended", "issuer", StatementKind.SUSPENDED, (b"recall",), 3, True),
        ("resumed", "issuer", StatementKind.RESUMED, (), 4, True),
        ("resumed again", "issuer", StatementKind.RESUMED, (), 5, False),
        ("transferred", "owner", StatementKind.TRANSFERRED, (buyer.encode(),), 6, True),
        ("a stranger accepts", "stranger", StatementKind.ACCEPTED, (), 7, False),
        ("accepted after 31 days", "buyer", StatementKind.ACCEPTED, (), 37, False),
        ("transferred again", "owner", StatementKind.TRANSFERRED, (buyer.encode(),), 38, True),
        ("accepted after 30 days", "buyer", StatementKind.ACCEPTED, (), 68, True),
        ("the old owner: stolen", "owner", StatementKind.STOLEN, (), 69, False),
        ("stolen", "buyer", StatementKind.STOLEN, (), 70, True),
        ("recovered", "issuer", StatementKind.RECOVERED, (), 71, True),
        ("inspected", "inspector", StatementKind.INSPECTED, (b"good", inspector), 72, True),
        ("a stranger inspects", "stranger", StatementKind.INSPECTED, (b"x", inspector), 73, False),
        ("retired", "buyer", StatementKind.RETIRED, (), 74, True),
        ("after that nothing", "issuer", StatementKind.RECOVERED, (), 75, False),
    ]
    history = statements.History(world.device.did, world.ledger.id, [world.issuer.public])
    cases: list[Case] = []
    for position, (name, by, kind, args, at, takes) in enumerate(plan, 1):
        previous = history.last.id if history.last else None
        raw = statements.sign(key(by), world.device.did, world.ledger.id, previous, kind, args)
        effect = history.apply(statements.parse(raw), position, START + at * day)
        case = signed_case(name, "statement", by, raw)
        if effect.took is not takes:
            raise ValueError(f"{name}: {effect.detail}")
        case |= {"position": position, "time": START + at * day, "took": effect.took}
        case |= {"status": history.status.value, "owner": history.owner}
        cases.append(case)
    return cases


def credential_cases() -> list[Case]:
    """Credentials of each form."""
    world = World()
    sim = SimKey("sim")
    given = {
        "a device": world.credential(),
        "without an end": world.credential(expires=None),
        "a later key": world.credential(key=key("second").public),
        "a later key in a SIM": world.credential(key=sim.public),
        "an inspector": world.credential(role="inspector"),
    }
    cases = [signed_case(name, "credential", "issuer", raw) for name, raw in given.items()]
    names: list[Case] = [
        {
            "name": f"did:key of {name}",
            "kind": "did",
            "alg": k.alg,
            "key": k.raw.hex(),
            "did": did.did_key(k),
            "kid": k.kid.hex(),
        }
        for name, k in (
            ("issuer", key("issuer").public),
            ("device", key("device").public),
            ("sim", sim.public),
        )
    ]
    return [*cases, *names]


def proof_cases() -> list[Case]:
    """Whole proof files with the policy's lines, and the verdict that each must get."""
    world, data = small()
    reading = world.device.records[1]
    policy = world.policy
    stranger = Device(key("stranger"))
    forged = stranger.readings(seq=1, prev=world.device.records[0].id, boot=0).raw
    broken = reading.raw[:-1] + bytes([reading.raw[-1] ^ 1])
    files = {
        "VERIFIED": ("one reading", data),
        "PENDING": ("not anchored yet", proof.build(**world.pending([reading]))),
        "TAMPERED": ("a signature with one bit changed", world.prove([reading], records=[broken])),
        "UNTRUSTED": (
            "self-issued",
            world.prove(
                [reading], credential=world.credential(key("device"), issuer=world.device.did)
            ),
        ),
    }
    # a record that the log never had is TAMPERED: what the unknown key signed has to be logged
    world.log.add(forged)
    world.anchor()
    world.ledger.milestone(START + 9000)
    parts = {**world.parts([reading]), "records": [forged]}
    parts["inclusions"] = [world.log.inclusion(forged)]
    files["UNDECIDED"] = ("a record of an unknown key", proof.build(**parts))
    trust = {
        "issuers": [one.did for one in policy.issuers],
        "gateways": [str(one.vkey) for one in policy.gateways],
        "ledgers": [str(one.vkey) for one in policy.ledgers],
    }
    return [
        {"name": name, "kind": "proof", "policy": trust, "bytes": raw.hex(), "verdict": verdict}
        for verdict, (name, raw) in files.items()
    ]


def cheat_cases() -> list[Case]:
    """Each way to cheat, with the verdict and the check that must catch it."""
    from tools.cheats import all_cheats, case

    return [case(one) for one in all_cheats()]


def refused_cases(*, board: bool) -> list[Case]:
    """Bytes of each class that must be refused, and the code: what a board decodes, or the rest."""
    from tools.refused import bad_bytes

    cases: list[Case] = []
    for name, what, raw, code in bad_bytes():
        if board is not (what in ON_A_BOARD):
            continue
        try:
            PARSERS[what](raw)
        except TallystickError as error:
            if error.code != code:
                raise ValueError(f"{name}: {error.code}, not {code}") from error
        else:
            raise ValueError(f"{name}: was not refused")
        cases.append({"name": name, "object": what, "bytes": raw.hex(), "code": code})
    return cases


FILES: dict[str, tuple[str, Callable[[], list[Case]]]] = {
    "record": (
        "Records, docs/format.md section 4: rebuild the bytes from seed and fields",
        records,
    ),
    "message": ("Acknowledgement, command, challenge, grant, manifest: section 6", messages),
    "log": ("Merkle trees, paths and checkpoints: section 7", log_cases),
    "ledger": ("Blocks and confirmed blocks: section 8", ledger_cases),
    "statement": ("Statements in the order of their positions: section 9", statement_cases),
    "credential": ("Credentials and DIDs: sections 2 and 10", credential_cases),
    "proof": ("Proof files and their verdicts: sections 11 and 12", proof_cases),
    "cheats": (
        "Proofs that cheat, and honest ones beside them: section 12; tools/cheats says what each field means",
        cheat_cases,
    ),
    "refused": (
        "Bytes that must be refused, with the code (section 15): CBOR, keys, records, messages",
        lambda: refused_cases(board=True),
    ),
    "refused_objects": (
        "Bytes that must be refused, with the code (section 15): the objects of logs and ledgers",
        lambda: refused_cases(board=False),
    ),
}


def render(name: str) -> str:
    """The text of one file: a case a line."""
    description, cases = FILES[name]
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases())
    return f'{{"description":{json.dumps(description)},"cases":[\n{lines}\n]}}\n'


def main(arguments: list[str]) -> int:
    """0, or 1 if `--check` finds a file that is not up to date."""
    stale = []
    for name in FILES:
        file, text = FOLDER / f"{name}.json", render(name)
        if arguments == ["--check"]:
            if not file.exists() or file.read_text() != text:
                stale.append(file.name)
        else:
            file.write_text(text)
    if stale:
        print(f"not up to date: {', '.join(stale)}\nhint: python -m tools.vectors", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
