"""Deep sleep between readings: when a board may sleep, and what RTC memory carries over to the wake-up.

Rules
* A wake-up goes on where the sleep began: the same `open`, the batch half full, the schedule. That holds only if the
  start is a wake-up, what was kept is whole, and the head of the chain and the settings are those of then. Anything
  else is a start like any other, with an `open` of its own.
* What was kept is used once.
* A board sleeps when nothing is due. Records are published when `publish_every` of them wait, and the gateway's word
  is awaited for `awake_s` at most; after a failure ever fewer wake-ups try again, down to one in LEAST_TRIES.
* A life that has begun to publish goes on until the gateway has all, and the broker has said what it keeps for this
  board: commands and updates come that way.
* After a start that is no wake-up the board stays awake for `awake_s`, so that somebody can talk to it.
"""

from micropython import const

from tally import hal, rtc
from tally.chain import Halted

LEAST_TRIES = const(32)
MIN_SLEEP_MS = const(200)
HALTED_SLEEP_MS = const(60000)
_KEY = "rest"


class Rest:
    """awake: whether this life tries to publish."""

    def __init__(self, config, chain):
        self._config = config
        self._chain = chain
        self._start_ms = hal.ticks_ms()
        self._failures = 0
        self._skip = 0
        self._woken = hal.woken()
        self._begun = False  # this life publishes
        self._heard = 0  # packets, at the last look

    def _marks(self):
        """What must be as it was."""
        head = self._chain.head
        prev = head.prev.hex()[:32] if head.prev else None
        return [head.next, prev, self._config.digest().hex()]

    def resume(self, agent):
        """Go on where the sleep began, if this start is a wake-up from it."""
        self._agent = agent
        state = self._kept()
        if state is None:
            return
        agent.woken = True
        agent.opened, agent.due_ms, agent.since_beacon, watch, batch, self._chain.upto = state
        agent.config = agent.board.config.changed
        agent.watch.take(watch)
        agent.set_interval()
        agent.batch.take(batch)

    def sleep_if_idle(self, agent):
        """Sleep until the next reading is due, if nothing else is to be done."""
        ms = self.may_sleep(agent.due_ms, agent.link)
        if not ms:
            return
        state = None
        if agent.opened is not None and not agent.chain.halted:
            state = [
                agent.opened,
                agent.due_ms,
                agent.since_beacon,
                agent.watch.kept(),
                agent.batch.kept(),
                self._chain.upto,
            ]
        agent.board.log("asleep for %d ms" % ms)
        try:
            self.sleep(ms, state, agent.link)
        except ValueError:
            try:
                agent.seal()  # RTC memory is full: what the batch holds goes into a record
            except (Halted, OSError):
                agent.board.log("RTC memory is full, and nothing can be signed")

    def _kept(self):
        """What `sleep` was given before this wake-up, None at any other start; sets the time since boot."""
        facts = rtc.kept()
        state = facts.pop(_KEY, None)
        if state is None:
            return None
        rtc.keep(facts)
        if not self._woken or state["marks"] != self._marks():
            self._woken = False
            return None
        slept = hal.rtc_ms() - state["rtc"]
        if not 0 <= slept <= 2 * state["for"] + 60000:
            slept = state["for"]  # the clock was set meanwhile, or is broken
        hal.uptime_ms(state["up"] + slept)
        self._failures, self._skip = state["tries"]
        if self._skip:
            self._skip -= 1
        return state["agent"]

    def wants_network(self):
        """Whether this life is to publish, or to fetch an update."""
        if not self._woken or self._agent.fetch is not None:
            return True
        waiting = self._chain.queue() >= self._config["publish_every"]
        self._begun = self._begun or (waiting and not self._skip)
        return self._begun

    def may_sleep(self, due_ms, link):
        """Milliseconds to sleep, 0 for none. due_ms: time since boot at which the next reading is due."""
        patience_over = (
            hal.ticks_diff(hal.ticks_ms(), self._start_ms) >= self._config["awake_s"] * 1000
        )
        if not patience_over:
            if not self._woken:
                return 0
            if self.wants_network() and not self._delivered(link):
                return 0
        if self._chain.halted:
            return max(HALTED_SLEEP_MS, self._config["interval_ms"])
        left = due_ms - hal.uptime_ms()
        return left if left >= MIN_SLEEP_MS else 0

    def _delivered(self, link):
        quiet = link.heard == self._heard
        self._heard = link.heard
        return quiet and link.connected() and link.idle() and not self._chain.queue()

    def _count_failure(self, link):
        """Failures in a row to reach the broker, which the next wake-ups pay for."""
        if not self.wants_network() or link.connected():
            if link.connected():
                self._failures = 0
            return
        self._failures = min(self._failures + 1, 5)
        self._skip = min(1 << self._failures, LEAST_TRIES)

    def sleep(self, ms, agent, link):
        """Leave the broker and switch off. agent: what `_kept` is to give back, or None. Raises ValueError, with
        nothing done, if that is too much to keep."""
        self._count_failure(link)
        facts = rtc.kept()
        facts[_KEY] = {
            "marks": self._marks(),
            "rtc": hal.rtc_ms(),
            "up": hal.uptime_ms(),
            "for": ms,
            "tries": [self._failures, self._skip],
            "agent": agent,
        }
        rtc.keep(facts)
        link.close("sleeping")
        hal.deepsleep(ms)
