"""Files that say more together than each alone: on the page as in `tally verify` on a folder.

If these fail, whoever drops a folder on the page is told that a revoked, cloned or cut-off device is in order.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tallystick import data_integrity, did_document, jcs, message, status_list
from tallystick.credential import StatusReference
from tallystick.errors import TallystickError
from tallystick.keys import PrivateKey
from tallystick.status_list import Purpose
from tests.browser import Browser
from tests.host_tools.page.test_page import PAGE, give, verdicts
from tests.world import START, Device, World, key, with_forged_record

ENTRIES = 131_072
INDEX = 7


@dataclass
class Case:
    """Files, and what they come to. `beside`: status lists and acknowledgements, which the command is told by name."""

    name: str
    proofs: dict[str, bytes]
    expected: dict[str, str]
    beside: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture(scope="module")
def world() -> World:
    made = World()
    made.device.open()
    for value in range(8):
        made.device.readings([value])
    made.publish(START + 1000)
    return made


def status(world: World, index: int | None, time: int, **changes: Any) -> bytes:
    """A list of revocations of the issuer, or of `signer`; `changes` are made before it is signed."""
    bits = status_list.StatusList()
    if index is not None:
        bits.set(index)
    signer: PrivateKey = changes.pop("signer", world.issuer)
    purpose = changes.pop("purpose", Purpose.REVOCATION)
    number = changes.pop("number", 1)
    id = status_list.list_id(world.issuer_did, number, purpose)
    unsigned = {**status_list.document(bits, id, world.issuer_did, time), **changes}
    method = did_document.method_id(world.issuer_did, world.issuer.public)
    return json.dumps(data_integrity.sign(signer, unsigned, method=method, created=time)).encode()


def acknowledged(world: World, seq: int, *, signer: PrivateKey | None = None) -> bytes:
    """A gateway's word that it holds everything up to `seq`."""
    held = next(one for one in world.device.records if one.seq == seq)
    return message.sign_acknowledgement(
        signer or world.log.signer,
        device=world.device.id,
        upto=seq,
        id=held.id,
        missing=[],
        time=START,
        size=1,
        root=bytes(32),
        milestone=None,
        nonce=bytes(16),
    )


def listed(world: World) -> Iterator[Case]:
    """A credential with a place in status lists, and lists beside it."""
    held = world.credential(status=StatusReference(1, INDEX))
    proofs = {"a.tally": world.prove([world.device.records[1]], credential=held)}
    revoked = status(world, INDEX, START + 500)
    altered = json.loads(revoked) | {"validFrom": "2020-01-01T00:00:00Z"}
    cases = {
        "no list": ({}, "VERIFIED"),
        "not in the list": ({"l.json": status(world, 8, START + 5000)}, "VERIFIED"),
        "a list of another number": ({"l.json": status(world, INDEX, START, number=2)}, "VERIFIED"),
        "revoked before the anchor": ({"l.json": revoked}, "UNTRUSTED"),
        "suspended": (
            {"l.json": status(world, INDEX, START, purpose=Purpose.SUSPENSION)},
            "UNTRUSTED",
        ),
        "revoked later, since when no list says": (
            {"l.json": status(world, INDEX, START + 5000)},
            "UNDECIDED",
        ),
        "both lists": (
            {
                "l.json": status(world, None, START),
                "m.json": status(world, INDEX, START + 10, purpose=Purpose.SUSPENSION),
            },
            "UNTRUSTED",
        ),
        "a list with a changed date": ({"l.json": json.dumps(altered).encode()}, "UNDECIDED"),
        "a list that a stranger signed": (
            {"l.json": status(world, 8, START, signer=key("stranger"))},
            "UNDECIDED",
        ),
    }
    for name, (beside, verdict) in cases.items():
        yield Case(name, proofs, {"a.tally": verdict}, beside)


