"""MQTT inside a modem, with the interface of tally/mqtt.py's Session: what both dialects have alike.

Rules
* tally/link.py drives it like a connection of its own: `sock` is the session itself.
* What arrives waits in `inbox` and is handed on by `poll`, one at a time, never in the middle of a command.
* A modem that has not answered is asked whether it still does before anything else; if not, the connection is gone. So
  it is where the modem says that it has just started.
* All waits of one attempt end before the shortest watchdog (60 s) bites, with those of modem/cell.py before it.
"""

import errno

from micropython import const
from tally.stream import Trouble

from modem.at import AtError, Silent
from modem.cell import the

_MAX_INBOX = const(4)
_ATTEMPT_MS = const(38000)
_STARTED = ("RDY", "*ATREADY:")  # of a modem that lost its power for a moment


class Inside:
    """One connection. hear(topic, data) is called with each message. window: records without PUBACK at a time."""

    window = 1

    def __init__(self, cell, hear):
        self.sock = self
        self.at = cell.at
        self.at.unsolicited.clear()
        self.at.quoted = None
        for start in _STARTED:
            self.at.unsolicited[start] = self._ended
        self._cell = cell
        self._hear = hear
        self.inbox = []
        self.acked = None
        self.gone = False
        self._alive = False
        self.pid = 0

    def say(self, method, *arguments):
        """A call of this object, as link.py makes it."""
        method(*arguments)

    def write(self, packet):
        """link.py writes a DISCONNECT, and nothing else."""
        self.leave()

    def drain(self):
        """The modem says our last word by itself."""

    def close(self):
        self.at.unsolicited.clear()
        self.at.quoted = None
        self._cell.lost()

    def _ended(self, rest):
        self.gone = True

    def came(self, topic, data):
        """A message. The newest ones stay: an acknowledgement says all that those before it said."""
        self.inbox.append((topic, data))
        if len(self.inbox) > _MAX_INBOX:
            self.inbox.pop(0)

    def ready(self):
        """Whether something has come. Raises Silent."""
        if self.at.doubt:
            self.at.begin(1)
        self.at.poll()
        return bool(self.gone or self.inbox or self._alive or self.acked is not None)

    def poll(self):
        """Hand a message on; the number of the message that the broker has now, else None. OSError where the connection
        is gone."""
        self._alive = False
        if self.gone:
            raise OSError(errno.ECONNRESET)
        if self.inbox:
            self._hear(*self.inbox.pop(0))
            return None
        acked = self.acked
        self.acked = None
        return acked

    def ping(self):
        """The modem keeps the connection alive; whether it still does is asked. Raises AtError, Silent."""
        self.ask()
        self._alive = True


def plain(text):
    """A text that may stand between quotation marks in a command. Raises Trouble for one that would end them."""
    if '"' in text or "\r" in text or "\n" in text:
        raise Trouble("login", "no quotation mark in a login or an address, with this modem")
    return text


def attempt(config, clock, device, hear):
    """tally/connect.py's, for a modem that has a network. Raises Trouble, AtError, Silent."""
    from tally import hal
    from tally.connect import LEAVES
    from tally.link import PREFIX
    from tally.record import CLOCK_MODEM

    cell = the(config)
    if hal.unix_time() is None:
        told = cell.time()
        if told is not None:
            clock.pending = clock.set(told, CLOCK_MODEM)
    if cell.model.startswith("SIM7000"):
        from modem.smqtt import Session
    else:
        from modem.cmqtt import Session
    cell.at.within(_ATTEMPT_MS)
    session = Session(cell, hear)
    topic = PREFIX + device
    try:
        session.open(config, device, topic)
        for leaf in LEAVES:
            session.follow(topic + leaf)
        session.follow(PREFIX + "gateway/+/grant")
        session.publish(topic + "/state", b"ready", True)
    except (AtError, Silent) as error:
        session.close()
        raise OSError("the modem says %s" % error.args[0]) from None
    except Exception as error:
        if isinstance(error, Trouble) and error.args[0] in ("login", "certificate"):
            cell.connected()  # there was a way to the broker: the ladder would not help
        session.close()
        raise
    finally:
        cell.at.within(None)
    cell.connected()
    return session
