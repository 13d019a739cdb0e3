"""Acknowledgement, command, challenge, grant. The refused forms stand in `refused.json`."""

from __future__ import annotations

import pytest

from tallystick import message
from tallystick.body import MilestoneRef
from tallystick.errors import SignatureError, TallystickError
from tests.world import START, SimKey, key


def test_acknowledgement() -> None:
    """A board would delete what is not durable, or keep what is."""
    said = {
        "device": b"d" * 8,
        "upto": 7,
        "id": b"i" * 32,
        "time": START,
        "size": 9,
        "root": b"r" * 32,
        "milestone": MilestoneRef(b"l" * 8, b"m" * 32),
        "nonce": b"n" * 16,
    }
    missing = [range(3 * i, 3 * i + 2) for i in range(20)]
    raw = message.sign_acknowledgement(key("gateway"), missing=missing, **said)  # type: ignore[arg-type]
    parsed = message.parse_acknowledgement(raw)
    parsed.signed.verify(key("gateway").public)
    assert said == {name: getattr(parsed, name) for name in said}
    assert tuple(missing[:16]) == parsed.missing
    with pytest.raises(SignatureError):
        parsed.signed.verify(key("other").public)


def test_command_and_challenge() -> None:
    """A board would do something else than it was asked."""
    raw = message.sign_command(key("g"), device=bytes(8), counter=4, name="reset", args=[1, b"x"])
    command = message.parse_command(raw)
    assert (4, "reset", (1, b"x")) == (command.counter, command.name, command.args)
    for signer in (key("device"), SimKey("sim")):
        raw = message.sign_challenge(signer, device=bytes(8), nonce=bytes(16), next_seq=None)
        answer = message.parse_challenge(raw)
        answer.signed.verify(answer.key)
        assert (signer.public, None) == (answer.key, answer.next)


def test_grant() -> None:
    """A dead gateway could not be replaced without visiting its boards."""
    gateway = key("gateway").public
    older, newer = (
        message.parse_grant(message.sign_grant(key("owner"), gateway, n)) for n in (1, 2)
    )
    assert newer.serial > older.serial
    assert (gateway, f"tallystick/{gateway.kid.hex()}") == (newer.key, newer.origin)
    newer.signed.verify(key("owner").public)
    # a gateway that grants itself is not the owner
    own = message.parse_grant(message.sign_grant(key("gateway"), gateway, 9))
    with pytest.raises(SignatureError):
        own.signed.verify(key("owner").public)


@pytest.mark.parametrize(
    "parse",
    [
        message.parse_acknowledgement,
        message.parse_command,
        message.parse_challenge,
        message.parse_grant,
    ],
)
def test_none_passes_as_another(parse: object) -> None:
    """A command could be replayed as an acknowledgement."""
    raws = [
        message.sign_command(key("g"), device=bytes(8), counter=4, name="x"),
        message.sign_grant(key("owner"), key("gateway").public, 1),
        message.sign_challenge(key("d"), device=bytes(8), nonce=bytes(16), next_seq=1),
    ]
    taken = 0
    for raw in raws:
        try:
            parse(raw)  # type: ignore[operator]
            taken += 1
        except TallystickError:
            pass
    assert taken <= 1