def side_by_side(world: World) -> Iterator[Case]:
    """Several proofs of one device, and what a gateway acknowledged."""
    records = world.device.records
    early, late = world.prove(records[:4]), world.prove(records[5:])
    yield Case(
        "two parts of one chain",
        {"a.tally": early, "b.tally": late},
        dict.fromkeys(("a.tally", "b.tally"), "VERIFIED"),
    )
    clone = world.device.clone()
    clone.seq, clone.prev = 3, records[2].id
    clone.readings([99], boot=0)
    stranger = {"c.tally": other_device(world)}
    fork = world.proof(3, device=_only(clone, world))
    forked = {"a.tally": early, "b.tally": late, "f.tally": fork, **stranger}
    yield Case(
        "a clone's record in a file of its own",
        forked,
        {**dict.fromkeys(("a.tally", "b.tally", "f.tally"), "UNTRUSTED"), "c.tally": "VERIFIED"},
    )
    yield Case(
        "a forged record proves no fork",
        {"a.tally": early, "f.tally": with_forged_record(fork)},
        {"a.tally": "VERIFIED", "f.tally": "TAMPERED"},
    )
    head = {"head.ack": acknowledged(world, 8)}
    yield Case("an end that is cut off", {"a.tally": early}, {"a.tally": "UNDECIDED"}, head)
    yield Case(
        "the end of another file",
        {"a.tally": early, "b.tally": late},
        {"a.tally": "VERIFIED", "b.tally": "VERIFIED"},
        head,
    )


def _only(clone: Any, world: World) -> Any:
    """The clone, with its own record at the place that the proof is about."""
    clone.records = [*world.device.records[:3], clone.records[-1]]
    return clone


def other_device(world: World) -> bytes:
    """A proof of another device in the same log, which has nothing to do with all this."""
    device = Device(key("another"))
    device.open()
    device.readings([1])
    return world.proof(1, device=device, credential=world.credential(subject=device.did))


def by_command(case: Case, policy: str, folder: Path) -> dict[str, list[Any]]:
    """File name to (verdict, checks) as `tally verify` says it of the folder."""
    (folder / "proofs").mkdir()
    (folder / "policy.toml").write_text(policy)
    argv: list[str] = ["verify", "--json", "--policy", "policy.toml", "proofs"]
    for name, data in case.proofs.items():
        (folder / "proofs" / name).write_bytes(data)
    for name, data in case.beside.items():
        (folder / name).write_bytes(data)
        argv += ["--status-list" if name.endswith(".json") else "--head", name]
    done = subprocess.run(
        [sys.executable, "-m", "tallystick_host", *argv],
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=False,
    )
    found = {}
    for line in done.stdout.splitlines():
        one = json.loads(line)
        checks = [[check["code"], check["result"], check["detail"]] for check in one["checks"]]
        found[Path(one["file"]).name] = [one["status"], checks]
    return found


ASK = """async ([files, policy]) => {
    const bytes = pairs => Uint8Array.from(pairs.match(/../g) ?? [], pair => parseInt(pair, 16));
    const given = files.map(([name, data]) => ({ name, bytes: bytes(data) }));
    const trusted = await tallystick.parsePolicy(new TextEncoder().encode(policy));
    const found = {};
    for await (const one of tallystick.judgedTogether(given, trusted)) {
        if (one.error) found[one.name] = [String(one.error), []];
        else if (one.verdict) found[one.name] = [
            one.verdict.status, one.verdict.checks.map(({code, result, detail}) => [code, result, detail])];
    }
    return found;
}"""


def on_page(page: Page, case: Case, policy: str) -> dict[str, list[Any]]:
    """The same, as the page says it of all files dropped at once."""
    files = [[name, data.hex()] for name, data in {**case.beside, **case.proofs}.items()]
    found: dict[str, list[Any]] = page.evaluate(ASK, [files, policy])
    return found


