"""MQTT topics, known here and nowhere else (docs/format.md, section 13).

ids are given as bytes and written as lower-case hex: 16 digits for devices, gateways and ledgers,
64 for blocks. A topic is a hint where something belongs; it is never evidence.
"""

from __future__ import annotations

import re
from typing import Final

from tallystick.errors import FormatError
from tallystick.value import Value

__all__ = ["Device", "Gateway", "Ledger", "device_state", "device_up", "parse_device"]

ROOT: Final = "tallystick/v1"
_DEVICE: Final = re.compile(rf"{ROOT}/([0-9a-f]{{16}})/([a-z]+)(?:/(.+))?")
DEVICE_STATES: Final = ("init", "ready", "sleeping", "disconnected", "lost")


class Device(Value):
    """The topics of one device (8 bytes)."""

    id: bytes

    @property
    def base(self) -> str:
        """What all of this device's topics start with."""
        return f"{ROOT}/{self.id.hex()}"

    @property
    def up(self) -> str:
        """Records, one a message, QoS 1."""
        return f"{self.base}/up"

    @property
    def ack(self) -> str:
        """Acknowledgement, retained."""
        return f"{self.base}/ack"

    @property
    def cmd(self) -> str:
        """Commands."""
        return f"{self.base}/cmd"

    @property
    def accepted(self) -> str:
        """The board's answer to a command that it took, for people: JSON {counter, name, seq}."""
        return f"{self.cmd}/accepted"

    @property
    def refused(self) -> str:
        """The board's answer to a command that it did not take, for people: JSON {counter, code, detail}."""
        return f"{self.cmd}/rejected"

    @property
    def state(self) -> str:
        """One of `DEVICE_STATES`, retained, last will."""
        return f"{self.base}/state"

    @property
    def update(self) -> str:
        """Manifest of the update that is meant for it, retained; no bytes: none."""
        return f"{self.base}/update"

    @property
    def want(self) -> str:
        """What the board asks for: `sha256 offset length`."""
        return f"{self.update}/want"

    @property
    def part(self) -> str:
        """The answer: sha256, offset, bytes."""
        return f"{self.update}/part"

    @property
    def update_state(self) -> str:
        """How far the board is, for people, retained: JSON {counter, state, code, detail, done, size}."""
        return f"{self.update}/state"

    @property
    def rejected(self) -> str:
        """JSON {code, detail, seq}, for people."""
        return f"{self.base}/rejected"

    @property
    def standing(self) -> str:
        """JSON of how the device stands, retained; gateway only, if an adapter wants it."""
        return f"{self.base}/verified"

    def verified(self, channel: str) -> str:
        """JSON of the newest verified reading, retained; gateway only."""
        if not re.fullmatch(r"[^/+#\0]{1,32}", channel):
            raise FormatError("topic.channel", f"{channel!r} cannot stand in a topic")
        return f"{self.base}/verified/{channel}"


class Gateway(Value):
    """The topics of one gateway (8 bytes)."""

    id: bytes

    @property
    def base(self) -> str:
        """What all of this gateway's topics start with."""
        return f"{ROOT}/gateway/{self.id.hex()}"

    @property
    def state(self) -> str:
        """JSON, retained, last will."""
        return f"{self.base}/state"

    @property
    def checkpoint(self) -> str:
        """Signed note, retained."""
        return f"{self.base}/checkpoint"

    @property
    def grant(self) -> str:
        """The owner's grant, retained."""
        return f"{self.base}/grant"

    @property
    def update(self) -> str:
        """Updates in: SHA-256 of the update file, its size (4 bytes), offset (4 bytes), the bytes there."""
        return f"{self.base}/update"

    @property
    def update_answer(self) -> str:
        """The gateway's answer to a piece or an offer, JSON."""
        return f"{self.update}/answer"

    @property
    def offer(self) -> str:
        """Which boards an update is for, JSON {update, devices}."""
        return f"{self.update}/offer"


class Ledger(Value):
    """The topics of one ledger (8 bytes)."""

    id: bytes

    @property
    def base(self) -> str:
        """What all of this ledger's topics start with."""
        return f"{ROOT}/ledger/{self.id.hex()}"

    @property
    def submit(self) -> str:
        """Blocks in."""
        return f"{self.base}/submit"

    @property
    def tips(self) -> str:
        """CBOR [*8 hash], retained."""
        return f"{self.base}/tips"

    @property
    def milestone(self) -> str:
        """Newest milestone block, retained."""
        return f"{self.base}/milestone"

    @property
    def checkpoint(self) -> str:
        """The newest milestone's (size, root) as a signed note, retained."""
        return f"{self.base}/checkpoint"

    def block(self, block: bytes) -> str:
        """An attached block's bytes."""
        return f"{self.base}/block/{block.hex()}"

    @property
    def blocks(self) -> str:
        """Filter for all attached blocks."""
        return f"{self.base}/block/+"

    @property
    def ask(self) -> str:
        """Questions for blocks from a position on, CBOR [from, reply]."""
        return f"{self.base}/ask"

    def history(self, reply: bytes) -> str:
        """Answers to one who asked, CBOR [from, [* block], code]; `reply` is his choice (8 bytes)."""
        return f"{self.base}/history/{reply.hex()}"

    @property
    def fork(self) -> str:
        """The alarm of a node that follows, CBOR [code, bytes, bytes], retained."""
        return f"{self.base}/fork"

    def receipt(self, block: bytes) -> str:
        """The answer to a submitted block."""
        return f"{self.base}/receipt/{block.hex()}"

    @property
    def receipts(self) -> str:
        """Filter for all receipts."""
        return f"{self.base}/receipt/+"

    def anchor(self, gateway: bytes) -> str:
        """Newest confirmed anchor of a gateway, CBOR `confirmed`, retained."""
        return f"{self.base}/anchor/{gateway.hex()}"


def device_up() -> str:
    """Filter for the records of all devices."""
    return f"{ROOT}/+/up"


def device_state() -> str:
    """Filter for what all boards say of themselves."""
    return f"{ROOT}/+/state"


def wants() -> str:
    """Filter for what all devices ask for of their updates."""
    return f"{ROOT}/+/update/want"


def offers() -> str:
    """Filter for the manifests that are offered to all devices."""
    return f"{ROOT}/+/update"


def update_states() -> str:
    """Filter for how far all devices are with their updates."""
    return f"{ROOT}/+/update/state"


def grants() -> str:
    """Filter for the grants of all gateways."""
    return f"{ROOT}/gateway/+/grant"


def parse_device(topic: str) -> tuple[bytes, str]:
    """(device id, `up` | `state` | ...) of a device's topic; `FormatError` (`topic.device`)
    otherwise.
    """
    match = _DEVICE.fullmatch(topic)
    if match is None:
        raise FormatError("topic.device", f"{topic[:128]!r} is not a device's topic")
    return bytes.fromhex(match[1]), match[2] if match[3] is None else f"{match[2]}/{match[3]}"
