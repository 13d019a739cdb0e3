"""MQTT topics: ids in, topics out, and back."""

from __future__ import annotations

import pytest

from tallystick import topics
from tallystick.errors import FormatError

ID, BLOCK = bytes.fromhex("00112233445566ff"), bytes(31) + b"\xaa"


def test_the_topics_of_the_specification() -> None:
    """Two programs would wait for each other in different places."""
    device, gateway, ledger = topics.Device(ID), topics.Gateway(ID), topics.Ledger(ID)
    root = "tallystick/v1/"
    assert [root + "00112233445566ff/" + end for end in ("up", "ack", "cmd", "state", "rejected")] == [
        device.up, device.ack, device.cmd, device.state, device.rejected,
    ]  # fmt: skip
    assert [device.base + "/update" + end for end in ("", "/want", "/part", "/state")] == [
        device.update, device.want, device.part, device.update_state,
    ]  # fmt: skip
    assert [gateway.base + "/update" + end for end in ("", "/offer", "/answer")] == [
        gateway.update, gateway.offer, gateway.update_answer,
    ]  # fmt: skip
    assert [root + "+/update" + end for end in ("", "/want", "/state")] == [
        topics.offers(), topics.wants(), topics.update_states(),
    ]  # fmt: skip
    assert device.base + "/verified/t" == device.verified("t")
    assert [root + "gateway/00112233445566ff/" + end for end in ("state", "checkpoint", "grant")] == [
        gateway.state, gateway.checkpoint, gateway.grant,
    ]  # fmt: skip
    ends = ("submit", "tips", "milestone", "checkpoint", "receipt/+")
    assert [root + "ledger/00112233445566ff/" + end for end in ends] == [
        ledger.submit, ledger.tips, ledger.milestone, ledger.checkpoint, ledger.receipts,
    ]  # fmt: skip
    assert ledger.base + "/block/" + "00" * 31 + "aa" == ledger.block(BLOCK)
    assert ledger.base + "/receipt/" + "00" * 31 + "aa" == ledger.receipt(BLOCK)
    assert ledger.base + "/anchor/00112233445566ff" == ledger.anchor(ID)
    assert root + "+/up" == topics.device_up()


def test_back() -> None:
    """A record would be taken for another device's."""
    assert (ID, "up") == topics.parse_device(topics.Device(ID).up)


@pytest.mark.parametrize("end", ["cmd/accepted", "cmd/rejected", "verified/temperature", "a/b/c"])
def test_back_with_what_follows(end: str) -> None:
    """The answer to a command would be taken for a command, and all channels for one."""
    assert (ID, end) == topics.parse_device(f"{topics.Device(ID).base}/{end}")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "tallystick/v1/gateway/x",
        "tallystick/v1/00112233445566FF/up",
        "tallystick/v1/00112233445566f/up",
        "tallystick/v1/+/up",
        "x/tallystick/v1/00112233445566ff/up",
        "tallystick/v1/00112233445566ff",
        "tallystick/v1/00112233445566ff/up\n",
    ],
)
def test_foreign_topics(topic: str) -> None:
    """A topic of no device would name one."""
    with pytest.raises(FormatError, match=r"^topic\.device"):
        topics.parse_device(topic)


@pytest.mark.parametrize("channel", ["", "a/b", "+", "#", "x" * 33, "a\0b"])
def test_channels_that_cannot_stand_in_a_topic(channel: str) -> None:
    """A board could publish under another device's topic by the name of a channel."""
    with pytest.raises(FormatError, match=r"^topic\.channel"):
        topics.Device(ID).verified(channel)
