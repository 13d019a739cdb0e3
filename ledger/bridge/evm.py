"""A node of an EVM-speaking ledger, by JSON-RPC through web3.py.

Whatever the node or the way to it does surfaces as `NodeError`, whose text holds nothing of the URL
that may be secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tallystick.endpoint import Endpoint
from tallystick.settlement import Executed, Seen
from tallystick_ledger.bridge.bounds import DETAIL_CHARACTERS, REQUEST_S

__all__ = ["Heights", "Node", "NodeError", "View"]

T = TypeVar("T")


class NodeError(Exception):
    """The node says no, nothing, or something that is none of it; the text is fit for a log.

    `answered`: the node itself said so.
    """

    def __init__(self, text: str, *, answered: bool) -> None:
        super().__init__(text)
        self.answered = answered


@dataclass(frozen=True)
class Heights:
    """Numbers of the newest block, and of those that are safe and final where the ledger knows such."""

    latest: int
    safe: int | None
    final: int | None


@dataclass(frozen=True)
class View:
    """What the node says of one transaction; `fee` is what it cost, in the smallest unit."""

    seen: Seen
    fee: int | None = None


class Node:
    """One node. Not shared between threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        from web3 import HTTPProvider, Web3

        self._endpoint = endpoint
        provider = HTTPProvider(endpoint.url, request_kwargs={"timeout": REQUEST_S})
        self._web3 = Web3(provider)
        self._chain: int | None = None

    def chain(self) -> int:
        """The id of the chain that it serves."""
        self._chain = self._asked(lambda: int(self._web3.eth.chain_id))
        return self._chain

    def price(self) -> int:
        """What it suggests to pay for one gas."""
        return self._asked(lambda: int(self._web3.eth.gas_price))

    def gas(self, address: bytes, data: bytes) -> int:
        """What a transaction to the account itself with this data needs."""
        call: Any = {"from": self._address(address), "to": self._address(address), "data": data}
        return self._asked(lambda: int(self._web3.eth.estimate_gas(call)))

    def balance(self, address: bytes) -> int:
        """What the account holds."""
        return self._asked(lambda: int(self._web3.eth.get_balance(self._address(address))))

    def spent(self, address: bytes, at: str | int = "latest") -> int:
        """How many transactions of the account the blocks up to `at` have executed."""
        where: Any = at
        return self._asked(
            lambda: int(self._web3.eth.get_transaction_count(self._address(address), where))
        )

    def heights(self) -> Heights:
        """Where the ledger stands."""
        latest = self._asked(lambda: int(self._web3.eth.block_number))
        return Heights(latest, self._tagged("safe"), self._tagged("finalized"))

    def send(self, raw: bytes) -> str:
        """Hand over signed bytes; "" if it took them, else what it says. Sending again is harmless."""
        try:
            self._asked(lambda: self._web3.eth.send_raw_transaction(raw))
        except NodeError as error:
            return str(error)
        return ""

    def view(self, name: bytes, heights: Heights) -> View:
        """What it knows of the transaction with this hash."""
        from web3.exceptions import TransactionNotFound

        def look() -> View:
            chain = self._chain if self._chain is not None else int(self._web3.eth.chain_id)
            try:
                receipt: Any = self._web3.eth.get_transaction_receipt(name)  # type: ignore[arg-type]
            except TransactionNotFound:
                receipt = None
            if receipt is None or receipt["blockNumber"] is None:
                return View(Seen(chain, self._knows(name), None, *_of(heights)))
            number, block = int(receipt["blockNumber"]), bytes(receipt["blockHash"])
            found: Any = self._web3.eth.get_block(number)
            if bytes(found["hash"]) != block:
                # between two answers the ledger chose another block: as good as not yet
                return View(Seen(chain, True, None, *_of(heights)))
            executed = Executed(number, block, int(found["timestamp"]), int(receipt["status"]) == 1)
            price = int(receipt.get("effectiveGasPrice") or 0)
            return View(Seen(chain, True, executed, *_of(heights)), int(receipt["gasUsed"]) * price)

        return self._asked(look)

    def sent_by(self, address: bytes, number: int) -> list[tuple[int, bytes]]:
        """(nonce, hash) of the account's transactions in the block with this number."""

        def look() -> list[tuple[int, bytes]]:
            block: Any = self._web3.eth.get_block(number, full_transactions=True)
            return [
                (int(one["nonce"]), bytes(one["hash"]))
                for one in block["transactions"]
                if one["from"].lower() == f"0x{address.hex()}"
            ]

        return self._asked(look)

    def _knows(self, name: bytes) -> bool:
        from web3.exceptions import TransactionNotFound

        try:
            self._web3.eth.get_transaction(name)  # type: ignore[arg-type]
        except TransactionNotFound:
            return False
        return True

    def _tagged(self, tag: str) -> int | None:
        """The number of the block with this name; None where the ledger knows no such block."""
        name: Any = tag
        try:
            return self._asked(lambda: int(self._web3.eth.get_block(name)["number"]))
        except NodeError as error:
            if error.answered:
                return None
            raise

    @staticmethod
    def _address(address: bytes) -> Any:
        from web3 import Web3

        return Web3.to_checksum_address(address)

    def _asked(self, question: Callable[[], T]) -> T:
        """The answer, or `NodeError` whatever went wrong on the way."""
        from web3.exceptions import Web3Exception

        try:
            return question()
        except NodeError:
            raise
        # the way to a stranger's node ends in the errors of five libraries, and so do bad answers
        except Exception as error:  # noqa: BLE001
            text = self._endpoint.scrub(f"{type(error).__name__}: {error}")
            shown = "".join(c if c.isprintable() else " " for c in text)[:DETAIL_CHARACTERS]
            # the cause is left out: it may quote the URL
            raise NodeError(shown, answered=isinstance(error, Web3Exception)) from None


def _of(heights: Heights) -> tuple[int, int | None, int | None]:
    return heights.latest, heights.safe, heights.final
