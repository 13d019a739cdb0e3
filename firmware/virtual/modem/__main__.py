"""Start a modem: see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from firmware.virtual.modem.port import Port
from firmware.virtual.modem.sim7000 import Sim7000
from firmware.virtual.modem.sim7600 import A7670, Sim7600
from firmware.virtual.modem.sim_card import SimCard

MODELS = {"SIM7000": Sim7000, "SIM7600": Sim7600, "A7670": A7670}


def main() -> int:
    """Run until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m firmware.virtual.modem", description="a simulated modem on a serial port"
    )
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--port", type=Path, required=True, help="name that the serial port gets")
    parser.add_argument(
        "--broker", required=True, metavar="HOST:PORT", help="what its network reaches"
    )
    parser.add_argument("--on", action="store_true", help="switched on at the start")
    parser.add_argument(
        "--register", type=float, default=0.5, metavar="SECONDS", help="until a cell has it"
    )
    parser.add_argument("--seed", type=int, default=0, help="of its bad habits")
    parser.add_argument(
        "--card", type=Path, metavar="FILE", help="SIM card with an applet that signs"
    )
    parser.add_argument(
        "--applet", choices=("iot-safe", "iot-safe-der", "signit"), default="iot-safe"
    )
    arguments = parser.parse_args()
    host, _, number = arguments.broker.rpartition(":")
    if not host or not number.isdigit():
        parser.error(f"{arguments.broker!r} is not HOST:PORT")
    port = Port(arguments.port, arguments.seed)
    modem = MODELS[arguments.model](
        port,
        (host, int(number)),
        on=arguments.on,
        card=SimCard(arguments.card, arguments.applet) if arguments.card else None,
        register_s=arguments.register,
    )
    print(f"modem simulator, {modem.model}, on {arguments.port}", flush=True)
    try:
        while True:
            modem.step()
    except KeyboardInterrupt:
        return 130
    finally:
        modem.close()
        port.close()


if __name__ == "__main__":
    sys.exit(main())
