"""The way of a record through a real gateway process, a real broker and a simulated ledger."""

from __future__ import annotations

import json
from pathlib import Path

from tallystick import checkpoint, credential, merkle, message, note, policy, proof, topics, verify
from tallystick.did import did_key
from tallystick.keys import PrivateKey
from tallystick.verdict import Status
from tests.gateway.boards import START, Board
from tests.gateway.ledger_double import LedgerDouble
from tests.gateway.running import Field, Gateway, command, eventually
from tests.parts import Broker


def _policy(gateway: Gateway, ledger: LedgerDouble, issuer: PrivateKey) -> policy.Policy:
    return policy.parse(
        f"""
version = 1
[[issuers]]
did = "{did_key(issuer.public)}"
[[gateways]]
vkey = "{gateway.line}"
[[ledgers]]
vkey = "{ledger.line}"
""".encode()
    )


def test_a_reading_becomes_a_verified_proof(
    gateway: Gateway, ledger: LedgerDouble, field: Field
) -> None:
    """The whole promise: a record goes in, and a file comes out that an offline verifier believes."""
    issuer, board = PrivateKey.generate(), Board()
    held = credential.sign(issuer, did_key(issuer.public), board.did, START)
    gateway.enrol(board, credentials={board.id: held})
    gateway.start()
    records = board.fill(5)
    field.send(board, records)

    ack = field.acked(board, 4)

    identity = note.VerifierKey.parse(gateway.line)
    ack.signed.verify(identity.key)
    assert (board.id, records[4].id, ()) == (ack.device, ack.id, ack.missing)
    eventually(lambda: gateway.json("/healthz")["anchored"] >= 5, "anchor confirmed")
    path = f"/v1/devices/{board.id.hex()}/proof"
    data = gateway.get(f"{path}?from=1&to=4").content
    verdict = verify.verify(data, _policy(gateway, ledger, issuer))
    assert Status.VERIFIED == verdict.status, [(c.code, c.result, c.detail) for c in verdict.checks]
    by_command = command("proof", "--dir", gateway.folder, "--device", board.id.hex(), "--seq", "2")
    parsed = proof.parse(by_command.stdout)
    assert [2] == [r.seq for r in parsed.records]
    assert [0] == [r.seq for r in parsed.opens]
    gateway.stop()
    stopped = command("proof", "--dir", gateway.folder, "--device", board.id.hex(), "--seq", "2")
    assert by_command.stdout == stopped.stdout
    assert b"ok" in command("fsck", "--dir", gateway.folder).stdout


def test_a_new_device_may_start(gateway: Gateway, field: Field) -> None:
    """A board that has never been heard waits for the word that nothing is held of it: it gets it."""
    first, second = Board(), Board()
    gateway.enrol(first)
    gateway.start()
    ack = field.acked(first, None)
    assert (None, 0, ()) == (ack.id, ack.size, ack.missing)

    gateway.enrol(first, second)

    assert second.id == field.acked(second, None).device


def test_an_enrolment_that_cannot_be_read_changes_nothing(gateway: Gateway, field: Field) -> None:
    """A slip of the owner's editor does not lock the boards out; wrong entries lock out only themselves."""
    board, other = Board(), Board()
    gateway.enrol(board)
    gateway.start()
    field.acked(board, None)
    path = gateway.folder / "enrolment.json"
    value = json.loads(path.read_text())
    path.write_text(path.read_text()[:-5])
    field.send(board, [board.open()])
    field.acked(board, 0)
    entry = value["devices"][0]
    wrong = {**entry, "did": other.did}
    twice = dict(entry)
    value["devices"] += [wrong, twice, {"id": 5}, "x"]
    path.write_text(json.dumps(value))

    def refused() -> bool:
        return bool(gateway.json("/healthz")["refused_entries"] == 4)

    eventually(refused, "entries refused")
    field.send(board, [board.read()])
    field.acked(board, 1)


