"""The door to the broker: what is acknowledged, what is dropped, and what is never said."""

from __future__ import annotations

import queue
from types import SimpleNamespace

import pytest

from tallystick import limits
from tallystick_gateway.mqtt import Broker, Inbound, Login, Subscribed

UP = "tallystick/v1/0123456789abcdef/up"


class _Client:
    """Records the PUBACKs, in place of paho's client."""

    def __init__(self) -> None:
        self.acked: list[int] = []

    def ack_all(self, mids: list[int]) -> None:
        self.acked += mids


@pytest.fixture
def door() -> Broker:
    """A door that is not connected, with room for two messages."""
    return Broker(Login("127.0.0.1", 1, "x", "me", "secret"), [UP], ("w", b""), 2)


def _message(door: Broker, mid: int, *, qos: int = 1, payload: bytes = b"") -> None:
    door._on_message(UP.encode(), payload, qos, mid, False)


def test_a_packet_id_of_an_older_connection(door: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packet ids start anew with each session: an old one must not acknowledge a new message."""
    client = _Client()
    monkeypatch.setattr(door, "_client", client)
    _message(door, 1)
    door._on_disconnect(None, None, None, "lost", None)
    _message(door, 1)
    old, new = door.inbox.get_nowait(), door.inbox.get_nowait()
    assert isinstance(old, Inbound)
    assert isinstance(new, Inbound)

    door.acknowledge([old])
    assert [] == client.acked
    door.acknowledge([new])
    assert [1] == client.acked


def test_a_full_inbox_drops_what_nobody_promised(door: Broker) -> None:
    """QoS 0 has no flow control: it is dropped and counted, so that memory stays bounded."""
    for mid in range(4):
        _message(door, mid, qos=0)
    assert (2, 2) == (door.inbox.qsize(), door.dropped)


def test_a_long_message_is_cut(door: Broker) -> None:
    """A message of a megabyte costs no megabyte while it waits."""
    _message(door, 1, payload=bytes(2**20))
    held = door.inbox.get_nowait()
    assert isinstance(held, Inbound)
    assert (limits.RECORD_BYTES, 2**20) == (len(held.payload), held.length)


def test_a_refused_subscription_settles_nothing(door: Broker) -> None:
    """A gateway that cannot see its own past does not believe that there is none."""
    good, bad = SimpleNamespace(is_failure=False), SimpleNamespace(is_failure=True)
    door._on_subscribe(None, None, 1, [good, bad], None)
    with pytest.raises(queue.Empty):
        door.inbox.get_nowait()
    door._on_subscribe(None, None, 2, [good, good], None)
    assert Subscribed() == door.inbox.get_nowait()


def test_a_password_is_in_no_text(door: Broker) -> None:
    """Whatever is logged of a login, its password is not in it."""
    assert "secret" not in repr(door._login) + str(door._login)
