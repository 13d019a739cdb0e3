"""The shared vectors, through the library: what a board, a browser and this package agree on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest

from tallystick import (
    block,
    body,
    checkpoint,
    cose,
    credential,
    did,
    merkle,
    message,
    record,
    statement,
    verify,
)
from tallystick.block import BlockKind
from tallystick.cose import Typ
from tallystick.errors import TallystickError
from tallystick.keys import PrivateKey, PublicKey
from tallystick.milestone import parse_confirmed
from tallystick.note import VerifierKey
from tallystick.policy import parse as parse_policy
from tests import independent_verifier
from tools import vectors

FOLDER = Path(__file__).resolve().parent.parent / "vectors"
TYPS = {
    "acknowledgement": Typ.ACKNOWLEDGEMENT,
    "command": Typ.COMMAND,
    "challenge": Typ.CHALLENGE,
    "grant": Typ.GRANT,
    "manifest": Typ.UPDATE,
    "block": Typ.BLOCK,
    "statement": Typ.STATEMENT,
    "credential": Typ.CREDENTIAL,
}


def cases(name: str, *kinds: str) -> list[Any]:
    """The cases of one file, of some kinds or of all, named for the test's report."""
    found = json.loads((FOLDER / f"{name}.json").read_text())["cases"]
    return [
        pytest.param(case, id=case["name"].replace(" ", "-"))
        for case in found
        if not kinds or case["kind"] in kinds
    ]


def restored(value: Any) -> Any:
    """What `vectors.plain` wrote, with its byte strings."""
    if isinstance(value, dict) and set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    if isinstance(value, dict):
        return {int(name): restored(one) for name, one in value.items()}
    if isinstance(value, list):
        return [restored(one) for one in value]
    return value


def test_the_files_are_up_to_date() -> None:
    """A board would be tested against a format that is no longer ours."""
    assert 0 == vectors.main(["--check"])


