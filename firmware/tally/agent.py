"""The agent: measures and signs; what is signed it gives to the publisher.

Rules
* `step` does a little of everything and returns soon; it is called for ever.
* A chain that is halted signs nothing: what the sensor says meanwhile is lost, and nothing is made up later.
* Each start signs an `open`, each connection a `beacon`: the gateway's answer to it is fresh. A wake-up from deep sleep
  is no start (tally/rest.py), and its connection gets a beacon only when one is due anyway.
* A record is sealed before it would be longer than the way to the gateway takes.
* The watchdog is fed by progress alone: a reading taken, a record signed, a packet of the broker, or nothing due.
"""

import gc

from tally import hal, once, record, unload
from tally.chain import Halted, Unsigned
from tally.config import MAX_VALUES
from tally.place import TRIAL
from tally.publisher import Publisher
from tally.sensor import Batch, measure, tick_ms


class Agent:
    """state: waiting (to be started) | ready | halted | idle (the flash takes nothing) | no key (the SIM
    card does not sign now) | no sensor.

    storage: what the flash said last, None while it takes what it gets. identify_ms: time since boot up to which the
    light says "here I am". opened: seq of the `open` in force, None: another one is due."""

    def __init__(self, board):
        self.board = board
        self.chain = board.chain
        self.link = None
        self.state = "waiting"
        self.storage = None
        self.sensor_fault = None
        self.identify_ms = 0
        self.publisher = Publisher(board, self._timed, self._trouble)
        self.rest = None  # of a board that sleeps
        self.fetch = None  # an update that comes (tally/fetch.py)
        self.trial = None  # of an update: see tally/place.py
        self.watchdog = None
        self._reset_ms = None  # time since boot at which a flash that failed is tried anew
        self._faults = once("rtc", "flash_faults")  # before this start
        self.opened = None
        self.batch = None
        self.due_ms = 0  # time since boot
        self.since_beacon = 0
        self.config = None
        self.woken = False
        self._progress = True
        self._heard = 0

    def start(self):
        """Begin to measure and to publish. False if the sensor that is set cannot be had."""
        return once("driver", "start", self)

    def step(self, stay_awake=False):
        """One round. Raises nothing that the outside world can cause. stay_awake: somebody is at the console."""
        if self._reset_ms is not None:
            self._wait_for_reset()
            return
        if self.rest is None or stay_awake or self.rest.wants_network():
            self.link.poll()
            self.publisher.heed()
        if self.publisher.commands and (self.opened is not None or self.chain.halted):
            once("remote", "obey", self, self.publisher)
            unload("message", "decode", "ed25519_verify")
        try:
            self._round()
        except Unsigned:
            self.state = "no key"
        except Halted:
            self.state = "halted"
        except OSError as error:
            self._trouble(error)
            if not self.chain.halted:
                self.state = "idle"
        self._feed()
        updating = self.trial == TRIAL or (self.fetch is not None and self.fetch.is_fed())
        if self.rest is not None and not stay_awake and not updating:
            self.rest.sleep_if_idle(self)

    def _round(self):
        if self.chain.halted:
            self.state = "halted"
            self.opened = None
            if self.chain.settle():
                self.publisher.cursor = self.chain.upto + 1  # it goes on somewhere else
                self.board.log("the chain goes on at seq %d" % self.chain.head.next)
        else:
            self._work()
            self.state = "no key" if self.chain.key.trouble else "ready"
            self.storage = None
        self._clock_round()
        self.publisher.publish()
        if self.opened is not None:
            self._update_round()

    def _update_round(self):
        if self.trial is not None:
            if self.trial != TRIAL or self.chain.upto >= self.opened:
                once("trial", "judge", self)
        elif self.publisher.manifest is not None:
            once("update", "consider", self)
        if self.fetch is not None and self.fetch.step():
            self.fetch = None

    def _trouble(self, error):
        """The storage does not take something, or does not give it back."""
        text = "error %s" % (error.args[0] if error.args else "?")
        if self.storage != text:
            self.board.log("the flash took no record, %s" % text)
        self.storage = text
        if isinstance(error, hal.FlashFault):
            if self._reset_ms is None:
                self._reset_ms = hal.uptime_ms() + hal.count_fault()
                self.state = "idle"
            return
        try:
            self.chain.drop_acknowledged()
        except OSError:
            return  # what takes nothing may give nothing back either: said above

    def _wait_for_reset(self):
        """A flash that failed is not touched again before the reset, which comes later each time that it did not help.
        What was measured meanwhile is lost, as it is while the power is off."""
        if self.watchdog is not None:
            self.watchdog.feed()
        if hal.uptime_ms() >= self._reset_ms:
            self.board.log("reset, because the flash failed")
            hal.sleep_ms(50)
            hal.reset()

    def _feed(self):
        """Tell the watchdog of progress. A reading that is due and does not come is none."""
        heard, self._heard = self._heard, self.link.heard
        waiting = self.chain.halted or hal.uptime_ms() < self.due_ms
        if self.watchdog is not None and (self._progress or waiting or heard != self._heard):
            self.watchdog.feed()
        self._progress = False

    # --- clock

    def _clock_round(self):
        if self.link.online:
            self.clock_event(self.board.clock.ask())

    def _timed(self, told, age_s):
        self.clock_event(self.board.clock.told(told, age_s))

    def clock_event(self, change):
        """Sign what happened to the clock; before the `open` of a start there is nothing to sign it for."""
        if change is None or self.opened is None:
            return
        try:
            self.event(record.CLOCK, *change, self.board.clock.source)
        except Unsigned:
            self.board.clock.pending = change
        except Halted:
            self.board.log("the clock was set, and the event could not be signed")

    # --- signing

    def sign(self, build, *arguments, time=None):
        now = self.board.clock.time()
        seq = self.chain.sign(build, now if time is None else time, *arguments)
        self._progress = True
        self.since_beacon += 1
        self.publisher.signed(seq)
        if self._faults:
            self._faults = 0
            once("rtc", "count_fault", True)
        self.chain.make_room(now)
        return seq

    def event(self, code, *arguments):
        return self.sign(record.event, code, arguments)

    def _work(self):
        chain = self.chain
        chain.name_adopted(self.board.clock.time())
        if self.opened is None or self.config != self.board.config.changed:
            self.board.config.digest()  # known when it is asked for: there is no room for both
            once("opening", "begin", self)
        chain.name_gone(self.board.clock.time())
        greeting = self.publisher.greeting_due() and not self.woken
        if greeting or self.since_beacon >= self.board.config["beacon_every"]:
            self.beacon()
        self._measure()

    def set_interval(self):
        self._interval = self.board.config["interval_ms"]
        self.tick = tick_ms(self._interval)
        self.batch = Batch(len(self.sensor.channels), self.tick)

    def beacon(self):
        told = self.publisher
        self.sign(record.beacon, told.milestone, told.checkpoint, told.nonce, self.chain.queue())
        self.since_beacon = 0

    def _measure(self):
        now = hal.uptime_ms()
        late = now - self.due_ms
        if late < 0:
            return
        # After a long stop the schedule starts anew instead of catching up.
        self.due_ms = (self.due_ms if late < self._interval else now) + self._interval
        values, statuses = measure(self.sensor)
        utc = getattr(self.sensor, "utc", None)
        if utc is not None:
            self.clock_event(self.board.clock.received(utc))
        self._progress = True
        batch = self.batch
        full = (len(batch) + 1) * len(values) > MAX_VALUES
        if full or batch.size + batch.growth(values) > self.link.max_message:
            self.seal()
        batch.add(values, self.board.clock.time())
        for channel, status in self.watch.changes(statuses):
            self.event(record.SENSOR, channel, status)
        count = len(batch)
        if count >= self.board.config["batch"] or (count + 1) * len(values) > MAX_VALUES:
            self.seal()

    def seal(self):
        """Sign what the batch holds."""
        batch = self.batch
        if batch is None or not len(batch) or self.opened is None:
            return
        keep = False
        try:
            self.sign(
                record.readings, self.opened, batch.interval(), batch.columns, time=batch.start
            )
        except Unsigned:
            keep = True
            raise
        finally:
            if not keep:
                batch.clear()
            gc.collect()
