"""What nodes of other ledgers say of the transactions in proofs, by JSON-RPC (EVM, Ethereum's API).

The verifier has chosen the node, and believes it: an answer is read strictly, but it proves nothing.
Nothing is asked of a node that the policy does not need, and each thing once a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from tallystick.endpoint import Endpoint
from tallystick.errors import TallystickError
from tallystick.limits import URL_CHARS
from tallystick.policy import Policy
from tallystick.proof import Proof
from tallystick.settlement import Executed, Seen
from tallystick.transaction import Transaction
from tallystick_host import files, limits
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.words import shown, shown_path

__all__ = ["looked_up", "nodes"]

_TAGS: Final = ("latest", "safe", "finalized")


def nodes(urls: Sequence[str], paths: Sequence[str]) -> tuple[str, ...]:
    """URLs from arguments and from files; `UseError` if one is none, or holds a secret in an argument."""
    found: list[str] = []
    for url in urls:
        endpoint = _parse(url)
        if endpoint.secret:
            raise UseError(
                f"the URL of {str(endpoint)!r} seems to hold a login or a token",
                hint="others can read arguments: write it into a file and give --rpc-file FILE",
            )
        found.append(endpoint.url)
    for path in paths:
        lines = files.read(Path(path), URL_CHARS + 2).splitlines()
        try:
            found.append(_parse(lines[0].decode() if lines else "").url)
        except UnicodeDecodeError:
            raise UseError(f"the URL in {shown_path(path)!r} is not UTF-8") from None
    return tuple(found)


def looked_up(
    urls: tuple[str, ...], trusted: Policy, proof: Proof
) -> tuple[Mapping[bytes, Seen], tuple[str, ...]]:
    """What the nodes say of the transaction in this proof, if the policy wants it looked up; and what was wrong
    with nodes that said nothing.
    """
    anchor = proof.anchor
    sent = anchor.transaction if anchor else None
    bridge = trusted.bridge(anchor.milestone.ledger) if anchor else None
    if sent is None or bridge is None:
        return {}, ()
    return _asked(urls).look(sent)


@lru_cache(maxsize=1)
def _asked(urls: tuple[str, ...]) -> _Nodes:
    """The nodes of this run, with what they have said."""
    return _Nodes([_Node(Endpoint(url)) for url in urls])


class _Nodes:
    def __init__(self, nodes: Sequence[_Node]) -> None:
        self._nodes = nodes
        self._said: dict[bytes, tuple[Mapping[bytes, Seen], tuple[str, ...]]] = {}

    def look(self, sent: Transaction) -> tuple[Mapping[bytes, Seen], tuple[str, ...]]:
        """Each transaction is asked for once."""
        name = sent.hash
        if name not in self._said:
            self._said[name] = self._look(sent, name)
        return self._said[name]

    def _look(self, sent: Transaction, name: bytes) -> tuple[Mapping[bytes, Seen], tuple[str, ...]]:
        troubles: list[str] = []
        for node in self._nodes:
            try:
                # the only one is asked whatever it serves: the verdict then says which chain it is
                if node.chain() == sent.chain or len(self._nodes) == 1:
                    return {name: node.look(sent)}, ()
            except UndoneError as error:
                troubles.append(error.detail)
        return {}, tuple(troubles)


class _Node:
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._chain: int | None = None

    def chain(self) -> int:
        """The id of the chain that it serves."""
        if self._chain is None:
            self._chain = self._number(self._ask("eth_chainId"))
        return self._chain

    def look(self, sent: Transaction) -> Seen:
        """What it says of the transaction; `UndoneError` if it says nothing that can be read."""
        name = f"0x{sent.hash.hex()}"
        known = self._ask("eth_getTransactionByHash", name)
        # a node that answers with other data than its hash stands for is not one to believe
        if known is not None and self._field(known, "input") != f"0x{sent.data.hex()}":
            raise self._wrong("it gives other data for the transaction than its hash stands for")
        latest, safe, final = (self._height(tag) for tag in _TAGS)
        if latest is None:
            raise self._wrong("it has no newest block")
        return Seen(
            self.chain(),
            known is not None,
            self._executed(name) if known else None,
            latest,
            safe,
            final,
        )

    def _executed(self, name: str) -> Executed | None:
        receipt = self._ask("eth_getTransactionReceipt", name)
        if receipt is None or self._field(receipt, "blockNumber") is None:
            return None
        number = self._field(receipt, "blockNumber")
        block = self._ask("eth_getBlockByNumber", number, False)
        own = self._field(receipt, "blockHash")
        if block is None or self._field(block, "hash") != own or not isinstance(own, str):
            return None  # between two answers the ledger chose another block
        try:
            digest = bytes.fromhex(own.removeprefix("0x"))
        except ValueError:
            raise self._wrong("a block's hash is none") from None
        status = self._number(self._field(receipt, "status"))
        time = self._number(self._field(block, "timestamp"))
        return Executed(self._number(number), digest, time, status == 1)

    def _height(self, tag: str) -> int | None:
        """The number of the block with this name; None where the ledger has no such name."""
        try:
            block = self._ask("eth_getBlockByNumber", tag, False)
        except _RefusedError:
            return None
        return None if block is None else self._number(self._field(block, "number"))

    def _ask(self, method: str, *params: object) -> Any:
        import httpx

        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            with httpx.stream(
                "POST", self._endpoint.url, json=body, timeout=limits.HTTP_TIMEOUT_S
            ) as answer:
                data = b""
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > limits.RPC_BYTES:
                        raise self._wrong("its answer is too long")
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # the cause is left out: it may quote the URL
            reason = self._endpoint.scrub(str(error)) or type(error).__name__
            raise self._wrong(shown(reason)) from None
        return self._result(method, status, data)

    def _result(self, method: str, status: int, data: bytes) -> Any:
        import json

        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise self._wrong(f"it answers {method} with HTTP {status} and no JSON") from None
        if not isinstance(value, dict):
            raise self._wrong(f"it answers {method} with something else than an object")
        if value.get("error") is not None:
            reason = self._endpoint.scrub(str(value["error"]))
            raise _RefusedError(f"the node {self._endpoint} refuses {method}: {shown(reason)}")
        return value.get("result")

    def _field(self, value: object, name: str) -> Any:
        if not isinstance(value, dict):
            raise self._wrong(f"no {name} where there should be one")
        return value.get(name)

    def _number(self, value: object) -> int:
        try:
            number = int(value, 16) if isinstance(value, str) and value.startswith("0x") else -1
        except ValueError:
            number = -1
        if not 0 <= number < 2**63:
            raise self._wrong("a number is none")
        return number

    def _wrong(self, detail: str) -> UndoneError:
        return UndoneError(f"the node {self._endpoint}: {detail}")


class _RefusedError(UndoneError):
    """The node itself says no."""


def _parse(url: str) -> Endpoint:
    try:
        return Endpoint.parse(url)
    except TallystickError as error:
        raise UseError(error.detail, code=error.code, hint=error.hint) from None
