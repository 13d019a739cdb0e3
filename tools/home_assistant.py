"""Hold a discovery payload against Home Assistant's own schemas.

Home Assistant needs a newer Python and 300 MB, so this is no part of the suite: the suite holds the
payload against a JSON Schema that was written from these (tests/gateway/home-assistant.schema.json).
With `homeassistant` and `paho-mqtt` installed for some Python:

    python tools/home_assistant.py < payload.json
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile


async def main() -> int:
    """0 if the payload on stdin satisfies device, origin, availability and each component."""
    from homeassistant.components.mqtt import (  # type: ignore[import-not-found,unused-ignore]
        binary_sensor,
        sensor,
    )
    from homeassistant.components.mqtt.schemas import (  # type: ignore[import-not-found,unused-ignore]
        DEVICE_DISCOVERY_SCHEMA,
    )
    from homeassistant.const import __version__  # type: ignore[import-not-found,unused-ignore]
    from homeassistant.core import HomeAssistant  # type: ignore[import-not-found,unused-ignore]
    from homeassistant.helpers import frame  # type: ignore[import-not-found,unused-ignore]

    # templates are compiled against an instance; none is started
    frame.async_setup(HomeAssistant(tempfile.mkdtemp()))

    text = sys.stdin.read()
    DEVICE_DISCOVERY_SCHEMA(json.loads(text))  # compiles templates in place
    payload = json.loads(text)
    shared = {key: payload[key] for key in ("device", "origin", "availability") if key in payload}
    schemas = {"sensor": sensor.DISCOVERY_SCHEMA, "binary_sensor": binary_sensor.DISCOVERY_SCHEMA}
    for name, component in payload["components"].items():
        said = dict(component)
        schemas[said.pop("platform")](said | shared)
        print(f"{name}: satisfies Home Assistant {__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