def test_a_session_proves_itself_fresh(gateway: Gateway, field: Field) -> None:
    """A beacon that brings back the acknowledgement's nonce shows that the board holds its key now."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    nonce = field.acked(board, None).nonce
    page = f"/v1/devices/{board.id.hex()}"
    assert gateway.json(page)["session_fresh_at"] is None
    board.open()
    board.beacon(nonce=nonce)
    field.send(board, board.records)
    field.acked(board, 1)
    assert gateway.json(page)["session_fresh_at"] is not None

    board.beacon(nonce=bytes(16))
    field.send(board, board.records[-1:])
    field.acked(board, 2)
    assert gateway.json(page)["session_fresh_at"] is None


def test_a_rejected_record_is_told_to_its_people(gateway: Gateway, field: Field) -> None:
    """An engineer who watches the topic sees why nothing arrives; strangers' topics stay silent."""
    board, stranger = Board(), Board()
    gateway.enrol(board)
    gateway.start()
    field.acked(board, None)
    opened = board.open()
    field.send(stranger, [stranger.open()])
    field.send(board, [opened.raw[:-1] + bytes([opened.raw[-1] ^ 1])])
    topic = topics.Device(board.id).rejected
    said = json.loads(eventually(lambda: field.newest.get(topic), "rejected"))

    assert ("signature.wrong", 0) == (said["code"], said["seq"])
    assert topics.Device(stranger.id).rejected not in field.newest
    page = gateway.json("/v1/quarantine")
    assert 2 == page["rejected"]
    assert ["signature.wrong", "device.not-enrolled"] == [m["code"] for m in page["messages"]]
    field.send(board, [opened])
    field.acked(board, 0)


def test_gaps_and_forks_are_shown(gateway: Gateway, field: Field) -> None:
    """The operator sees what is missing and which key was copied; the board is asked for the gap."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    records = board.fill(6)
    fork = board.make(1, records[0].id, records[2].body)
    field.send(board, [records[0], records[1], fork, records[4], records[5]])

    def shown() -> bool:
        ack = field.ack(board)
        return ack is not None and ack.missing == (range(2, 4),) and ack.upto == 1

    eventually(shown, "acknowledgement with the gap")
    facts = gateway.json(f"/v1/devices/{board.id.hex()}")
    assert [[2, 3]] == facts["missing"]
    assert (5, 1) == (facts["head"]["seq"], facts["upto"])
    assert [1] == [f["seq"] for f in facts["forks"]]
    assert ["fork"] == [e["result"] for e in facts["evidence"]]
    field.send(board, records[2:4])
    assert () == field.acked(board, 5).missing
    eventually(lambda: gateway.json("/healthz")["anchored"] >= 7, "anchor")
    path = f"/v1/devices/{board.id.hex()}/proof"
    assert [] == list(proof.parse(gateway.get(f"{path}?seq=0").content).forks)
    pair = proof.parse(gateway.get(f"{path}?seq=3").content).forks
    assert [(records[1].id, fork.id)] == [(a.id, b.id) for a, b in pair]


def test_acknowledgements_keep_their_pace(gateway: Gateway, field: Field) -> None:
    """A board that sends much is not drowned in acknowledgements: one a second, the newest state."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    field.acked(board, None)
    topic = topics.Device(board.id).ack
    for one in board.fill(40):
        field.send(board, [one])
    field.acked(board, 39)
    stamps = [message.parse_acknowledgement(raw).time for t, raw in field.seen if t == topic]
    assert len(stamps) <= stamps[-1] - stamps[0] + 2


