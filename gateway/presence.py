"""What boards say of themselves on their `state` topic, and what the broker says for one that is gone (its last will).

Nothing of it is signed: it helps people, and no rule rests on it. One word is kept for each enrolled device.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from tallystick import topics
from tallystick.errors import TallystickError

__all__ = ["REASONS", "Presence", "Said"]

REASONS: Final = {
    "init": "starting, not connected for records yet",
    "ready": "connected",
    "sleeping": "asleep until its next reading",
    "disconnected": "left the broker in good order",
    "lost": "the broker has lost it: no power, no coverage, or a broken connection",
}


@dataclass(frozen=True)
class Said:
    """One of `topics.DEVICE_STATES`. `since`: Unix seconds at which we heard it, None if the broker had it
    before we came.
    """

    word: str
    since: int | None

    @property
    def reason(self) -> str:
        """The same in words for people."""
        return REASONS[self.word]


class Presence:
    """The newest word of each device. One thread hears; any may ask."""

    def __init__(self) -> None:
        self._said: dict[bytes, Said] = {}

    def hear(
        self, topic: str, payload: bytes, enrolled: Container[bytes], *, retained: bool, now: int
    ) -> bool:
        """Take in a message of a `state` topic; False for all others. Strangers and other words are left
        alone.
        """
        try:
            device, name = topics.parse_device(topic)
        except TallystickError:
            return False
        if name != "state":
            return False
        word = payload[:32].decode("ascii", "replace")
        if device in enrolled and word in topics.DEVICE_STATES:
            before = self._said.get(device)
            if before is None or before.word != word:
                self._said[device] = Said(word, None if retained else now)
        return True

    def of(self, device: bytes) -> Said | None:
        """What was heard, None if nothing."""
        return self._said.get(device)
