"""The modem as a network interface: PPP over its serial port, and MQTT, TLS, time server as with Wi-Fi.

Rules
* The port carries either commands or PPP. What the modem is asked (who it is) is asked before it dials.
* A line that is gone may not show for many minutes: the connection above has its own keep-alive, and an interface whose
  connections fail is taken down, and dialled anew. `network.PPP` must be disconnected before the port is read again.
* No MicroPython for a computer has `network.PPP`: this module was tried against a double of it, and on no board yet.
"""

import network
from micropython import const
from tally import hal

from modem.at import AtError, Silent
from modem.cell import the
from modem.uplink import MAX_MESSAGE

_DIAL_MS = const(30000)
_DOWN_MS = const(5000)
_GUARD_MS = const(1100)  # silence around +++ (V.250)
_TRIES = const(3)  # attempts above, one after the other, that a line may fail
_LIVED_MS = const(300000)  # longer than attempts are apart
_lines = []  # (interface, when it was dialled, last attempt above, attempts), while it is dialled


class Ppp:
    max_message = MAX_MESSAGE

    def __init__(self, config):
        self._config = config

    def up(self, failures):
        """None if the interface has an address, else why not. Raises OSError where this MicroPython has no PPP."""
        if not hasattr(network, "PPP"):
            raise OSError("this MicroPython has no PPP")
        cell = the(self._config)
        now = hal.uptime_ms()
        if _lines:
            line, since, last, tries = _lines[0]
            if line.isconnected():
                if now - last > _LIVED_MS:
                    cell.connected()  # there was a connection in between
                    tries = 0
                if tries < _TRIES:
                    _lines[0] = line, since, now, tries + 1
                    return None
            elif now - since < _DIAL_MS:
                return "no network: dialling"
            self._down(cell)
        cell.lost()
        why = cell.up()
        if why is not None:
            return why
        from modem import who

        who.note(self._config, cell)
        try:
            cell.at.command("D*99#", _DIAL_MS, ends="CONNECT")
        except (AtError, Silent) as error:
            return "no network: the modem says %s" % error.args[0]
        finally:
            cell.at.doubt = True  # nobody asks while the port carries data
        line = network.PPP(cell.uart)
        line.active(True)
        line.connect()
        now = hal.uptime_ms()
        _lines.append((line, now, now, 0))
        return "no network: dialling"

    def _down(self, cell):
        """Take the interface down, and have the modem listen to commands again."""
        line = _lines.pop()[0]
        line.disconnect()
        began = hal.ticks_ms()
        while line.isconnected() and hal.ticks_diff(hal.ticks_ms(), began) < _DOWN_MS:
            hal.sleep_ms(20)
        line.active(False)
        hal.sleep_ms(_GUARD_MS)
        cell.write(b"+++")
        hal.sleep_ms(_GUARD_MS)
        cell.at.doubt = True
