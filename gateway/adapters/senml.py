"""`senml`: every verified readings record as a SenML pack (RFC 8428), JSON or CBOR.

On `tallystick/v1/<id>/verified/senml-json` or `senml-cbor`, not retained. Readings from before the
board's clock was set have no time in SenML and are left out. Options: `format` (`json`, `cbor`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from tallystick import senml, topics
from tallystick.senml import Measurement
from tallystick_gateway.adapters import Adapter, Device, Publication, Reading

__all__ = ["SenML"]


class SenML(Adapter):
    """Base name: the device's DID, so that a name means the same everywhere."""

    def __post_init__(self) -> None:
        self.check_options("format")
        self._format = self.option("format", "json", among=("json", "cbor"))

    def readings(self, device: Device, readings: Sequence[Reading]) -> Iterable[Publication]:
        """One pack a record."""
        topic = topics.Device(bytes.fromhex(device.id)).verified(f"senml-{self._format}")
        timed = (one for one in readings if one.time is not None)
        for _, group in groupby(timed, lambda one: one.seq):
            values = [
                Measurement(
                    senml.name(one.channel), one.unit or None, one.value, senml.seconds(one.time)
                )
                for one in group
            ]
            pack = senml.pack(values, base=f"{device.did}:")
            encode = senml.to_json if self._format == "json" else senml.to_cbor
            yield Publication(topic, encode(pack), retain=False)
