"""Adapters: what a real gateway re-publishes, to whom, and what it never does.

If this fails, a house shows a value that nobody verified, or an adapter can speak as a board.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tallystick import senml, topics
from tallystick.body import Channel, Readings
from tallystick_gateway.adapters import AdapterError, Device, Gateway, load
from tallystick_gateway.adapters.home_assistant import HomeAssistant
from tests.gateway import running
from tests.gateway.boards import OPEN, Board
from tests.gateway.ledger_double import LedgerDouble
from tests.gateway.running import Field, command, eventually
from tests.parts import ROOT, Broker

SCHEMA = json.loads((ROOT / "tests" / "gateway" / "home-assistant.schema.json").read_text())
CHANNELS = (
    Channel("temperature", "Cel", -2),
    Channel("Strom L1", "A", -3),
    Channel("energy", "kWh", -3),
    Channel("odd/name", "", 0),
)
DEVICE = Device(
    id="21fe31dfa154a261",
    did="did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",
    name="cold-room-3",
    agent="0.1.0",
    channels=CHANNELS,
    integrity="ok",
    head=41,
    missing=0,
    anchored=40,
    pending=1,
    last_seen=1_790_000_000,
    last_anchor=1_790_000_100,
)
OWN = Gateway("00112233445566aa", "0.1.0", "https://gateway.example")


def discovery(device: Device = DEVICE, **options: Any) -> dict[str, Any]:
    """The payload that Home Assistant gets."""
    first, _ = HomeAssistant(OWN, options).device(device)
    payload: dict[str, Any] = json.loads(first.payload)
    return payload


@pytest.mark.parametrize("options", [{}, {"expire-after": 600}, {"prefix": "ha"}])
def test_discovery_satisfies_the_schema(options: dict[str, Any]) -> None:
    """Home Assistant would drop the device with a line in its log that nobody reads."""
    for device in (
        DEVICE,
        replace(DEVICE, name=None, agent=None, channels=(), last_anchor=None, anchored=None),
        *(replace(DEVICE, channels=(Channel("x", unit, 0),)) for unit in ("pH", "%EL", "Wh", "zz")),
    ):
        jsonschema.validate(discovery(device, **options), SCHEMA)


def test_the_schema_refuses() -> None:
    """The test above would pass whatever is published."""
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda p: p.pop("origin"),
        lambda p: p["origin"].pop("name"),
        lambda p: p["components"]["integrity"].pop("platform"),
        lambda p: p["components"]["integrity"].update(unit_of_measurement="x"),
        lambda p: p["components"]["channel_temperature"].update(device_class="warmth"),
        lambda p: p["components"]["channel_energy"].update(state_class="measurement"),
        lambda p: p["components"]["last_anchor"].update(unit_of_measurement="s"),
        lambda p: p["components"]["channel_temperature"].update(state_topic="a/#"),
        lambda p: p["device"].pop("identifiers"),
    ]
    for change in changes:
        payload = discovery()
        change(payload)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(payload, SCHEMA)


def test_what_discovery_says() -> None:
    """The right thing in the wrong place: a sensor that reads another topic, or never says problem."""
    payload = discovery()
    parts = payload["components"]
    assert {
        "channel_temperature",
        "channel_Strom_20_L1",
        "channel_energy",
        "integrity",
        "chain_height",
        "unanchored",
        "last_anchor",
    } == set(parts)  # `odd/name` has no topic
    temperature = parts["channel_temperature"]
    own = topics.Device(bytes.fromhex(DEVICE.id))
    assert own.verified("temperature") == temperature["state_topic"]
    assert ("°C", "temperature") == (
        temperature["unit_of_measurement"],
        temperature["device_class"],
    )
    assert "total" == parts["channel_energy"]["state_class"]
    assert ("binary_sensor", "problem") == (
        parts["integrity"]["platform"],
        parts["integrity"]["device_class"],
    )
    assert {"diagnostic"} == {
        parts[name]["entity_category"]
        for name in ("integrity", "chain_height", "unanchored", "last_anchor")
    }
    assert (
        "https://gateway.example/devices/21fe31dfa154a261" == payload["device"]["configuration_url"]
    )
    assert len({part["unique_id"] for part in parts.values()}) == len(parts)


THIRD_PARTY = """
    from tallystick_gateway.adapters import Adapter, Publication

    class Lines(Adapter):
        def __post_init__(self):
            self.check_options("measurement")
            self.word = self.option("measurement", "verified")

        def readings(self, device, readings):
            for one in readings:
                text = f"{self.word},device={device.id},channel={one.channel} value={one.value}"
                yield Publication(f"influx/{device.id}", text.encode(), retain=False)

    class Stumbling(Adapter):
        def readings(self, device, readings):
            raise RuntimeError("no")

    class Impostor(Adapter):
        def readings(self, device, readings):
            yield Publication(f"tallystick/v1/{device.id}/ack", b"fake")
            yield Publication("tallystick/v1/" + "0" * 16 + "/verified/x", b"fake")
            yield Publication("a/#", b"fake")
