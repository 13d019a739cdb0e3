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

from tally import hal, record
from tally.chain import Halted
from tally.config import MAX_VALUES
from tally.link import Link
from tally.publisher import Publisher
from tally.sensor import Batch, SensorError, Watch, measure, tick_ms
from tally.version import VERSION


class Agent:
    """state: waiting (to be started) | ready | halted | idle (the flash takes nothing) | no sensor.

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
        self._publisher = Publisher(board, self._timed, self._trouble)
        self._rest = None  # of a board that sleeps
        self._watchdog = None
        self.opened = None
        self._batch = None
        self._due_ms = 0  # time since boot
        self._since_beacon = 0
        self._config = None
        self._woken = False
        self._progress = True
        self._heard = 0

    def start(self):
        """Begin to measure and to publish. False if the sensor that is set cannot be had."""
        board = self.board
        config = board.config
        try:
            from tally.driver import load

            self._sensor = load(config["sensor"], config["sensor_args"])
        except SensorError as error:
            if self.sensor_fault != str(error):
                board.log(str(error))
            self.state, self.sensor_fault = "no sensor", str(error)
            return False
        self.sensor_fault = None
        self._watch = Watch(len(self._sensor.channels))
        self.link = Link(config, board.clock, board.device.hex(), self._publisher.hear, board.log)
        self._publisher.link = self.link
        self._due_ms = hal.uptime_ms()
        if config["sleep"]:
            from tally.rest import Rest

            self._rest = Rest(config, self.chain)
            self._resume(self._rest.resume())
        if config["watchdog_s"] and self._watchdog is None:
            self._watchdog = hal.watchdog(config["watchdog_s"])
        self.state = "ready"
        board.log("awake again" if self._woken else "running")
        return True

    def step(self, stay_awake=False):
        """One round. Raises nothing that the outside world can cause. stay_awake: somebody is at the console."""
        if self._rest is None or stay_awake or self._rest.wants_network():
            self.link.poll()
        if self._publisher.commands and (self.opened is not None or self.chain.halted):
            from tally import remote

            remote.obey(self, self._publisher)
        try:
            self._round()
        except Halted:
            self.state = "halted"
        except OSError as error:
            self._trouble(error)
            if not self.chain.halted:
                self.state = "idle"
        self._feed()
        if self._rest is not None and not stay_awake:
            self._sleep()

    def _round(self):
        if self.chain.halted:
            self.state = "halted"
            self.opened = None
            if self.chain.settle():
                self._publisher.cursor = self.chain.upto + 1  # it goes on somewhere else
                self.board.log("the chain goes on at seq %d" % self.chain.head.next)
        else:
            self._work()
            self.state = "ready"
            self.storage = None
        self._clock_round()
        self._publisher.publish()

    def _trouble(self, error):
        """The storage does not take something, or does not give it back."""
        text = "error %s" % (error.args[0] if error.args else "?")
        if self.storage != text:
            self.board.log("the flash took no record, %s" % text)
        self.storage = text
        try:
            self.chain.drop_acknowledged()
        except OSError:
            return  # what takes nothing may give nothing back either: said above

    def light(self):
        """What the LED shows: a state of `led.PATTERNS`."""
        if hal.uptime_ms() < self.identify_ms:
            return "identify"
        if self.state in ("waiting", "no sensor", "halted"):
            return self.state
        if self.storage or self.state == "idle":
            return "storage"
        if self.link.trouble:
            return self.link.trouble
        if self.board.trust.gateway is None:
            return "no grant"
        if self._publisher.refused:
            return "refused"
        if self._watch.trouble():
            return "sensor"  # the records say it, too: what keeps them from being heard comes first
        if hal.unix_time() is None:
            return "no clock"
        return "queueing" if self.chain.queue() > 1 else "ready"

    def _feed(self):
        """Tell the watchdog of progress. A reading that is due and does not come is none."""
        heard, self._heard = self._heard, self.link.heard
        waiting = self.chain.halted or hal.uptime_ms() < self._due_ms
        if self._watchdog is not None and (self._progress or waiting or heard != self._heard):
            self._watchdog.feed()
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
        except Halted:
            self.board.log("the clock was set, and the event could not be signed")

    # --- signing

    def _sign(self, build, *arguments, time=None):
        now = self.board.clock.time()
        seq = self.chain.sign(build, now if time is None else time, *arguments)
        self._progress = True
        self._since_beacon += 1
        self._publisher.signed(seq)
        self.chain.make_room(now)
        return seq

    def event(self, code, *arguments):
        return self._sign(record.event, code, arguments)

    def _work(self):
        chain = self.chain
        if chain.head.adopted:
            self.event(record.ADOPTED, chain.head.next - 1, *chain.head.adopted)
        if self.opened is None or self._config != self.board.config.changed:
            self._begin()
        chain.name_gone(self.board.clock.time())
        greeting = self._publisher.greeting_due() and not self._woken
        if greeting or self._since_beacon >= self.board.config["beacon_every"]:
            self.beacon()
        self._measure()

    def _begin(self):
        """Sign the `open` of a start or of a changed configuration."""
        board = self.board
        self.seal()
        config = board.config
        self._set_interval()
        parts = (
            VERSION,
            board.digest(),
            board.clock.source,
            board.fingerprint()[0],
            self._sensor.channels,
            self._tick,
        )
        facts = [self._publisher.milestone, self._publisher.checkpoint]
        head = (self.chain.head.next, bytes(32), board.clock.time())
        from tally import opening

        # what would make the record too long is left out, the checkpoint first; the beacon has both
        while opening.size_of_open(head, board.boots, *parts, *facts) > opening.MAX_OPEN_BYTES:
            facts[0 if facts[1] is None else 1] = None
        self.opened = self._sign(opening.opened, board.boots, *parts, *facts)
        for name in ("opening", "driver"):
            hal.unload(name)
        self._config = config.changed
        if board.new_config():
            self.event(record.CONFIG, config.digest())

    def _set_interval(self):
        self._interval = self.board.config["interval_ms"]
        self._tick = tick_ms(self._interval)
        self._batch = Batch(len(self._sensor.channels), self._tick)

    def beacon(self):
        told = self._publisher
        self._sign(record.beacon, told.milestone, told.checkpoint, told.nonce, self.chain.queue())
        self._since_beacon = 0

    def _measure(self):
        now = hal.uptime_ms()
        late = now - self._due_ms
        if late < 0:
            return
        # After a long stop the schedule starts anew instead of catching up.
        self._due_ms = (self._due_ms if late < self._interval else now) + self._interval
        values, statuses = measure(self._sensor)
        self._progress = True
        batch = self._batch
        if batch.size + batch.growth(values) > self.link.max_message:
            self.seal()
        batch.add(values, self.board.clock.time())
        for channel, status in self._watch.changes(statuses):
            self.event(record.SENSOR, channel, status)
        count = len(batch)
        if count >= self.board.config["batch"] or (count + 1) * len(values) > MAX_VALUES:
            self.seal()

    def seal(self):
        """Sign what the batch holds."""
        batch = self._batch
        if batch is None or not len(batch) or self.opened is None:
            return
        try:
            self._sign(
                record.readings, self.opened, batch.interval(), batch.columns, time=batch.start
            )
        finally:
            batch.clear()
            gc.collect()

    # --- deep sleep

    def _sleep(self):
        """Sleep until the next reading is due, if nothing else is to be done."""
        ms = self._rest.may_sleep(self._due_ms, self.link)
        if not ms:
            return
        state = None
        if self.opened is not None and not self.chain.halted:
            state = [
                self.opened,
                self._due_ms,
                self._since_beacon,
                self._watch.kept(),
                self._batch.kept(),
            ]
        self.board.log("asleep for %d ms" % ms)
        try:
            self._rest.sleep(ms, state, self.link)
        except ValueError:
            try:
                self.seal()  # RTC memory is full: what the batch holds goes into a record
            except (Halted, OSError):
                self.board.log("RTC memory is full, and nothing can be signed")

    def _resume(self, state):
        """Go on where the sleep began; state: of `_sleep`, or None."""
        if state is None:
            return
        self._woken = True
        self.opened, self._due_ms, self._since_beacon, watch, batch = state
        self._config = self.board.config.changed
        self._watch.take(watch)
        self._set_interval()
        self._batch.take(batch)