def test_a_folder_on_the_page_is_a_folder_for_the_command(
    browser: Browser, world: World, tmp_path: Path
) -> None:
    page = browser.open(PAGE)
    page.wait_for_selector("body[data-ready=yes]")
    policy = world.policy_text()
    cases = [*listed(world), *side_by_side(world)]
    for number, case in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        said = by_command(case, policy, folder)
        assert (case.name, case.expected) == (
            case.name,
            {name: one[0] for name, one in said.items()},
        )
        places = str(Path("proofs")) + "/"
        shown = json.loads(json.dumps(on_page(page, case, policy)))
        plain = json.loads(json.dumps(said).replace(places, ""))
        assert (case.name, plain) == (case.name, shown)
    codes = {
        check[0]
        for case in cases
        for _, checks in [*on_page(page, case, policy).values()]
        for check in checks
    }
    assert {"credential.status", "chain.tail", "chain.fork"} <= codes


def packed(data: bytes, *, after: bytes = b"") -> str:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    raw = packer.compress(data) + packer.flush() + after
    return "u" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def lists_in_another_form(world: World) -> list[bytes]:
    """Documents that are no status list, or not one in the form."""
    good = json.loads(status(world, 3, START))
    subject = good["credentialSubject"]
    zeros = bytes(ENTRIES // 8)

    def with_subject(**changes: Any) -> dict[str, Any]:
        return {**good, "credentialSubject": {**subject, **changes}}

    documents: list[Any] = [
        good,
        {},
        {**good, "more": 1},
        {**good, "@context": "https://www.w3.org/ns/credentials/v2"},
        {**good, "type": ["VerifiableCredential"]},
        {**good, "id": 7},
        {**good, "id": good["id"].replace("/1/", "/0/")},
        {**good, "id": good["id"].replace("/1/", "/65536/")},
        {**good, "id": good["id"].replace("revocation", "refresh")},
        {**good, "issuer": None},
        {**good, "credentialSubject": []},
        {**good, "validFrom": "2020-02-30T00:00:00Z"},
        {**good, "validFrom": "2020-02-29T00:00:00.5+14:00"},
        {**good, "validFrom": "2020-02-29T00:00:00+14:01"},
        {**good, "validFrom": "1969-12-31T23:59:59Z"},
        {**good, "validFrom": "2020-13-01T00:00:00Z"},
        {**good, "validFrom": 1_800_000_000},
        with_subject(statusPurpose="suspension"),
        with_subject(type="StatusList2021"),
        with_subject(more=1),
        with_subject(encodedList=None),
        with_subject(encodedList=""),
        with_subject(encodedList="z" + subject["encodedList"][1:]),
        with_subject(encodedList=subject["encodedList"] + "="),
        with_subject(encodedList="uA"),
        with_subject(encodedList=subject["encodedList"][:-8]),
        with_subject(encodedList=packed(b"")),
        with_subject(encodedList=packed(zeros[:-1])),
        with_subject(encodedList=packed(zeros + b"\1")),
        with_subject(encodedList=packed(zeros * 8)),
        with_subject(encodedList=packed(zeros * 8 + b"\0")),
        with_subject(encodedList=packed(bytes(50_000_000))),
        with_subject(encodedList=packed(zeros, after=b"\0")),
        with_subject(
            encodedList=packed(zeros, after=base64.urlsafe_b64decode(packed(zeros)[1:] + "=="))
        ),
    ]
    return [json.dumps(one).encode() for one in documents]


JSON = [
    *(b"{}", b'{"a":1,"b":[true,false,null,-0,1.5e3,"\\u00e9\\n"]}', b' {\t"a"\n:\r1 } ', b""),
    *(b"[]", b"1", b'{"a":1}x', b'{"a":1,}', b"{a:1}", b'{"a" 1}', b'{"a":01}', b'{"a":1.}'),
    *(
        b'{"a":.5}',
        b'{"a":+1}',
        b'{"a":-}',
        b'{"a":1e}',
        b'{"a":"\x01"}',
        b'{"a":"\\x"}',
        b'{"a":"',
    ),
    *(
        b'{"a":tru}',
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"\\u0062":2}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
    ),
    *(b'{"a":-Infinity}', b'{"a":1e999}', b'{"a":9007199254740991}', b'{"a":9007199254740992}'),
    *(
        b'{"a":-9007199254740992}',
        b'{"a":1e20}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":"\xff"}',
    ),
    *(b'\xef\xbb\xbf{"a":1}', b'{"a":' * 16 + b"1" + b"}" * 16, b'{"a":' * 17 + b"1" + b"}" * 17),
    *(b'{"a":"' + b"[" * 40 + b'"}', b'{"a":[' * 60_000, b'{"a":"' + b"x" * 2**18 + b'"}'),
    *(
        b'{"a":"\\"[[[[[[[[[[[[[[[[[["}',
        b'{"a":1 "b":2}',
        b'{"a":[1 2]}',
        b'{"a":"\\ud83d\\ude00"}',
    ),
]


