"""The agent: measures, signs, keeps and publishes; hears acknowledgements and grants.

Rules
* `step` does a little of everything and returns soon; it is called for ever.
* A chain that is halted signs nothing: what the sensor says meanwhile is lost, and nothing is made up later.
* Each start signs an `open`, each connection a `beacon`: the gateway's answer to it is fresh.
* Everything is published out of the journal, never out of memory.
* Records go on from the acknowledged one at each connection, again when no acknowledgement comes for long,
  and out of order where an acknowledgement says `missing`.
"""

import gc

from micropython import const

from tally import hal, record
from tally.chain import Halted
from tally.config import MAX_VALUES
from tally.link import Link
from tally.message import Acknowledgement, MessageError
from tally.sensor import Batch, SensorError, Watch, load, measure, tick_ms
from tally.trust import TrustError
from tally.version import VERSION

GREETING_MS = const(
    3000
)  # for the retained acknowledgement, before the beacon of a session is signed
RESEND_MS = const(30000)
LAST_RESEND_MS = const(600000)
CLOCK_STEP_S = const(30)
MAX_PASSED_OVER = const(64)  # unreadable records in one step


class Agent:
    """state: waiting (to be started) | ready | halted | idle (the flash takes nothing) | no sensor."""

    def __init__(self, board):
        self.board = board
        self.chain = board.chain
        self.link = None
        self.state = "waiting"
        self._clock = record.CLOCK_UNSET
        self._milestone = None
        self._checkpoint = None
        self._nonce = None
        self._open = None  # seq of the `open` in force
        self._batch = None
        self._next_ms = 0
        self._cursor = 0  # seq to publish next
        self._missing = []
        self._progress_ms = 0
        self._patience = RESEND_MS
        self._session = 0
        self._greet_ms = None
        self._since_beacon = 0
        self._config = None

    def start(self):
        """Begin to measure and to publish. False if the sensor that is set cannot be had."""
        board = self.board
        try:
            self._sensor = load(board.config["sensor"])
        except SensorError as error:
            self.state = "no sensor"
            board.log(str(error))
            return False
        if hal.unix_time() is not None:
            self._clock = record.CLOCK_HAND
        self._watch = Watch(len(self._sensor.channels))
        self.link = Link(board.config, self.chain.key.kid.hex(), self._hear, board.log)
        self._cursor = self.chain.upto + 1
        self._progress_ms = self._next_ms = hal.ticks_ms()
        self.state = "ready"
        board.log("running")
        return True

    def step(self):
        """One round. Raises nothing that the outside world can cause."""
        self.link.poll()
        if self.chain.halted:
            self.state = "halted"
            self._open = None
            if self.chain.settle():
                self._cursor = self.chain.upto + 1
                self.board.log("the chain goes on at seq %d" % self.chain.head.next)
        else:
            try:
                self._work()
                self.state = "ready"
            except Halted:
                self.state = "halted"
            except OSError as error:
                if self.state != "idle":
                    self.board.log("the flash took no record, error %s" % error.args[0])
                self.state = "idle"
                self.chain.drop_acknowledged()
        self._publish()

    # --- signing

    def _time(self):
        now = hal.unix_time()
        return hal.uptime_s() if now is None else now

    def _sign(self, build, *arguments, time=None):
        seq = self.chain.sign(build, self._time() if time is None else time, *arguments)
        self._since_beacon += 1
        self.chain.make_room(self._time())
        return seq

    def _event(self, code, *arguments):
        self._sign(record.event, code, arguments)

    def _work(self):
        chain = self.chain
        hal.uptime_s()
        if chain.head.adopted:
            self._event(record.ADOPTED, chain.head.next - 1, *chain.head.adopted)
        if self._open is None or self._config != self.board.config.changed:
            self._begin()
        chain.name_gone(self._time())
        if self._greet_ms is not None and hal.ticks_diff(hal.ticks_ms(), self._greet_ms) >= 0:
            self._greet_ms = None
            self._beacon()
        elif self._since_beacon >= self.board.config["beacon_every"]:
            self._beacon()
        self._measure()

    def _begin(self):
        """Sign the `open` of a start or of a changed configuration."""
        board = self.board
        self._seal()
        config = board.config
        self._interval = config["interval_ms"]
        self._tick = tick_ms(self._interval)
        self._batch = Batch(len(self._sensor.channels), self._tick)
        parts = (
            VERSION,
            board.digest(),
            self._clock,
            board.fingerprint()[0],
            self._sensor.channels,
            self._tick,
        )
        facts = [self._milestone, self._checkpoint]
        head = (self.chain.head.next, bytes(32), self._time())
        # what would make the record too long is left out, the checkpoint first; the beacon has both
        while record.size_of_open(head, board.boots, *parts, *facts) > record.MAX_OPEN_BYTES:
            facts[0 if facts[1] is None else 1] = None
        self._open = self._sign(record.opened, board.boots, *parts, *facts)
        self._config = config.changed
        if board.new_config():
            self._event(record.CONFIG, config.digest())

    def _beacon(self):
        self._sign(
            record.beacon, self._milestone, self._checkpoint, self._nonce, self.chain.queue()
        )
        self._since_beacon = 0

    def _measure(self):
        now = hal.ticks_ms()
        late = hal.ticks_diff(now, self._next_ms)
        if late < 0:
            return
        # After a long stop the schedule starts anew instead of catching up.
        self._next_ms = hal.ticks_add(
            self._next_ms if late < self._interval else now, self._interval
        )
        values, statuses = measure(self._sensor)
        self._batch.add(values, self._time())
        for channel, status in self._watch.changes(statuses):
            self._event(record.SENSOR, channel, status)
        count = len(self._batch)
        if count >= self.board.config["batch"] or (count + 1) * len(values) > MAX_VALUES:
            self._seal()

    def _seal(self):
        """Sign what the batch holds."""
        batch = self._batch
        if batch is None or not len(batch) or self._open is None:
            return
        try:
            self._sign(
                record.readings, self._open, batch.interval(), batch.columns, time=batch.start
            )
        finally:
            batch.clear()
            gc.collect()

    # --- publishing

    def _publish(self):
        link, chain = self.link, self.chain
        if link.sessions != self._session and link.connected():
            self._session = link.sessions
            self._cursor = chain.upto + 1
            self._greet_ms = hal.ticks_add(hal.ticks_ms(), GREETING_MS)
        if chain.head.next is None or chain.halted or not link.free():
            return
        if self._missing:
            self._send_missing()
        elif self._cursor < chain.head.next:
            self._send_next()
        elif chain.queue() and hal.ticks_diff(hal.ticks_ms(), self._progress_ms) > self._patience:
            # the broker took them all, and nobody says that they are safe
            self._progress_ms = hal.ticks_ms()
            self._patience = min(2 * self._patience, LAST_RESEND_MS)
            self._cursor = chain.upto + 1

    def _send_next(self):
        """Publish the next record. What flash cannot give back is passed over and named by an event."""
        chain, journal = self.chain, self.chain.journal
        self._cursor = max(self._cursor, journal.first or 0)
        for _ in range(MAX_PASSED_OVER):
            if self._cursor >= chain.head.next:
                return
            data = journal.read(self._cursor)
            if data is not None:
                if self.link.publish(data):
                    self._cursor += 1
                return
            chain.lose(self._cursor)
            self._cursor += 1

    def _send_missing(self):
        """Publish one record that the gateway asked for, if it is still here."""
        first, last = self._missing[0]
        first = max(first, self.chain.journal.first or 0)
        if first > last:
            self._missing.pop(0)
            return
        data = self.chain.journal.read(first)
        if data is None or self.link.publish(data):
            self._missing[0] = (first + 1, last)

    # --- hearing

    def _hear(self, topic, data):
        """A message of the broker: nothing in it counts before its signature is verified."""
        board = self.board
        try:
            if topic.endswith(b"/grant"):
                if board.trust.accept(data):
                    board.log("granted gateway %s" % _kid(board.trust.gateway))
            elif topic.endswith(b"/ack") and board.trust.gateway is not None:
                self._acknowledged(Acknowledgement(data, board.trust.gateway, self.chain.key.kid))
        except (MessageError, TrustError) as error:
            board.log("refused: %s" % error)

    def _acknowledged(self, told):
        chain = self.chain
        before = chain.upto
        if not chain.acknowledge(told):
            self.board.log("halted: %s" % chain.halted)
            return
        # An older word of the same gateway says nothing new; another gateway counts its own log.
        held = self._checkpoint
        if held is None or held[0] != told.gateway or told.checkpoint[1] >= held[1]:
            self._checkpoint = told.checkpoint
            self._milestone = told.milestone or self._milestone
            self._nonce = told.nonce
        if chain.upto > before:
            self._progress_ms = hal.ticks_ms()
            self._patience = RESEND_MS
            self._cursor = max(self._cursor, chain.upto + 1)
        self._missing = [pair for pair in told.missing if pair[1] < self._cursor]
        if self._greet_ms is not None:
            self._greet_ms = hal.ticks_ms()
        self._set_clock(told.time)

    def _set_clock(self, told):
        """Take the time of an acknowledgement: it may be old, so a clock that is set only moves forward."""
        now = hal.unix_time()
        if now is not None and told < now + CLOCK_STEP_S:
            return
        before = self._time()
        if self._open is None or not hal.set_time(told):
            return
        self._clock = record.CLOCK_ACKNOWLEDGEMENT
        try:
            self._event(record.CLOCK, before, told, self._clock)
        except (Halted, OSError):
            self.board.log("the clock was set, and the event could not be signed")


def _kid(key):
    from tally.cose import kid

    return kid(key).hex()
