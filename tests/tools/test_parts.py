"""The prepared programs are the real ones, and they behave as tests and demo rely on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
import paho.mqtt.publish
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.parts import LOOPBACK, Broker, BrokerError, MissingPartError
from tools import parts


def evaluate(program: list[str], source: str, **environment: str) -> str:
    """Run MicroPython source and return what it printed."""
    done = subprocess.run(
        [*program, "-c", source],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout.strip()


def publish_retained(broker: Broker, topic: str, payload: str) -> None:
    """Publish with QoS 1, so that the call returns when the broker has it."""
    paho.mqtt.publish.single(
        topic,
        payload,
        qos=1,
        retain=True,
        hostname=LOOPBACK,
        port=broker.port,
        protocol=mqtt.MQTTv311,
    )


def retained(broker: Broker, topic: str) -> bytes:
    """The retained message of a topic."""
    arrived: list[bytes] = []

    def keep(client: mqtt.Client, _: object, message: mqtt.MQTTMessage) -> None:
        arrived.append(bytes(message.payload))
        client.disconnect()

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = keep
    client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
    client.connect(LOOPBACK, broker.port)
    client.loop_forever()
    return arrived[0]


@pytest.mark.parametrize(
    ("fixture", "largest"), [("micropython64", 2**63 - 1), ("micropython32", 2**31 - 1)]
)
def test_word_size(request: pytest.FixtureRequest, fixture: str, largest: int) -> None:
    """The firmware would never be tried on words as small as the board's."""
    program = request.getfixturevalue(fixture)
    assert str(largest) == evaluate(program, "import sys; print(sys.maxsize)")


def test_umqtt_imports(micropython32: list[str], micropython_lib: Path) -> None:
    """The firmware's MQTT client would be missing when the virtual board starts."""
    source = "from umqtt.simple import MQTTClient; print(MQTTClient.__name__)"
    assert "MQTTClient" == evaluate(micropython32, source, MICROPYPATH=str(micropython_lib))


def test_broker_keeps_retained_messages_over_a_kill(broker: Broker) -> None:
    """A test of a power cut would start from an empty broker and find nothing wrong."""
    publish_retained(broker, "a/b", "kept")
    broker.stop()
    broker.start()
    port, pid = broker.port, broker.pid
    broker.kill()
    assert broker.pid is None
    broker.start()
    assert port == broker.port
    assert pid != broker.pid
    assert b"kept" == retained(broker, "a/b")


def test_kill_ends_the_broker_itself(broker: Broker) -> None:
    """A kill that hits a shell instead would leave brokers behind on the developer's machine."""
    pid = broker.pid
    assert pid is not None
    assert "mosquitto" in Path(f"/proc/{pid}/cmdline").read_text()
    broker.kill()
    assert not Path(f"/proc/{pid}").exists()


def test_broker_says_why_it_does_not_start(start_broker: Callable[..., Broker]) -> None:
    """A typing error in an ACL would look like a time-out."""
    with pytest.raises(BrokerError, match="no_such_setting"):
        start_broker("bad", config="no_such_setting 1")


def test_missing_part_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who forgot the set-up would read of a file that is not there, and not what to do."""
    monkeypatch.setattr(parts, "PARTS", tmp_path)
    with pytest.raises(MissingPartError, match=r"bin/micropython.*\nhint: run make setup"):
        parts.micropython64()
