"""The board's clock: who set it, when it is set again, and what is asked for the time.

Rules
* Order in the chain is seq and prev: a clock that jumps, in either direction, changes no order and loses nothing.
* Every source is believed between CLOCK_SET_FROM and CLOCK_SET_UNTIL only.
* A set clock is set again when it is off by more than _STEP_S, and then an event says so. While a time server
  answers, acknowledgements do not set the clock: two sources that disagree would have it jump to and fro.
* An acknowledgement may be old: it sets a clock forward, and back only if it was made for a record of this session.
* The newest time that an acknowledgement named is kept: after a power cut it is the guess by which the dates of a
  certificate are judged. Records do not say it: their clock is not set.
"""

from micropython import const

from tally import hal, record

_STEP_S = const(2)
_NTP_AGAIN_MS = const(6 * 3600 * 1000)
_NTP_FIRST_PAUSE_MS = const(5000)
_NTP_LAST_PAUSE_MS = const(3600 * 1000)
_NEWEST = "time"  # Unix seconds, 8 bytes
_NEWEST_STEP_S = const(86400)


class Clock:
    """source: one of record.CLOCK_...: who set it last."""

    def __init__(self, store, config, log):
        self._store = store
        self._config = config
        self._log = log
        self._query = None
        self._next_ms = hal.ticks_ms()
        self._pause = _NTP_FIRST_PAUSE_MS
        self._ntp_ms = None  # when a time server last answered
        newest = hal.blob(store, _NEWEST, 8)
        self._newest = int.from_bytes(newest, "big") if newest else 0
        known = hal.kept().get("clock")
        if known == record.CLOCK_UNSET:
            hal.distrust_time()
        self.source = record.CLOCK_UNSET
        if hal.unix_time() is not None:
            self.source = known or record.CLOCK_HAND

    def time(self):
        """Unix seconds, or seconds since boot while the clock is not set."""
        now = hal.unix_time()
        return hal.uptime_s() if now is None else now

    def guess(self):
        """Make sure that the dates of a certificate can be judged. False if nothing is known of the time."""
        if hal.unix_time() is not None or self._guessing():
            return True
        if not self._newest or not hal.set_time(self._newest, True):
            return False
        self._keep(record.CLOCK_UNSET)
        return True

    def _guessing(self):
        return hal.rtc_ms() // 1000 >= hal.CLOCK_SET_FROM

    def _keep(self, source):
        self.source = source
        facts = hal.kept()
        facts["clock"] = source
        try:
            hal.keep(facts)
        except ValueError:
            self._log("RTC memory is full: a reset will forget who set the clock")

    def set(self, unix_s, source):
        """Take a time. (before, after) if the clock was changed, None if it is right or the time is not believable."""
        now = hal.unix_time()
        if now is not None and abs(unix_s - now) <= _STEP_S:
            if self.source == record.CLOCK_HAND and source != record.CLOCK_HAND:
                self._keep(source)  # it was right, and now that is known
                return now, now
            return None
        before = self.time()
        if not hal.set_time(unix_s):
            return None
        self._keep(source)
        return before, unix_s

    def told(self, unix_s, age_s=None):
        """The time of an acknowledgement, as `set`. age_s: how old it is at most, None if nobody knows."""
        if unix_s >= self._newest + _NEWEST_STEP_S and unix_s < hal.CLOCK_SET_UNTIL:
            self._newest = unix_s
            self._store.set_blob(_NEWEST, unix_s.to_bytes(8, "big"))
            self._store.commit()
        if self._ntp_ms is not None:
            return None
        now = hal.unix_time()
        source = record.CLOCK_ACKNOWLEDGEMENT
        if now is None or unix_s > now + _STEP_S:
            return self.set(unix_s, source)
        if age_s is not None:
            # the truth lies between its time and its time plus its age
            return self.set(max(unix_s, min(now, unix_s + age_s)), source)
        return None

    def ask(self):
        """Ask the time server if it is time to; call it while the network is up. As `set`."""
        host = self._config["ntp_host"]
        if host is None or hal.ticks_diff(hal.ticks_ms(), self._next_ms) < 0:
            return None
        from tally.ntp import NtpError, Query

        try:
            if self._query is None:
                self._query = Query(host, self._config["ntp_port"])
            answer = self._query.poll()
        except NtpError as error:
            self._log("no time: %s" % error)
            self._ask_later(self._pause)
            self._pause = min(2 * self._pause, _NTP_LAST_PAUSE_MS)
            if hal.ticks_diff(hal.ticks_ms(), self._ntp_ms or 0) > 2 * _NTP_AGAIN_MS:
                self._ntp_ms = None
            return None
        if answer is None:
            return None
        self._ask_later(_NTP_AGAIN_MS)
        self._pause = _NTP_FIRST_PAUSE_MS
        self._ntp_ms = hal.ticks_ms()
        return self.set(answer, record.CLOCK_NTP)

    def _ask_later(self, pause):
        if self._query is not None:
            self._query.close()
            self._query = None
        self._next_ms = hal.ticks_add(hal.ticks_ms(), pause)