def test_not_before(gateway: Gateway, ledger: LedgerDouble, field: Field) -> None:
    """A proof can show that a record is younger than a milestone that its chain names."""
    issuer, board = PrivateKey.generate(), Board()
    held = credential.sign(issuer, did_key(issuer.public), board.did, START)
    gateway.enrol(board, credentials={board.id: held})
    gateway.start()
    board.open()
    field.send(board, board.records)

    def named() -> message.Acknowledgement | None:
        ack = field.ack(board)
        return ack if ack is not None and ack.milestone is not None else None

    ref = eventually(named, "acknowledgement with a milestone").milestone
    board.beacon(milestone=ref)
    board.read()
    board.read(1, 2, 3)
    field.send(board, board.records[1:])
    field.acked(board, 3)
    eventually(lambda: gateway.json("/healthz")["anchored"] >= 4, "anchor confirmed")
    path = f"/v1/devices/{board.id.hex()}/proof"
    data = gateway.get(f"{path}?seq=3&not_before=1").content
    verdict = verify.verify(data, _policy(gateway, ledger, issuer))
    assert Status.VERIFIED == verdict.status
    assert verdict.not_before is not None
    assert [1, 2] == [r.seq for r in proof.parse(data).links]
    start = board.records[3].time
    by_time = [gateway.get(f"{path}?time={start + s}") for s in (0, 2, 3)]
    assert [200, 200, 404] == [r.status_code for r in by_time]
    assert [3] == [r.seq for r in proof.parse(by_time[1].content).records]
    none = gateway.get(f"{path}?seq=0&not_before=1")
    assert (404, "not-before") == (none.status_code, none.json()["hint"][10:20])


def test_a_broker_that_lost_everything(
    gateway: Gateway, broker: Broker, field: Field, ledger: LedgerDouble
) -> None:
    """After the broker's disk was lost, boards find grant, acknowledgement and checkpoint there again."""
    owner, board = PrivateKey.generate(), Board()
    key = note.VerifierKey.parse(gateway.line).key
    grant = message.sign_grant(owner, key, 1)
    gateway.enrol(board, grant=grant)
    gateway.start()
    field.send(board, board.fill(3))
    own = topics.Gateway(gateway.id)
    eventually(lambda: field.newest.get(own.checkpoint), "checkpoint")
    field.acked(board, 2)
    broker.kill()
    (broker.folder / "mosquitto.db").unlink(missing_ok=True)
    field.newest.clear()
    broker.start()

    assert grant == eventually(lambda: field.newest.get(own.grant), "grant")
    field.acked(board, 2)
    signed = checkpoint.parse(eventually(lambda: field.newest.get(own.checkpoint), "checkpoint"))
    assert 3 == signed.size


def test_a_grant_for_another_gateway_is_not_shown(gateway: Gateway, field: Field) -> None:
    """Boards are not told to trust a gateway that does not hold the granted key."""
    owner, board = PrivateKey.generate(), Board()
    other = message.sign_grant(owner, PrivateKey.generate().public, 1)
    gateway.enrol(board, grant=other)
    gateway.start()
    field.acked(board, None)
    assert topics.Gateway(gateway.id).grant not in field.newest


def test_the_newest_readings_are_published(gateway: Gateway, field: Field) -> None:
    """A dashboard shows what was verified, in its unit; nothing of a forked key reaches it."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    board.open()
    board.read(2150, 2151)
    field.send(board, board.records)
    topic = topics.Device(board.id).verified("temperature")
    said = json.loads(eventually(lambda: field.newest.get(topic), "reading"))
    assert (21.51, "Cel", START + 61, 1) == (said["value"], said["unit"], said["time"], said["seq"])
    fork = board.make(1, board.records[0].id, board.records[0].body)
    field.send(board, [fork])
    gateway.counted("fork", 1)
    field.send(board, [board.read(9999)])
    field.acked(board, 2)
    assert said == json.loads(field.newest[topic])


def test_the_http_side(gateway: Gateway, field: Field, tmp_path: Path) -> None:
    """Hash tiles are everybody's, readings are not; and no request can ask for what is not published."""
    (tmp_path / "token").write_text("correct horse\n")
    gateway.extra = ("--token-file", str(tmp_path / "token"))
    board = Board()
    gateway.enrol(board)
    gateway.start()
    records = board.fill(5)
    field.send(board, records)
    field.acked(board, 4)
    eventually(lambda: gateway.json("/healthz")["signed"] == 5, "checkpoint")

    note_text = gateway.get("/checkpoint")
    assert checkpoint.parse(note_text.content).size == 5
    assert note_text.headers["content-type"] == "text/plain; charset=utf-8"
    hashes = [merkle.leaf_hash(r.raw) for r in records]
    assert b"".join(hashes) == gateway.get("/tile/0/000.p/5").content
    assert b"".join(hashes[:3]) == gateway.get("/tile/0/000.p/3").content
    for path in ("0/000", "0/000.p/6", "0/000.p/0", "1/000.p/1", "0/x000/000.p/1", "64/000.p/1"):
        assert 404 == gateway.get(f"/tile/{path}").status_code, path
    entries = "/tile/entries/000.p/5"
    assert 401 == gateway.get(entries).status_code
    assert 401 == gateway.get(entries, authorization="Bearer wrong").status_code
    whole = gateway.get(entries, authorization="Bearer correct horse").content
    assert b"".join(len(r.raw).to_bytes(2, "big") + r.raw for r in records) == whole
    page = f"/v1/devices/{board.id.hex()}"
    for query, status in {
        "?seq=9": 404,
        "?seq=x": 400,
        "?from=1": 400,
        "?from=3&to=1": 400,
        "?seq=1&time=5": 400,
        "": 400,
        "?seq=1&not_before=yes": 400,
        f"?seq={2**63}": 400,
    }.items():
        assert status == gateway.get(f"{page}/proof{query}").status_code, query
    assert 404 == gateway.get("/v1/devices/0123456789abcdef").status_code
    assert 404 == gateway.get("/v1/devices/0123456789ABCDEF/proof?seq=1").status_code
    assert [board.id.hex()] == [d["id"] for d in gateway.json("/v1/devices")["devices"]]
    assert gateway.line == gateway.json("/v1/identity")["verifier_key"]
    assert "horse" not in gateway.errors.read_text()