"""


@pytest.fixture
def adapted(
    tmp_path: Path, broker: Broker, ledger: LedgerDouble, monkeypatch: pytest.MonkeyPatch
) -> Iterator[running.Gateway]:
    """A gateway with every built-in adapter and three of a third party, switched on in its file."""
    (tmp_path / "third_party.py").write_text(textwrap.dedent(THIRD_PARTY))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    config = tmp_path / "gateway.toml"
    config.write_text(
        "[adapters]\n"
        '"third_party:Stumbling" = true\n'
        '"third_party:Impostor" = true\n'
        "home-assistant = true\n"
        'senml = { format = "cbor" }\n'
        '"third_party:Lines" = { measurement = "m" }\n'
    )
    gateway = running.Gateway(
        *(tmp_path / "gw", broker.port, ledger.line, "--config", str(config)),
        *("--adapter", "senml", "--public-url", "http://gw.local/"),
    )
    yield gateway
    gateway.kill()


def test_a_house(adapted: running.Gateway, broker: Broker, tmp_path: Path) -> None:
    """The whole way: records in, a device in Home Assistant, SenML, a stranger's adapter; and the
    moment when the key is cloned."""
    field = Field(broker.port)
    field.client.subscribe([("homeassistant/#", 1), ("influx/#", 1), ("a/#", 1)])
    board, other = Board(), Board()
    adapted.enrol(board, other)
    adapted.start()
    board.sign(OPEN.replace(channels=CHANNELS))
    board.sign(Readings(0, 2, ((2150, 2151), (17, None), (5, 6), (1, 2))))
    field.send(board, board.records)
    name = topics.Device(board.id)
    config = f"homeassistant/device/{board.id.hex()}/config"

    def standing(**wanted: object) -> dict[str, Any] | None:
        raw = field.newest.get(name.standing)
        said: dict[str, Any] = json.loads(raw) if raw else {}
        return said if said and {key: said[key] for key in wanted} == wanted else None

    eventually(lambda: standing(problem="OFF", head=1, pending=0), "the device stands anchored")
    payload = json.loads(field.newest[config])
    jsonschema.validate(payload, SCHEMA)
    (tmp_path / "discovery.json").write_text(json.dumps(payload))
    assert f"http://gw.local/devices/{board.id.hex()}" == payload["device"]["configuration_url"]
    for part in payload["components"].values():
        assert part["state_topic"] in field.newest  # every entity has something to show
    packed = eventually(lambda: field.newest.get(name.verified("senml-cbor")), "SenML")
    values = senml.resolve(senml.from_cbor(packed))
    assert f"{board.did}:temperature" == values[0].name
    assert [21.5, 0.017, 0.005, 1, 21.51, 0.006, 2] == [float(str(v.value)) for v in values]
    lines = [payload.decode() for topic, payload in field.seen if topic.startswith("influx/")]
    head = f"m,device={board.id.hex()},channel=temperature value=21.50"
    assert head == lines[0]
    assert 7 == len(lines)

    # two records with one seq: from here on nothing of this device is said but that
    twin = board.make(2, board.records[1].id, Readings(0, 0, ((2500,), (1,), (1,), (1,))))
    board.sign(Readings(0, 0, ((2200,), (1,), (1,), (1,))))
    field.send(board, [board.records[2]])
    eventually(lambda: len(_influx(field)) == 11 or None, "the last good reading")
    field.send(board, [twin])
    eventually(lambda: standing(problem="ON", integrity="forked"), "the fork")
    shown = len(_influx(field)), field.newest[name.verified("temperature")]
    board.sign(Readings(0, 0, ((9999,), (1,), (1,), (1,))))
    field.send(board, board.records[-1:])
    # another board's reading goes the same way behind it: it is the sign that all was looked at
    other.open()
    other.read(77)
    field.send(other, other.records)
    eventually(lambda: [line for line in _influx(field) if "value=0.77" in line], "the other board")
    assert shown[0] + 1 == len(_influx(field))
    assert shown[1] == field.newest[name.verified("temperature")]
    assert not any(b"99.99" in payload for _, payload in field.seen)

    # a stranger's code neither stops the others nor speaks as somebody else
    assert not any(payload == b"fake" for _, payload in field.seen)
    log = adapted.errors.read_text()
    assert "an adapter stumbled" in log
    assert "an adapter may not publish that" in log

    # who is enrolled no more leaves Home Assistant
    adapted.enrol(other)
    eventually(lambda: field.newest.get(config) == b"" or None, "the device is deleted")
    field.close()


def _influx(field: Field) -> list[str]:
    return [payload.decode() for topic, payload in field.seen if topic.startswith("influx/")]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        (
            "home-assistent",
            {},
            "there is none of that name (home-assistant, senml, or MODULE:CLASS)",
        ),
        ("home-assistant", {"prefx": "x"}, "there is no option 'prefx'"),
        ("home-assistant", {"expire-after": True}, "is whole seconds"),
        ("home-assistant", {"prefix": 3}, "option 'prefix' is a text"),
        ("senml", {"format": "xml"}, "option 'format' is json or cbor"),
        ("json:JSONDecoder", {}, "is no Adapter"),
        ("nowhere.at_all:X", {}, "ModuleNotFoundError"),
        ("json:Nothing", {}, "AttributeError"),
    ],
)
def test_an_adapter_that_cannot_be_used(name: str, options: dict[str, Any], words: str) -> None:
    """A slip of the pen in the configuration would switch an adapter off in silence."""
    with pytest.raises(AdapterError) as caught:
        load(OWN, {name: options})
    assert words in str(caught.value)


def test_run_refuses_what_it_cannot_load(
    tmp_path: Path, broker: Broker, ledger: LedgerDouble
) -> None:
    """The service would run without what its operator has asked for."""
    command("init", "--dir", tmp_path / "gw")
    done = command(
        *("run", "--dir", tmp_path / "gw", "--broker", f"127.0.0.1:{broker.port}"),
        *("--ledger", ledger.line, "--adapter", "influx"),
        check=False,
    )
    assert 2 == done.returncode
    assert b"error: adapter 'influx': there is none of that name" in done.stderr
    assert b"hint: docs/adapters.md" in done.stderr
