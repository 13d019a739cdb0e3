"""A simulated ledger: real blocks, milestones and receipts over MQTT, without the rules of a real node.

It attaches what is submitted if it knows the parents, confirms when it is told to, and can be made to lie.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tallystick import block, cbor, checkpoint, merkle, milestone, topics
from tallystick.block import Block, BlockKind
from tallystick.keys import PrivateKey
from tallystick.milestone import Confirmed, Milestone
from tallystick.note import VerifierKey
from tallystick.receipt import Receipt, State
from tests.parts import LOOPBACK


class LedgerDouble:
    """A ledger of one key. `automatic`: each block is confirmed by a milestone of its own, at once."""

    def __init__(self, port: int, *, automatic: bool = True) -> None:
        self.key = PrivateKey.generate()
        self.genesis = block.sign_genesis(self.key, 1_780_000_000, "double")
        self.id = block.ledger_id(self.genesis)
        self.topics = topics.Ledger(self.id)
        self.automatic = automatic
        self.ids = [block.block_id(self.genesis)]  # confirmed, by position
        self.attached: dict[bytes, Block] = {}
        self.submitted: list[bytes] = []
        self.milestones: list[Milestone] = []
        self.lock = threading.RLock()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="ledger-double")
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self.client.connect(LOOPBACK, port)
        self.client.loop_start()
        self.milestone()

    @property
    def line(self) -> str:
        """The line of `tally-ledger identity`."""
        return str(VerifierKey(checkpoint.ledger_name(self.id), self.key.public))

    def close(self) -> None:
        """Leave the broker."""
        self.client.disconnect()
        self.client.loop_stop()

    def milestone(self) -> Milestone:
        """Confirm all that is attached."""
        with self.lock:
            parent = self.milestones[-1].id if self.milestones else self.ids[0]
            fresh = list(self.attached.values())
            self.attached.clear()
            # the newest milestone is a block too, and confirmed by this one
            first = len(self.ids) - 1
            self.ids += [one.id for one in fresh]
            hashes = [merkle.leaf_hash(one) for one in self.ids]
            made = milestone.parse(
                milestone.sign(
                    self.key,
                    self.id,
                    len(self.milestones) + 1,
                    [parent, *(one.id for one in fresh[:3])],
                    int(time.time()),
                    first,
                    len(hashes),
                    merkle.root(hashes),
                )
            )
            for one in fresh:
                position = self.ids.index(one.id)
                path = tuple(merkle.inclusion_path(hashes, position))
                self.answer(Confirmed(one, position, path, made))
            self.ids.append(made.id)
            self.milestones.append(made)
            self.client.publish(self.topics.milestone, made.block.raw, qos=1, retain=True)
            self.say_tips([made.id])
            return made

    def say_tips(self, tips: list[bytes]) -> None:
        """Publish tips, right or wrong."""
        self.client.publish(self.topics.tips, cbor.encode(tips), qos=1, retain=True)

    def answer(self, confirmed: Confirmed) -> None:
        """A confirmed receipt, and the retained anchor if the block is one."""
        block_id = confirmed.block.id
        said = Receipt(State.CONFIRMED, block_id, "", confirmed).encode()
        self.client.publish(self.topics.receipt(block_id), said, qos=1)
        if confirmed.block.kind is BlockKind.ANCHOR:
            gateway = checkpoint.parse(confirmed.block.carried).origin.removeprefix("tallystick/")
            topic = self.topics.anchor(bytes.fromhex(gateway))
            self.client.publish(topic, confirmed.encode(), qos=1, retain=True)

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(self.topics.submit, 1)

    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        with self.lock:
            self.submitted.append(bytes(message.payload))
            parsed = block.parse(bytes(message.payload))
            known = {*self.ids, *self.attached}
            if parsed.id in known:
                return
            if not set(parsed.parents) <= known:
                said = Receipt(State.REJECTED, parsed.id, "block.unknown-parent").encode()
                self.client.publish(self.topics.receipt(parsed.id), said, qos=1)
                return
            self.attached[parsed.id] = parsed
            said = Receipt(State.ATTACHED, parsed.id).encode()
            self.client.publish(self.topics.receipt(parsed.id), said, qos=1)
            if self.automatic:
                self.milestone()
