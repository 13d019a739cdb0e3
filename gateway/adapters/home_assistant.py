"""`home-assistant`: MQTT discovery, one retained message a device (Home Assistant 2024.12 or newer).

A sensor for each channel, fed by the `verified/` topics; a problem entity *Integrity*; diagnostics
for the chain's height, what is not anchored and the last anchor. The last ones are fed by
`<id>/verified`, one JSON object that this adapter publishes. A forked device keeps its entities,
*Integrity* says problem, and its sensors get no new value.

Options: `prefix` (`homeassistant`), `expire-after` (seconds after which a value counts as
unavailable; default: never).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tallystick import topics
from tallystick.errors import FormatError
from tallystick_gateway.adapters import Adapter, AdapterError, Device, Publication

__all__ = ["HomeAssistant"]

# SenML unit (RFC 8428, 12.1): Home Assistant's unit and, where one unit has one meaning, its class
UNITS: Final[Mapping[str, tuple[str, str | None]]] = {
    "Cel": ("°C", "temperature"),
    "K": ("K", "temperature"),
    "%RH": ("%", "humidity"),
    "Pa": ("Pa", "pressure"),
    "hPa": ("hPa", "pressure"),
    "V": ("V", "voltage"),
    "A": ("A", "current"),
    "W": ("W", "power"),
    "J": ("J", "energy"),
    "Wh": ("Wh", "energy"),
    "kWh": ("kWh", "energy"),
    "lx": ("lx", "illuminance"),
    "dB": ("dB", "sound_pressure"),
    "dBm": ("dBm", "signal_strength"),
    "Hz": ("Hz", "frequency"),
    "kg": ("kg", "weight"),
    "g": ("g", "weight"),
    "m": ("m", "distance"),
    "m/s": ("m/s", "speed"),
    "m3": ("m³", None),
    "l": ("L", None),
    "%EL": ("%", "battery"),
    "%": ("%", None),
    "ppm": ("ppm", None),
    "s": ("s", "duration"),
    "VA": ("VA", "apparent_power"),
    "var": ("var", "reactive_power"),
    "pH": ("", "ph"),
}
_TOTALS: Final = frozenset({"energy"})  # classes that only a total may have


class HomeAssistant(Adapter):
    """The adapter."""

    def __post_init__(self) -> None:
        self.check_options("prefix", "expire-after")
        self._prefix = self.option("prefix", "homeassistant")
        self._expire = self.options.get("expire-after")
        if self._expire is not None and (
            isinstance(self._expire, bool) or not isinstance(self._expire, int) or self._expire < 1
        ):
            raise AdapterError(f"option 'expire-after' is whole seconds, not {self._expire!r}")

    def device(self, device: Device) -> Iterable[Publication]:
        """Who the device is, and how it stands."""
        yield Publication(self._config(device.id), _json(self.discovery(device)))
        yield Publication(
            topics.Device(bytes.fromhex(device.id)).standing, _json(_standing(device))
        )

    def removed(self, device: str) -> Iterable[Publication]:
        """An empty payload deletes the device with all its entities."""
        yield Publication(self._config(device), b"")
        yield Publication(topics.Device(bytes.fromhex(device)).standing, b"")

    def discovery(self, device: Device) -> dict[str, Any]:
        """The discovery payload."""
        own = topics.Device(bytes.fromhex(device.id))
        about: dict[str, Any] = {
            "identifiers": [f"tallystick_{device.id}", device.did],
            "name": device.name or device.id,
            "manufacturer": "Tallystick",
            "model": "signing board",
            "serial_number": device.id,
            "via_device": f"tallystick_gateway_{self.gateway.id}",
        }
        if device.agent:
            about["sw_version"] = device.agent
        if self.gateway.url:
            about["configuration_url"] = f"{self.gateway.url}/devices/{device.id}"
        parts = {}
        for channel in device.channels:
            try:
                topic = own.verified(channel.name)
            except FormatError:  # a name with `/` or `#` in it has no topic
                continue
            parts[f"channel_{_slug(channel.name)}"] = self._sensor(
                device, channel.name, channel.unit, topic
            )
        parts |= self._diagnostics(device, own.standing)
        return {
            "device": about,
            "origin": {
                "name": "Tallystick gateway",
                "sw_version": self.gateway.version,
            },
            "components": parts,
            "availability": [
                {
                    "topic": topics.Gateway(bytes.fromhex(self.gateway.id)).state,
                    "value_template": "{{ 'online' if value_json.state in ['running', 'starting',"
                    " 'frozen'] else 'offline' }}",
                }
            ],
            "qos": 1,
        }

    def _config(self, device: str) -> str:
        return f"{self._prefix}/device/{device}/config"

    def _sensor(self, device: Device, name: str, unit: str, topic: str) -> dict[str, Any]:
        shown, kind = UNITS.get(unit, (unit, None))
        sensor: dict[str, Any] = {
            "platform": "sensor",
            "unique_id": f"tallystick_{device.id}_{_slug(name)}",
            "name": name,
            "state_topic": topic,
            "value_template": "{{ value_json.value }}",
            "json_attributes_topic": topic,
            "state_class": "total" if kind in _TOTALS else "measurement",
        }
        if shown:
            sensor["unit_of_measurement"] = shown
        if kind:
            sensor["device_class"] = kind
        if self._expire:
            sensor["expire_after"] = self._expire
        return sensor

    def _diagnostics(self, device: Device, topic: str) -> dict[str, Any]:
        def entity(key: str, name: str, template: str, **more: Any) -> dict[str, Any]:
            return {
                "platform": "sensor",
                "unique_id": f"tallystick_{device.id}_{key}",
                "name": name,
                "state_topic": topic,
                "value_template": template,
                "entity_category": "diagnostic",
                **more,
            }

        integrity = entity("integrity", "Integrity", "{{ value_json.problem }}")
        return {
            "integrity": integrity
            | {
                "platform": "binary_sensor",
                "device_class": "problem",
                "payload_on": "ON",
                "payload_off": "OFF",
                "json_attributes_topic": topic,
            },
            "chain_height": entity(
                "chain_height", "Chain height", "{{ value_json.head }}", state_class="measurement"
            ),
            "unanchored": entity(
                "unanchored",
                "Unanchored records",
                "{{ value_json.pending }}",
                state_class="measurement",
            ),
            "last_anchor": entity(
                "last_anchor",
                "Last anchor",
                "{{ value_json.last_anchor | timestamp_local if value_json.last_anchor else None }}",
                device_class="timestamp",
            ),
        }


def _standing(device: Device) -> dict[str, Any]:
    return {
        "device": device.id,
        "did": device.did,
        "name": device.name,
        "integrity": device.integrity,
        "problem": "OFF" if device.integrity == "ok" else "ON",
        "head": device.head,
        "missing": device.missing,
        "anchored": device.anchored,
        "pending": device.pending,
        "last_seen": device.last_seen,
        "last_anchor": device.last_anchor,
    }


def _slug(name: str) -> str:
    """A channel's name as Home Assistant takes it in an id; other letters by their number."""
    return "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
