"""`tally prove`: a proof fetched from a gateway that is asked and not believed."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tallystick import cbor, proof
from tallystick.statement import StatementKind
from tests.host_tools.conftest import Tally
from tests.world import World, key


class Web:
    """A simulated gateway and ledger on loopback: answers what a test puts in, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        web = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                split = urlsplit(self.path)
                query = parse_qs(split.query)
                web.asked.append((split.path, query))
                start = query.get("from", ["0"])[0]
                status, body = web.answers.get(
                    f"{split.path}@{start}", web.answers.get(split.path, (404, b""))
                )
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.close()


def test_a_proof_by_seq_is_written_as_it_came(tally: Tally, world: World, web: Web) -> None:
    """Broken: the file that the user hands on is not what the gateway built."""
    id, data = world.device.id.hex(), world.proof(1)
    web.answers[f"/v1/devices/{id}/proof"] = (200, data)
    ran = tally("prove", id, "1", "--gateway", web.url + "/", "--not-before")
    assert (0, f"{id}-1.tally\n") == (ran.status, ran.out)
    assert f"1 record of {id}, seq 1; not verified yet\n" == ran.err
    assert data == (tally.cwd / f"{id}-1.tally").read_bytes()
    assert [(f"/v1/devices/{id}/proof", {"seq": ["1"], "not_before": ["1"]})] == web.asked


def test_the_three_questions(tally: Tally, world: World, web: Web) -> None:
    """Broken: a range or a time is asked in a way that the gateway does not know."""
    id = world.device.id.hex()
    web.answers[f"/v1/devices/{id}/proof"] = (200, world.proof(1, 2))
    assert f"{id}-1-2.tally\n" == tally("prove", world.device.did, "1..2", "--gateway", web.url).out
    ran = tally("prove", id, "2025-11-20T13:00:10+01:00", "--gateway", web.url, "-o", "t.tally")
    assert "t.tally\n" == ran.out
    queries = [query for _, query in web.asked]
    assert [{"from": ["1"], "to": ["2"]}, {"time": ["1763640010"]}] == queries


def test_a_board_by_its_name(tally: Tally, world: World, web: Web) -> None:
    """Broken: the name on the label is of no use on the command line."""
    web.answers[f"/v1/devices/{world.device.id.hex()}/proof"] = (200, world.proof(1))
    entry = {"id": world.device.id.hex(), "did": world.device.did, "name": "cold-room-3"}
    entry["credential"] = base64.b64encode(world.credential()).decode()
    fleet = tally.write("f.json", json.dumps({"version": 1, "grant": None, "devices": [entry]}))
    argv = ("--gateway", web.url, "--enrolment", fleet)
    assert 0 == tally("prove", "cold-room-3", "1", *argv).status
    ran = tally("prove", "cold-room-4", "1", *argv)
    assert (2, f"error: no board 'cold-room-4' in '{fleet}'\n") == (ran.status, ran.err)


def test_a_file_is_never_replaced_unasked(tally: Tally, world: World, web: Web) -> None:
    """Broken: evidence that was fetched earlier is lost."""
    id = world.device.id.hex()
    web.answers[f"/v1/devices/{id}/proof"] = (200, world.proof(1))
    kept = tally.write(f"{id}-1.tally", b"older evidence")
    ran = tally("prove", id, "1", "--gateway", web.url)
    assert 2 == ran.status
    assert f"error: '{id}-1.tally' exists already\nhint: --force replaces it\n" == ran.err
    assert b"older evidence" == kept.read_bytes()
    assert 2 == tally("prove", id, "1", "--gateway", web.url, "-o", kept).status
    assert 0 == tally("prove", id, "1", "--gateway", web.url, "--force").status
    assert world.device.records[1].raw == proof.parse(kept.read_bytes()).records[0].raw


def test_what_is_no_answer_to_the_question_is_not_written(
    tally: Tally, world: World, web: Web
) -> None:
    """Broken: a gateway's mistake, or its lie, is filed under the name of what was asked."""
    id = world.device.id.hex()
    other = World(key("other board"))
    other.device.open()
    cases = {
        "cbor.malformed": b"<html>",
        "proof.device": other.proof(0),
        "proof.asked": world.proof(2),
    }
    for code, body in cases.items():
        web.answers[f"/v1/devices/{id}/proof"] = (200, body)
        ran = tally("prove", id, "1", "--gateway", web.url)
        assert (5, "") == (ran.status, ran.out)
        assert f"({code})" in ran.err
    web.answers[f"/v1/devices/{id}/proof"] = (200, world.proof(0, 2))
    assert 5 == tally("prove", id, "1..2", "--gateway", web.url).status
    assert [] == list(tally.cwd.glob("*.tally"))


def test_a_gateway_that_says_no(tally: Tally, world: World, web: Web) -> None:
    """Broken: the user does not learn why there is no proof."""
    id = world.device.id.hex()
    body = json.dumps({"error": "no record of device\x1b[2J", "hint": "is it enrolled?"}).encode()
    web.answers[f"/v1/devices/{id}/proof"] = (404, body)
    ran = tally("prove", id, "1", "--gateway", web.url)
    assert 5 == ran.status
    assert (
        f"error: '{web.url}' answers 404: no record of device\\x1b[2J (source.refused)\n"
        "hint: is it enrolled?\n"
    ) == ran.err


