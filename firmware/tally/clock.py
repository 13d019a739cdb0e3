"""The board's clock: who set it, when it is set again, and what is asked for the time.

Rules
* Order in the chain is seq and prev: a clock that jumps, in either direction, changes no order and loses nothing.
* Every source is believed between CLOCK_SET_FROM and CLOCK_SET_UNTIL only.
* A set clock is set again when it is off by more than _STEP_S, and then an event says so. While a time server or a
  receiver of satellites answers, acknowledgements do not set the clock: sources that disagree would have it jump to and
  fro.
* An acknowledgement may be old: it sets a clock forward, and back only if it was made for a record of this session.
* The newest time that an acknowledgement named is kept: after a power cut it is the guess by which the dates of a
  certificate are judged. Records do not say it: their clock is not set.
"""

from micropython import const

from tally import hal, once, record

_STEP_S = const(2)
_NEWEST = "time"  # Unix seconds, 8 bytes
_NEWEST_STEP_S = const(86400)
_SERVED_MS = const(
    43200000
)  # a time server or receiver that says nothing for longer counts no more


class Clock:
    """source: one of record.CLOCK_...: who set it last."""

    def __init__(self, store, config, log):
        self._store = store
        self._config = config
        self.log = log
        self.query = None
        self.next_ms = hal.ticks_ms()
        self.pause = None
        self.served_ms = None  # time since boot when a time server or a receiver last answered
        self.pending = None  # a change that is to be signed yet
        newest = hal.blob(store, _NEWEST, 8)
        self.newest = int.from_bytes(newest, "big") if newest else 0
        known = once("rtc", "kept").get("clock")
        if known == record.CLOCK_UNSET:
            hal.guess[0] = True
        self.source = record.CLOCK_UNSET
        if hal.unix_time() is not None:
            self.source = known or record.CLOCK_HAND

    def time(self):
        """Unix seconds, or seconds since boot while the clock is not set."""
        now = hal.unix_time()
        return hal.uptime_s() if now is None else now

    def set(self, unix_s, source):
        """Take a time. (before, after) if the clock was changed, None if it is right or the time is not believable."""
        return once("rtc", "adjust", self, unix_s, source)

    def told(self, unix_s, age_s=None):
        """The time of an acknowledgement, as `set`. age_s: how old it is at most, None if nobody knows."""
        if unix_s >= self.newest + _NEWEST_STEP_S and unix_s < hal.CLOCK_SET_UNTIL:
            self.newest = unix_s
            self._store.set_blob(_NEWEST, unix_s.to_bytes(8, "big"))
            self._store.commit()
        if self.served_ms is not None and hal.uptime_ms() - self.served_ms < _SERVED_MS:
            return None
        now = hal.unix_time()
        source = record.CLOCK_ACKNOWLEDGEMENT
        if now is None or unix_s > now + _STEP_S:
            return self.set(unix_s, source)
        if age_s is not None:
            # the truth lies between its time and its time plus its age
            return self.set(max(unix_s, min(now, unix_s + age_s)), source)
        return None

    def received(self, unix_s):
        """The time of a receiver of satellites, as `set`; with every reading, so that little is done for it."""
        self.served_ms = hal.uptime_ms()
        now = hal.unix_time()
        weak = self.source in (record.CLOCK_HAND, record.CLOCK_ACKNOWLEDGEMENT)
        if weak or now is None or abs(unix_s - now) > _STEP_S:
            return self.set(unix_s, record.CLOCK_GNSS)
        return None

    def ask(self):
        """Ask the time server if it is time to; call it while the network is up. As `set`."""
        change, self.pending = self.pending, None
        if change is not None:
            return change
        if self._config["ntp_host"] is None or hal.ticks_diff(hal.ticks_ms(), self.next_ms) < 0:
            return None
        from tally import ntp

        return ntp.ask(self, self._config["ntp_host"], self._config["ntp_port"])
