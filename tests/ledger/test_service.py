"""The running ledger with a real broker: what is published, retained, answered and served."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cbor2
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tallystick import block, cbor, checkpoint, merkle, message, milestone, topics
from tallystick.block import BlockKind
from tallystick.note import VerifierKey
from tallystick.receipt import State
from tallystick.statement import StatementKind
from tests.ledger.site import Ledger, Submitter, anchor, gateway_key, said, until
from tests.parts import Broker


@pytest.fixture
def ledger(tmp_path: Path, broker: Broker) -> Iterator[Ledger]:
    """A running ledger that makes a milestone every 0.2 s."""
    with Ledger(tmp_path / "site", broker.port) as running:
        yield running


@pytest.fixture
def submitter(ledger: Ledger, broker: Broker) -> Iterator[Submitter]:
    """Somebody who has seen its tips."""
    with Submitter(broker.port, ledger.id) as one:
        one.tips()
        yield one


def test_anchor_from_submission_to_proof(ledger: Ledger, submitter: Submitter) -> None:
    """The way of every anchor: attached, shown to others, confirmed, and proven without the ledger."""
    raw = anchor(submitter.parents())
    name = submitter.submit(raw)
    submitter.answer(name, State.ATTACHED)
    confirmed = submitter.answer(name, State.CONFIRMED).confirmed
    assert confirmed is not None
    confirmed.verify_inclusion()
    key = VerifierKey.parse(ledger.name)
    confirmed.milestone.verify(key.key)
    assert ledger.id == confirmed.milestone.ledger
    until(lambda: raw == submitter.blocks.get(ledger.topics.block(name)), "the block's topic")
    topic = ledger.topics.anchor(gateway_key().public.kid)
    newest = until(lambda: submitter.retained.get(topic), "the gateway's anchor")
    assert name == milestone.parse_confirmed(newest).block.id


def test_milestone_and_checkpoint_say_the_same(ledger: Ledger, submitter: Submitter) -> None:
    """A stock witness sees the checkpoint, a board the milestone: they must name one tree."""
    key = VerifierKey.parse(ledger.name)
    sizes: dict[int, bytes] = {}

    def both() -> bool:
        note = checkpoint.parse(submitter.retained[ledger.topics.checkpoint])
        note.verify(key)
        sizes.update({one.size: one.root for one in map(milestone.parse, submitter.milestones)})
        return note.root == sizes.get(note.size)

    until(lambda: ledger.topics.checkpoint in submitter.retained, "a checkpoint")
    until(both, "a checkpoint of a milestone's tree")


def test_idle_milestones(ledger: Ledger, submitter: Submitter) -> None:
    """A quiet site keeps its clock."""
    until(lambda: len(submitter.milestones) >= 4, "four milestones")
    made = [milestone.parse(raw) for raw in submitter.milestones]
    assert sorted(one.index for one in made) == [one.index for one in made]
    assert all(a.id == b.previous for a, b in itertools.pairwise(made))


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"garbage", "cbor.malformed"),
        (bytes(100_000), "block.too-long"),
        (anchor([bytes(32)]), "block.parent-unknown"),
        (block.sign_genesis(gateway_key(), 0, "mine"), "block.kind-reserved"),
    ],
)
def test_rejected_is_said(submitter: Submitter, raw: bytes, code: str) -> None:
    """Silence would leave the sender waiting for ever."""
    assert code == submitter.answer(submitter.submit(raw), State.REJECTED).detail


def test_retained_grant_makes_the_gateways_key_known(
    ledger: Ledger, submitter: Submitter, broker: Broker
) -> None:
    """The grant is there before the ledger starts: its first submission is checked against it."""
    assert 0 == ledger.stop()
    gateway, stranger = gateway_key(3), gateway_key(4)
    grant = message.sign_grant(stranger, gateway.public, 1)
    submitter.client.publish(topics.Gateway(gateway.public.kid).grant, grant, 1, retain=True)
    note = checkpoint.sign(stranger, checkpoint.gateway_name(gateway.public), 1, bytes(32))
    raw = block.sign(stranger, submitter.tips()[:1], 0, BlockKind.ANCHOR, note)
    name = submitter.submit(raw)
    ledger.start()
    assert "anchor.signature" == submitter.answer(name, State.REJECTED).detail
    good = submitter.submit(anchor(submitter.parents(), 1, gateway))
    submitter.answer(good, State.CONFIRMED)


def test_resubmission_is_answered(ledger: Ledger, submitter: Submitter) -> None:
    """Whoever missed the receipt asks by sending again."""
    raw = anchor(submitter.parents())
    name = submitter.submit(raw)
    submitter.answer(name, State.CONFIRMED)
    before = len(submitter.receipts[name])
    submitter.submit(raw)
    submitter.answer(name, State.CONFIRMED, after=before)


def test_submission_waits_for_the_ledger(ledger: Ledger, submitter: Submitter) -> None:
    """What was sent while the ledger was away is taken when it is back."""
    parents = submitter.parents()
    assert 0 == ledger.stop()
    name = submitter.submit(anchor(parents))
    time.sleep(0.3)
    assert name not in submitter.receipts
    ledger.start()
    submitter.answer(name, State.CONFIRMED)


def test_retained_topics_after_a_broker_restart(
    ledger: Ledger, submitter: Submitter, broker: Broker
) -> None:
    """A broker that lost its state must not leave boards without milestones and gateways without
    their newest anchor.
    """
    submitter.answer(submitter.submit(anchor(submitter.parents())), State.CONFIRMED)
    broker.kill()
    (broker.folder / "mosquitto.db").unlink(missing_ok=True)
    broker.start()
    topics = ledger.topics
    wanted = {
        topics.tips,
        topics.milestone,
        topics.checkpoint,
        topics.anchor(gateway_key().public.kid),
    }
    time.sleep(1)
    with Submitter(broker.port, ledger.id) as late:
        until(lambda: wanted <= set(late.retained), "the retained topics")
        name = late.submit(anchor(late.parents(), 2))
        late.answer(name, State.CONFIRMED)


def test_milestones_go_on_without_a_broker(ledger: Ledger, broker: Broker) -> None:
    """The clock must not stop for a broker that is being updated; receipts follow."""
    with Submitter(broker.port, ledger.id) as one:
        one.tips()
    url = ledger.url()
    broker.kill()
    before = httpx.get(f"{url}/healthz").json()
    until(lambda: httpx.get(f"{url}/healthz").json()["index"] > before["index"] + 2, "milestones")
    assert "disconnected" == httpx.get(f"{url}/healthz").json()["broker"]
    assert 0 == ledger.stop()


def test_folder_that_was_restored_from_an_old_copy_stops(
    ledger: Ledger, submitter: Submitter, tmp_path: Path
) -> None:
    """An old copy that signs on forks the ledger, and every proof of both halves is in doubt."""
    assert 0 == ledger.stop()
    old = (ledger.folder / "ledger.db").read_bytes()
    ledger.start()
    count = len(submitter.milestones)
    until(lambda: len(submitter.milestones) > count + 2, "newer milestones")
    assert 0 == ledger.stop()
    seen = milestone.parse(submitter.milestones[-1])
    for leftover in ledger.folder.glob("ledger.db*"):
        leftover.unlink()
    (ledger.folder / "ledger.db").write_bytes(old)
    ledger.start()
    assert ledger.process is not None
    assert 1 == ledger.process.wait(10)
    assert "error: milestone" in ledger.log.read_text()
    assert seen == milestone.parse(submitter.milestones[-1])


def test_one_process_a_folder(ledger: Ledger, submitter: Submitter, broker: Broker) -> None:
    """A second service on the same folder must end at once."""
    second = ledger.command("run", "--broker", f"127.0.0.1:{broker.port}")
    assert 1 == second.returncode
    assert "another process" in second.stderr


def test_ends_within_two_seconds(ledger: Ledger, submitter: Submitter) -> None:
    """A supervisor that has to kill it calls every stop a crash."""
    with httpx.Client() as held:
        held.get(f"{ledger.url()}/healthz")
        start = time.monotonic()
        assert 0 == ledger.stop()
    assert time.monotonic() - start < 2


def test_login(tmp_path: Path, start_broker: Callable[..., Broker]) -> None:
    """A broker that wants a login gets it from the file, and nothing else sees the password."""
    salt, password = b"tallystick-1", "a secret word"
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    line = f"ledger:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"
    passwords = tmp_path / "passwords"
    passwords.write_text(line)
    passwords.chmod(0o600)
    broker = start_broker(config=f"allow_anonymous false\npassword_file {passwords}")
    secret = tmp_path / "secret"
    secret.write_text(password + "\n")
    ledger = Ledger(tmp_path / "site", broker.port)
    try:
        ledger.start("--user", "ledger", "--password-file", str(secret))
        until(lambda: any(e["event"] == "connected" for e in ledger.events()), "the login")
        assert ledger.process is not None
        argv = Path(f"/proc/{ledger.process.pid}/cmdline").read_bytes()
        assert password.encode() not in argv
        assert password not in ledger.log.read_text()
        assert 0 == ledger.stop()
        ledger.start()
        until(lambda: any("refuses" in e["event"] for e in ledger.events()), "the refusal")
    finally:
        ledger.kill()


# ---- HTTP


def test_http_gives_what_proves_itself(ledger: Ledger, submitter: Submitter) -> None:
    """What an offline file is made of comes from here; each piece must verify on its own."""
    device, issuer = gateway_key(7), gateway_key(8)
    mine = submitter.submit(anchor(submitter.parents()))
    stolen = submitter.submit(
        said(submitter.parents(), ledger.id, device, StatementKind.STOLEN, issuer)
    )
    for name in (mine, stolen):
        submitter.answer(name, State.CONFIRMED)
    key = VerifierKey.parse(ledger.name)
    with httpx.Client(base_url=ledger.url()) as http:
        assert ledger.name == http.get("/v1/identity").text.strip()
        assert "connected" == http.get("/healthz").json()["broker"]
        newest = milestone.parse(http.get("/v1/milestone").content)
        newest.verify(key.key)
        checkpoint.parse(http.get("/v1/checkpoint").content).verify(key)
        assert mine == block.block_id(http.get(f"/v1/blocks/{mine.hex()}").content)
        proof = milestone.parse_confirmed(http.get(f"/v1/blocks/{mine.hex()}/confirmed").content)
        assert mine == proof.block.id
        proof.verify_inclusion()
        statements = cbor.decode(http.get(f"/v1/statements/{device.public.kid.hex()}").content)
        assert isinstance(statements, list)
        (raw,) = statements
        assert isinstance(raw, bytes)
        assert stolen == milestone.parse_confirmed(raw).block.id
        assert b"\x80" == http.get("/v1/statements/0000000000000000").content


def test_metrics_are_what_prometheus_reads(ledger: Ledger, submitter: Submitter) -> None:
    """A ledger whose broker is gone, or that has stopped, would stand in no dashboard."""
    name = submitter.submit(anchor(submitter.tips(), 1))
    submitter.answer(name, State.CONFIRMED)
    answer = httpx.get(f"{ledger.url()}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    health = httpx.get(f"{ledger.url()}/healthz").json()
    assert 0 <= health["size"] - found["tallystick_ledger_confirmed_blocks"] <= 100
    assert found["tallystick_ledger_milestone_index"] > 0
    assert time.time() - found["tallystick_ledger_milestone_timestamp_seconds"] < 3600
    assert (1, 0) == (
        found["tallystick_ledger_broker_connected"],
        found["tallystick_ledger_forked"],
    )
    assert not [one for one in found if "bridge" in one]


def test_http_export_is_the_tree(ledger: Ledger, submitter: Submitter) -> None:
    """A mirror or an auditor who reads everything must come to the signed root."""
    for size in range(1, 6):
        submitter.answer(submitter.submit(anchor(submitter.parents(), size)), State.CONFIRMED)
    blocks: list[bytes] = []
    with httpx.Client(base_url=ledger.url()) as http:
        newest = milestone.parse(http.get("/v1/milestone").content)
        while len(blocks) < newest.size:
            answer = http.get("/v1/export", params={"from": len(blocks), "limit": 3}).content
            stream = io.BytesIO(answer)
            found = 0
            while stream.tell() < len(answer):
                blocks.append(cbor2.load(stream))
                found += 1
            assert 0 < found <= 3
    leaves = [merkle.leaf_hash(block.block_id(raw)) for raw in blocks[: newest.size]]
    assert newest.root == merkle.root(leaves)
    assert newest.previous in {block.block_id(raw) for raw in blocks}


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/blocks/" + "0" * 64, 404, "block.unknown"),
        ("/v1/blocks/" + "0" * 64 + "/confirmed", 404, "block.unknown"),
        ("/v1/blocks/xyz", 400, "request.id"),
        ("/v1/blocks/" + "A" * 64, 400, "request.id"),
        ("/v1/statements/..", 404, "http.404"),
        ("/v1/statements/12", 400, "request.id"),
        ("/v1/export?from=-1", 400, "request.from"),
        ("/v1/export?from=" + "9" * 30, 400, "request.from"),
        ("/v1/export?limit=x", 400, "request.limit"),
        ("/nothing", 404, "http.404"),
    ],
)
def test_http_errors(
    ledger: Ledger, submitter: Submitter, path: str, status: int, code: str
) -> None:
    """A program that asks wrongly learns why."""
    answer = httpx.get(ledger.url() + path)
    assert (status, code) == (answer.status_code, answer.json()["code"])


def test_http_pending_block(tmp_path: Path, broker: Broker) -> None:
    """'Not yet' must be told apart from 'never heard of'."""
    with (
        Ledger(tmp_path / "slow", broker.port, interval_s=600) as slow,
        Submitter(broker.port, slow.id) as one,
    ):
        name = one.submit(anchor(one.parents()))
        one.answer(name, State.ATTACHED)
        answer = httpx.get(f"{slow.url()}/v1/blocks/{name.hex()}/confirmed")
        assert (404, "block.pending") == (answer.status_code, answer.json()["code"])
        assert 405 == httpx.post(f"{slow.url()}/v1/blocks/{name.hex()}").status_code