def test_a_gateway_that_is_not_there(tally: Tally, world: World, web: Web) -> None:
    """Broken: a stopped gateway ends in a traceback."""
    web.close()
    ran = tally("prove", world.device.id.hex(), "1", "--gateway", web.url)
    assert 5 == ran.status
    assert ran.err.startswith(f"error: no answer from '{web.url}': ")
    assert "(source.unreachable)\nhint: " in ran.err
    assert 2 == tally("prove", world.device.id.hex(), "1", "--gateway", "gateway.local").status


def test_statements_of_a_ledger_are_added(tally: Tally, world: World, web: Web) -> None:
    """Broken: the proof of a suspended board leaves out that it was suspended."""
    id = world.device.id.hex()
    world.state(world.issuer, StatementKind.REGISTERED, world.device.did.encode())
    world.state(world.issuer, StatementKind.SUSPENDED, b"lost")
    full = world.proof(1)
    found = [world.ledger.confirmed(one) for one in world.statements]
    raws = [one.encode() for one in found]
    bare = world.proof(1, statements=[])
    web.answers[f"/v1/devices/{id}/proof"] = (200, bare)
    first, second = (cbor.encode([raw]) for raw in raws)
    web.answers |= {f"/v1/statements/{id}@0": (200, first)}
    web.answers |= {f"/v1/statements/{id}@{found[0].position + 1}": (200, second)}
    web.answers |= {f"/v1/statements/{id}@{found[1].position + 1}": (200, cbor.encode([]))}
    ran = tally("prove", id, "1", "--gateway", web.url, "--ledger", web.url)
    assert 0 == ran.status, ran.err
    assert "2 statements about the device added\n" in ran.err
    parts = cbor.decode((tally.cwd / f"{id}-1.tally").read_bytes())
    before = cbor.decode(bare)
    assert isinstance(parts, list)
    assert isinstance(before, list)
    assert isinstance(parts[2], list)
    assert [[9, raw] for raw in raws] == [part for part in parts[2] if part[0] == 9]  # type: ignore[index]
    assert before[2] == [part for part in parts[2] if part[0] != 9]  # type: ignore[index]
    policy = tally.write("policy.toml", world.policy_text())
    assert 4 == tally("verify", "-q", f"{id}-1.tally", "--policy", policy).status
    assert 2 == len(proof.parse(full).statements)


def test_a_ledgers_answer_that_is_not_about_the_device(
    tally: Tally, world: World, web: Web
) -> None:
    """Broken: another board's statements stand in this board's proof, or an endless ledger keeps the command."""
    id = world.device.id.hex()
    web.answers[f"/v1/devices/{id}/proof"] = (200, world.proof(1))
    other = World(key("other board"))
    other.state(other.issuer, StatementKind.REGISTERED, other.device.did.encode())
    other.ledger.milestone(other.device.time)
    foreign = cbor.encode([other.ledger.confirmed(other.statements[0]).encode()])
    world.state(world.issuer, StatementKind.REGISTERED, world.device.did.encode())
    world.ledger.milestone(world.device.time)
    again = cbor.encode([world.ledger.confirmed(world.statements[0]).encode()])
    for body, code in ((foreign, "statement.device"), (again, "statement.order"), (b"no", "cbor.")):
        web.answers[f"/v1/statements/{id}"] = (200, body)
        ran = tally("prove", id, "1", "--gateway", web.url, "--ledger", web.url)
        assert 5 == ran.status
        assert f"({code}" in ran.err
        assert [] == list(tally.cwd.glob("*.tally"))


_GATEWAY = """\
import sys
print(sys.argv[1:], file=sys.stderr)
if "--seq" not in sys.argv:
    print("error: no record there\\nhint: ask for another", file=sys.stderr)
    raise SystemExit(1)
sys.stdout.buffer.write(open("answer", "rb").read())
"""


def test_from_a_data_folder(tally: Tally, world: World) -> None:
    """Broken: without a running gateway no proof can be had from its disk."""
    id, data = world.device.id.hex(), world.proof(1)
    tally.write("simulated/tallystick_gateway/__init__.py", "")
    tally.write("simulated/tallystick_gateway/__main__.py", _GATEWAY)
    tally.write("answer", data)
    (tally.cwd / "data").mkdir()
    env = {"PYTHONPATH": str(tally.cwd / "simulated")}
    ran = tally("prove", id, "1", "--dir", "data", "-o", "a.tally", env=env)
    assert (0, "a.tally\n") == (ran.status, ran.out), ran.err
    assert data == Path(tally.cwd, "a.tally").read_bytes()
    ran = tally("prove", id, "1..2", "--dir", "data", env=env)
    assert 5 == ran.status
    assert (
        "error: the gateway's program gives no proof: no record there (source.folder)\n"
        "hint: ask for another\n"
    ) == ran.err
    assert 2 == tally("prove", id, "1", "--dir", "nowhere", env=env).status
