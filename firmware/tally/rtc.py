"""What outlasts a reset but no power cut: RTC memory, and the clock's setting. Loaded when needed, then forgotten.

Rules
* RTC memory is shared with sensors: everybody has a slot with a tag of its own, and finds it by that.
* The clock is set within the window of hal.py only.
"""

import json
import time
from binascii import crc32

import machine
from micropython import const

from tally import hal
from tally.record import CLOCK_ACKNOWLEDGEMENT, CLOCK_HAND

_TAG = const(b"TLYs")  # then length (2 bytes), CRC-32 of the body (4 bytes), body
_SLOT_HEAD = const(10)
_PAUSES_MS = const((500, 10000, 60000, 600000, 3600000))  # after failures of the flash in a row
_FAULTS = "flash"
_STEP_S = const(2)


def set_time(unix_s, guess=False):
    """Set the clock. True if the time was believable and is set. guess: see the rules of hal.py."""
    if not hal.CLOCK_SET_FROM <= unix_s < hal.CLOCK_SET_UNTIL:
        return False
    year, month, day, hours, minutes, seconds, weekday, _ = time.gmtime(unix_s - hal.EPOCH)[:8]
    machine.RTC().datetime((year, month, day, weekday, hours, minutes, seconds, 0))
    hal.guess[0] = guess
    return True


def _slot(memory):
    """(from, to) of our slot in RTC memory; two equal numbers if there is none."""
    at = memory.find(_TAG)
    if at < 0:
        return len(memory), len(memory)
    return at, at + _SLOT_HEAD + int.from_bytes(memory[at + 4 : at + 6], "big")


def kept():
    """What `keep` has put into RTC memory, {} if it is not there or damaged."""
    memory = bytes(machine.RTC().memory())
    start, end = _slot(memory)
    body = memory[start + _SLOT_HEAD : end]
    if start == end or crc32(body) != int.from_bytes(memory[start + 6 : start + 10], "big"):
        return {}
    return json.loads(body)


def keep(facts):
    """Keep a dictionary in RTC memory: over resets and deep sleeps. Raises ValueError if it is too much."""
    rtc = machine.RTC()
    memory = bytes(rtc.memory())
    start, end = _slot(memory)
    body = json.dumps(facts).encode()
    slot = _TAG + len(body).to_bytes(2, "big") + crc32(body).to_bytes(4, "big") + body
    rtc.memory(memory[:start] + memory[end:] + slot)


def flash_faults():
    """How many failures of the flash there were since a record was kept last: over resets, not over power cuts."""
    return kept().get(_FAULTS, 0)


def count_fault(works=False):
    """Count a failure of the flash; milliseconds until a reset is to try again. works: there was none."""
    facts = kept()
    count = facts.pop(_FAULTS, 0)
    if not works:
        facts[_FAULTS] = count + 1
    try:
        keep(facts)
    except ValueError:
        count = len(_PAUSES_MS)  # RTC memory is full: nothing counts, so be patient
    return _PAUSES_MS[min(count, len(_PAUSES_MS) - 1)]


def adjust(clock, unix_s, source):
    """Clock.set."""
    now = hal.unix_time()
    if now is not None and abs(unix_s - now) <= _STEP_S:
        weak = clock.source in (CLOCK_HAND, CLOCK_ACKNOWLEDGEMENT)
        if weak and source not in (clock.source, CLOCK_HAND):
            set_by(clock, source)  # it was right, and now that is known
            return now, now
        return None
    before = clock.time()
    if not set_time(unix_s):
        return None
    set_by(clock, source)
    return before, unix_s


def set_by(clock, source):
    """Remember over resets who set the clock."""
    clock.source = source
    facts = kept()
    facts["clock"] = source
    try:
        keep(facts)
    except ValueError:
        clock.log("RTC memory is full: a reset will forget who set the clock")
