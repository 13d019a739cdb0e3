"""What a node of another ledger answers, from good to malicious.

If this fails, a node that a verifier has chosen ends the command with a traceback, or makes it say what is not so.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from tallystick import transaction
from tallystick.policy import Bridge, Policy
from tallystick.proof import Proof
from tallystick.settlement import Executed, Seen
from tallystick.transaction import Transaction
from tallystick_host import other_ledger
from tests.world import World

KEY = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
BLOCK = "0x" + "ab" * 32


class Node(BaseHTTPRequestHandler):
    """A simulator of a node: answers by method, as the test says."""

    answers: ClassVar[dict[str, Any]] = {}
    raw: ClassVar[bytes | None] = None
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        """One call."""
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(call["method"])
        answer = self.answers.get(call["method"])
        if callable(answer):
            answer = answer(*call["params"])
        body = {"jsonrpc": "2.0", "id": 1, "result": answer}
        if isinstance(answer, Exception):
            body = {"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": str(answer)}}
        data = self.raw if self.raw is not None else json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def url() -> Iterator[str]:
    """Of a node that answers well."""
    sent()
    # a library that signs for this test raises it, at which nested JSON ends the process; the command loads none
    sys.setrecursionlimit(1000)
    server = HTTPServer(("127.0.0.1", 0), Node)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Node.raw, Node.asked = None, []
    Node.answers = {
        "eth_chainId": "0x406",
        "eth_getTransactionByHash": {"input": "0x" + sent().data.hex()},
        "eth_getTransactionReceipt": {
            "blockNumber": "0x39",
            "blockHash": BLOCK,
            "status": "0x1",
        },
        "eth_getBlockByNumber": block,
    }
    other_ledger._asked.cache_clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def block(tag: str, _: bool) -> Any:
    """The blocks with names, and that of the transaction."""
    numbers = {"latest": "0x64", "safe": "0x3c", "finalized": "0x0", "0x39": "0x39"}
    return {"number": numbers[tag], "hash": BLOCK, "timestamp": "0x6b49d200"}


def sent() -> Transaction:
    """Signed by the key 1, whose point everybody knows."""
    from eth_account import Account

    fields = {
        "nonce": 0,
        "gasPrice": 1,
        "gas": 1,
        "value": 0,
        "chainId": 1030,
        "to": transaction.address_of(KEY),
        "data": transaction.calldata("a note\n"),
    }
    raw = bytes(Account.sign_transaction(fields, (1).to_bytes(32, "big")).raw_transaction)
    return transaction.signed(raw, KEY)


@pytest.fixture
def site() -> tuple[Policy, Proof]:
    """A policy that trusts a bridge, and a proof from it."""
    from tallystick import proof

    world = World()
    world.device.open()
    reading = world.device.readings([1])
    world.publish()
    parsed = proof.parse(world.prove([reading]))
    assert parsed.anchor is not None
    made = sent()
    bridge = Bridge(world.ledger.vkey, account=made.account)
    policy = world.policy.replace(ledgers=(), bridges=(bridge,))
    return policy, parsed.replace(anchor=parsed.anchor.replace(transaction=made))


def test_a_good_answer(url: str, site: tuple[Policy, Proof]) -> None:
    """What the node says would not be what is judged; or it would be asked for each of a thousand files."""
    seen, trouble = other_ledger.looked_up((url,), *site)
    good = Seen(1030, True, Executed(57, b"\xab" * 32, 0x6B49D200, True), 100, 60, 0)
    assert ({sent().hash: good}, ()) == (seen, trouble)
    before = len(Node.asked)
    assert (seen, trouble) == other_ledger.looked_up((url,), *site)
    assert before == len(Node.asked)


def test_what_is_not_asked(url: str, site: tuple[Policy, Proof]) -> None:
    """A node would learn of proofs that need nothing from it."""
    policy, proof = site
    assert ({}, ()) == other_ledger.looked_up((url,), policy.replace(bridges=()), proof)
    assert [] == Node.asked


@pytest.mark.parametrize(
    ("method", "answer", "expected"),
    [
        ("eth_getTransactionByHash", None, Seen(1030, False, None, 100, 60, 0)),
        ("eth_getTransactionReceipt", None, Seen(1030, True, None, 100, 60, 0)),
        (
            "eth_getTransactionReceipt",
            {"blockNumber": "0x39", "blockHash": "0x" + "cd" * 32, "status": "0x1"},
            Seen(1030, True, None, 100, 60, 0),
        ),
    ],
)
def test_not_yet(
    url: str, site: tuple[Policy, Proof], method: str, answer: object, expected: Seen
) -> None:
    """A transaction that is not in a block would count as there."""
    Node.answers[method] = answer
    assert ({sent().hash: expected}, ()) == other_ledger.looked_up((url,), *site)


def test_a_ledger_without_a_safe_block(url: str, site: tuple[Policy, Proof]) -> None:
    """A ledger that does not know the word could not be used at all."""
    Node.answers["eth_getBlockByNumber"] = lambda tag, full: (
        ValueError("unknown block tag") if tag in ("safe", "finalized") else block(tag, full)
    )
    seen, _ = other_ledger.looked_up((url,), *site)
    assert (None, None) == (seen[sent().hash].safe, seen[sent().hash].final)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("eth_chainId", None),
        ("eth_chainId", "1030"),
        ("eth_chainId", "0x" + "f" * 5000),
        ("eth_chainId", ValueError("no")),
        ("eth_getTransactionByHash", []),
        ("eth_getTransactionByHash", {"input": "0x00"}),
        ("eth_getTransactionByHash", ValueError("no")),
        ("eth_getTransactionReceipt", 7),
        ("eth_getTransactionReceipt", {"blockNumber": "0x39", "blockHash": BLOCK}),
        ("eth_getTransactionReceipt", {"blockNumber": -1, "blockHash": BLOCK, "status": "0x1"}),
        ("eth_getBlockByNumber", None),
        ("eth_getBlockByNumber", "0x1"),
        ("eth_getBlockByNumber", {"number": "0x1", "hash": BLOCK, "timestamp": None}),
        ("eth_getBlockByNumber", {"number": "0x1", "hash": "0xzz", "timestamp": "0x1"}),
    ],
)
def test_answers_that_say_nothing(
    url: str, site: tuple[Policy, Proof], method: str, answer: object
) -> None:
    """A traceback, or a verdict from what was never said."""
    Node.answers[method] = answer
    seen, trouble = other_ledger.looked_up((url,), *site)
    executed = [one.executed for one in seen.values()]
    assert executed in ([], [None])
    assert bool(trouble) is not bool(seen)


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"[]", b"[" * 100_000, b'{"result":', b"\xff\xfe", b"1" * (5 * 2**20)]
)
def test_answers_that_are_no_answers(url: str, site: tuple[Policy, Proof], raw: bytes) -> None:
    """A traceback, or all memory for one answer."""
    Node.raw = raw
    seen, trouble = other_ledger.looked_up((url,), *site)
    assert {} == seen
    assert len(trouble) == 1


def test_of_several_the_one_that_serves_the_chain(url: str, site: tuple[Policy, Proof]) -> None:
    """A dead node beside a good one would cost the verdict."""
    assert other_ledger.looked_up(("http://127.0.0.1:1", url), *site)[0]
    # alone it is asked whatever it serves: the verdict says which chain that is
    other_ledger._asked.cache_clear()
    Node.answers["eth_chainId"] = "0x1"
    seen, _ = other_ledger.looked_up((url,), *site)
    assert 1 == seen[sent().hash].chain