def test_a_range_of_times_over_http(gateway: Gateway, ledger: LedgerDouble, field: Field) -> None:
    """Whoever asks for an afternoon gets its records, one shared path for all, and nothing else."""
    issuer, board = PrivateKey.generate(), Board()
    held = credential.sign(issuer, did_key(issuer.public), board.did, START)
    gateway.enrol(board, credentials={board.id: held})
    gateway.start()
    records = board.fill(40)
    field.send(board, records)
    eventually(lambda: gateway.json("/healthz")["anchored"] >= 40 or None, "anchor confirmed")
    path = f"/v1/devices/{board.id.hex()}/proof"

    answer = gateway.get(f"{path}?since={records[10].time - 30}&until={records[29].time + 30}")

    assert 200 == answer.status_code
    parsed = proof.parse(answer.content)
    assert list(range(10, 30)) == [one.seq for one in parsed.records]
    assert parsed.shared is not None
    assert not parsed.inclusions
    # a path of its own for each of twenty records of forty would hold six hashes each
    assert len(parsed.shared.hashes) < 12
    assert Status.VERIFIED == verify.verify(answer.content, _policy(gateway, ledger, issuer)).status
    end = records[39].time
    for query, status in {
        f"?since={end + 3_600}&until={end + 7_200}": 404,
        f"?since={end}": 400,
        f"?since={end}&until={end - 1}": 400,
        f"?since={end}&until={end}&seq=3": 400,
    }.items():
        refused = gateway.get(path + query)
        assert status == refused.status_code, query
        assert refused.json()["error"], query


def test_what_boards_say_of_themselves(gateway: Gateway, broker: Broker, field: Field) -> None:
    """A board that sleeps is told from one that is lost; a stranger's word, or a wrong one, shows nowhere."""
    board, other = Board(), Board()
    gateway.enrol(board, other)
    field.client.publish(topics.Device(board.id).state, b"sleeping", qos=1, retain=True)
    gateway.start()
    stranger = Board()

    def says(one: Board) -> dict[str, object] | None:
        listed = gateway.json("/v1/devices")["devices"]
        found: dict[str, object] | None = next(d["says"] for d in listed if d["id"] == one.id.hex())
        return found

    sleeping = eventually(lambda: says(board), "a retained word")
    assert ("sleeping", None) == (sleeping["state"], sleeping["since"])
    assert "asleep" in str(sleeping["reason"])
    for one, word in ((stranger, b"ready"), (other, b"<script>"), (other, b"lost" * 9_000)):
        field.client.publish(topics.Device(one.id).state, word, qos=1)
    field.client.publish(topics.Device(board.id).state, b"lost", qos=1, retain=True)

    lost = eventually(
        lambda: found if (found := says(board)) and found["state"] == "lost" else None,
        "a last will",
    )
    assert isinstance(lost["since"], int)
    assert "the broker has lost it" in str(lost["reason"])
    assert says(other) is None
    assert 404 == gateway.get(f"/v1/devices/{stranger.id.hex()}").status_code
    assert "lost" == gateway.json(f"/v1/devices/{board.id.hex()}")["says"]["state"]