def test_a_stale_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above would pass whatever the files say."""
    monkeypatch.setattr(vectors, "FOLDER", tmp_path)
    assert 0 == vectors.main([])
    assert 0 == vectors.main(["--check"])
    file = tmp_path / "record.json"
    file.write_text(file.read_text().replace("a", "b", 1))
    assert 1 == vectors.main(["--check"])


@pytest.mark.parametrize("name", vectors.FILES)
def test_the_files_are_small_and_plain(name: str) -> None:
    """A board could not load them."""
    text = (FOLDER / f"{name}.json").read_text()
    assert len(text) < 60_000 or name == "cheats"  # what a board never loads
    assert text.isascii()
    assert {"description", "cases"} == set(json.loads(text))


@pytest.mark.parametrize("case", cases("record"))
def test_record(case: dict[str, Any]) -> None:
    """A record that a board builds from the same fields would have other bytes."""
    raw = bytes.fromhex(case["bytes"])
    parsed = record.parse(raw)
    signer = PrivateKey.from_seed(bytes.fromhex(case["seed"]))
    parsed.signed.verify(signer.public)
    assert case["id"] == parsed.id.hex()
    assert case["kind"] == parsed.kind.name.lower()
    assert (case["seq"], case["prev"], case["time"]) == (
        parsed.seq,
        parsed.prev.hex(),
        parsed.time,
    )
    assert restored(case["fields"]) == body.fields(parsed.body)[1:]
    again = body.parse(parsed.kind, restored(case["fields"]), case["seq"])
    assert raw == record.sign(signer, case["seq"], bytes.fromhex(case["prev"]), case["time"], again)


@pytest.mark.parametrize("case", cases("record", "rotate"))
def test_rotate_has_what_a_board_needs(case: dict[str, Any]) -> None:
    """A board could not rebuild the possession."""
    new = PrivateKey.from_seed(bytes.fromhex(case["new_seed"]))
    message_ = record.possession_bytes(
        bytes.fromhex(case["device"]),
        case["seq"],
        bytes.fromhex(case["prev"]),
        case["time"],
        new.public,
    )
    assert restored(case["fields"]) == [-19, new.public.raw, new.sign(message_)]


@pytest.mark.parametrize(
    "case",
    [
        *cases("message"),
        *cases("ledger", "block"),
        *cases("statement"),
        *cases("credential", "credential"),
    ],
)
def test_signed_object(case: dict[str, Any]) -> None:
    """Two implementations would read one signed object differently."""
    raw = bytes.fromhex(case["bytes"])
    vectors.PARSERS[case["kind"]](raw)
    signed = cose.parse(raw, TYPS[case["kind"]])
    signed.verify(PrivateKey.from_seed(bytes.fromhex(case["seed"])).public)
    found = block.block_id(raw) if case["kind"] == "block" else signed.id
    assert case["id"] == found.hex()
    from tallystick import cbor

    assert signed.payload == cbor.encode(restored(case["fields"]))


@pytest.mark.parametrize("case", cases("log", "tree"))
def test_tree(case: dict[str, Any]) -> None:
    """Two implementations would have other roots or paths."""
    leaves = [merkle.leaf_hash(bytes.fromhex(entry)) for entry in case["entries"]]
    root = bytes.fromhex(case["root"])
    for index, path in enumerate(case["inclusion"]):
        hashes = [bytes.fromhex(one) for one in path]
        merkle.verify_inclusion(leaves[index], index, len(leaves), hashes, root)
    for old, path in enumerate(case["consistency"]):
        before = merkle.root(leaves[:old])
        merkle.verify_consistency(old, before, len(leaves), root, list(map(bytes.fromhex, path)))
    parsed = checkpoint.parse(case["checkpoint"].encode())
    assert (len(leaves), root) == (parsed.size, parsed.root)
    (gateway,) = [one.values[0] for one in cases("log", "key")]
    parsed.verify(VerifierKey.parse(gateway["vkey"]))


@pytest.mark.parametrize("case", cases("ledger", "confirmed"))
def test_confirmed(case: dict[str, Any]) -> None:
    """A confirmed block would be lost between a ledger and a verifier of other make."""
    confirmed = parse_confirmed(bytes.fromhex(case["bytes"]))
    confirmed.verify_inclusion()
    assert case["block"] == confirmed.block.id.hex()
    assert (case["size"], case["root"]) == (
        confirmed.milestone.size,
        confirmed.milestone.root.hex(),
    )
    assert BlockKind.GENESIS is not confirmed.block.kind


def test_statements() -> None:
    """Two verifiers would disagree about who owns a device, or whether it is stolen."""
    history: statement.History | None = None
    for param in cases("statement"):
        case = param.values[0]
        parsed = statement.parse(bytes.fromhex(case["bytes"]))
        if history is None:
            issuer = next(one.values[0] for one in cases("credential", "credential"))
            key = PrivateKey.from_seed(bytes.fromhex(issuer["seed"])).public
            history = statement.History(parsed.device, parsed.ledger, [key])
        effect = history.apply(parsed, case["position"], case["time"])
        assert (case["took"], case["status"], case["owner"]) == (
            effect.took,
            history.status.value,
            history.owner,
        ), case["name"]


@pytest.mark.parametrize("case", cases("credential", "did"))
def test_did(case: dict[str, Any]) -> None:
    """A device would have two names."""
    key = PublicKey.from_bytes(bytes.fromhex(case["key"]), case["alg"])
    assert case["did"] == did.did_key(key)
    assert key == did.public_key(case["did"])
    assert case["kid"] == key.kid.hex()


@pytest.mark.parametrize("case", cases("proof"))
def test_proof(case: dict[str, Any]) -> None:
    """Two verifiers would give two verdicts."""
    trust = case["policy"]
    lines = ["version = 1"]
    for table, name in (("issuers", "did"), ("gateways", "vkey"), ("ledgers", "vkey")):
        lines += [f'[[{table}]]\n{name} = "{value}"' for value in trust[table]]
    policy = parse_policy("\n".join(lines).encode())
    raw = bytes.fromhex(case["bytes"])
    assert case["verdict"] == verify.verify(raw, policy).status.value
    # the second verifier does not judge statements
    first = verify.verify(without_statements(raw), policy).status.value
    second = independent_verifier.verify(without_statements(raw), *trust.values())
    assert first == independent_verifier.verdict(second)


def without_statements(raw: bytes) -> bytes:
    """A proof less its parts 9."""
    magic, version, parts = cbor2.loads(raw)
    return cbor2.dumps([magic, version, [part for part in parts if part[0] != 9]])


@pytest.mark.parametrize("case", [*cases("refused"), *cases("refused_objects")])
def test_refused(case: dict[str, Any]) -> None:
    """What must be refused would be taken, or refused under another name."""
    with pytest.raises(TallystickError) as caught:
        vectors.PARSERS[case["object"]](bytes.fromhex(case["bytes"]))
    assert case["code"] == caught.value.code
    assert {"name", "object", "bytes", "code"} == set(case)


def test_sizes() -> None:
    """A modem that carries 256 bytes would be promised what it cannot do (section 4)."""
    sizes = {
        case["name"].split()[1]: len(case["bytes"]) // 2
        for case in (one.values[0] for one in cases("record"))
        if case["name"].startswith("size:")
    }
    assert sizes["1"] <= 150
    assert sizes["10"] <= 180
    assert sizes["60"] <= 320


def test_the_board_can_rebuild_each_kind() -> None:
    """A kind of record would be tried on no board."""
    kinds = {one.values[0]["kind"] for one in cases("record")}
    assert {kind.name.lower() for kind in body.Kind} == kinds
    assert message.parse_grant is vectors.PARSERS["grant"]
    assert credential.parse is vectors.PARSERS["credential"]