def code_of(read: Any, raw: bytes) -> str | None:
    try:
        read(raw)
    except TallystickError as error:
        return error.code
    return None


def test_reads_lists_and_json_as_the_library_does(browser: Browser, world: World) -> None:
    """The browser's own reader takes the second of two members of one name, and unpacks whatever it is given."""
    page = browser.open(PAGE)
    page.wait_for_selector("body[data-ready=yes]")
    ask = """async cases => {
        const codes = [];
        for (const [object, bytes] of cases) {
            const raw = Uint8Array.from(bytes.match(/../g) ?? [], pair => parseInt(pair, 16));
            try { await tallystick.parsers[object](raw); codes.push(null); }
            catch (error) { codes.push(error.code ?? String(error)); }
        }
        return codes;
    }"""
    readers: dict[str, Any] = {
        "json": jcs.parse,
        "status list": lambda raw: status_list.parse(jcs.parse(raw)),
    }
    cases = [("json", raw) for raw in JSON]
    cases += [("status list", raw) for raw in lists_in_another_form(world)]
    said = page.evaluate(ask, [[kind, raw.hex()] for kind, raw in cases])
    expected = [code_of(readers[kind], raw) for kind, raw in cases]
    assert [(raw[:60], code) for (_, raw), code in zip(cases, expected, strict=True)] == [
        (raw[:60], code) for (_, raw), code in zip(cases, said, strict=True)
    ]
    assert {"json.duplicate", "status.too-long", "status.size", "field.time", None} <= set(expected)


def test_what_a_person_sees_of_it(browser: Browser, world: World) -> None:
    """A list that is dropped after the proof would be passed over, or a file that is none would stop everything."""
    records = world.device.records
    page = browser.open(PAGE)
    proofs = {"a.tally": world.prove(records[:3]), "b.tally": world.prove(records[6:])}
    give(page, proofs, world.policy_text())
    assert dict.fromkeys(proofs, "VERIFIED") == verdicts(page)
    between = page.locator("article.between").inner_text()
    assert "between the files, 3 records not at hand: seq 3..5" in between
    # beside what is there already
    give(page, {"head.ack": acknowledged(world, 8), "no.json": b"{}"}, None)
    assert {**dict.fromkeys(proofs, "VERIFIED"), "no.json": "UNDECIDED"} == verdicts(page)
    assert "status.shape" in page.locator("article[data-file='no.json']").inner_text()
    assert "2 files, 1 status list, 1 acknowledgement" == page.locator("#proof-state").inner_text()
    tail = page.locator("article[data-file='b.tally'] tr[data-code='chain.tail']")
    assert "ok" == tail.get_attribute("data-result")
    # one of the same name takes its place; new proofs sweep the table
    give(page, {"head.ack": acknowledged(world, 8, signer=key("stranger"))}, None)
    assert (
        "no gateway of the policy signed"
        in page.locator("article[data-file='head.ack']").inner_text()
    )
    give(page, {"a.tally": proofs["a.tally"], "head.ack": acknowledged(world, 8)}, None)
    assert {"a.tally": "UNDECIDED"} == verdicts(page)
    assert "the end is missing: 3..8 (6 record(s))" in page.content()