def test_entry_bundles_are_refused_without_a_token_file(gateway: Gateway, field: Field) -> None:
    """Nobody's readings are public by an omission."""
    board = Board()
    gateway.enrol(board)
    gateway.start()
    field.send(board, board.fill(2))
    eventually(lambda: gateway.json("/healthz")["signed"] == 2, "checkpoint")
    refused = gateway.get("/tile/entries/000.p/2", authorization="Bearer None")
    assert 403 == refused.status_code


def test_the_command_line(gateway: Gateway, tmp_path: Path) -> None:
    """Wrong use ends with 2, a failure with 1, each with what to do about it; stdout holds data only."""
    folder = gateway.folder
    assert 0o600 == (folder / "gateway.key").stat().st_mode & 0o777
    key = (folder / "gateway.key").read_bytes()
    again = command("init", "--dir", folder, check=False)
    assert (1, b"") == (again.returncode, again.stdout)
    assert b"error: there is a gateway in" in again.stderr
    assert b"\nhint: " in again.stderr
    assert key == (folder / "gateway.key").read_bytes()
    assert 1 == len(command("identity", "--dir", folder).stdout.splitlines())
    run: list[str | Path] = ["run", "--dir", folder, "--ledger", gateway.ledger]
    wrongs: tuple[list[str | Path], ...] = (
        ["run", "--dir", folder, "--broker", "nowhere", "--ledger", gateway.ledger],
        [*run[:3], "--broker", "127.0.0.1:1", "--ledger", "tallystick-ledger/00+00+AA=="],
        [*run[:3], "--broker", "127.0.0.1:1", "--ledger", gateway.line],
        ["proof", "--dir", folder, "--device", "xyz", "--seq", "1"],
        ["proof", "--dir", folder, "--device", "0123456789abcdef"],
        ["proof", "--dir", folder],
    )
    for wrong in wrongs:
        ended = command(*wrong, check=False)
        assert (2, b"") == (ended.returncode, ended.stdout), wrong
        assert b"rror: " in ended.stderr
    missing = command("run", "--dir", tmp_path / "no", *run[3:], "--broker", "h:1", check=False)
    assert 1 == missing.returncode
    assert b"hint: run tally-gateway init" in missing.stderr
    gateway.start()
    second = command(*run, "--broker", f"127.0.0.1:{gateway.port}", check=False)
    assert (1, True) == (second.returncode, b"another process" in second.stderr)
    nothing = command(
        "proof", "--dir", folder, "--device", "0123456789abcdef", "--seq", "1", check=False
    )
    assert (1, b"") == (nothing.returncode, nothing.stdout)
    assert b"error: no record of device 0123456789abcdef\nhint: " in nothing.stderr


def test_a_clean_end(gateway: Gateway, field: Field) -> None:
    """SIGTERM ends the service within two seconds, and the operator's screen says so."""
    gateway.start()
    own = topics.Gateway(gateway.id).state
    eventually(lambda: field.newest.get(own), "state")
    assert gateway.stop() < 2
    assert {"state": "stopped"} == json.loads(
        eventually(lambda: (b"stopped" in field.newest[own] and field.newest[own]) or None, "state")
    )
    gateway.start()
    eventually(lambda: b"running" in field.newest[own] or None, "running")
    gateway.kill()
    assert {"state": "lost"} == json.loads(
        eventually(
            lambda: (b"lost" in field.newest[own] and field.newest[own]) or None, "last will"
        )
    )


def test_a_service_without_a_broker(gateway: Gateway, broker: Broker) -> None:
    """While the broker is away the gateway says so, and comes back by itself."""
    broker.stop()
    gateway.start(connected=False)
    assert 503 == gateway.get("/healthz").status_code
    broker.start()
    gateway.state("running")
