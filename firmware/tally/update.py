"""The manifest of an update, considered (docs/format.md, 6.1). Loaded for one, and forgotten after it.

1. A manifest that was taken already says nothing new.
2. The owner has pinned an update key, and it signed this manifest.
3. Its counter is above that of every update that this board took, and not below that of the one under way; the board
   has reached `minimum`.
4. It is for this board and this machine.
5. It is kept, and what an earlier one has left in the other place goes.
6. There is enough memory left beside the fetch: a board that starts anew for want of it would do so again and again.

Then tally/fetch.py fetches what it names. What is refused stops nothing that is under way: anybody could send it.
"""

import gc
import json
import sys

from micropython import const

from tally import hal, once, place, unload
from tally.message import MessageError, octets, uint, verified
from tally.stream import Trouble
from tally.trust import UPDATES, UPDATES_TAKEN

_UPDATE = const(65008)
_MAX_INDEX = const(16384)
_FULL = const(28)
_LEAST_FREE = const(10240)  # beside a fetch: what an acknowledgement takes, and more
_FAULTS = const(3)  # of the flash, until an update is given up
_KEPT = "update"  # in RTC memory: counter of the update, faults


class Refused(Exception):
    """args: the code behind `update.`, detail."""


def counter(store):
    """That of the newest update that was taken."""
    kept = hal.blob(store, UPDATES_TAKEN, 8)
    return int.from_bytes(kept, "big") if kept else 0


def take(store, number):
    """No update up to this counter is taken any more."""
    if number > counter(store):
        store.set_blob(UPDATES_TAKEN, number.to_bytes(8, "big"))
        store.commit()


def machine():
    """What compiled agents this board loads: number of the architecture << 8 | version of .mpy."""
    number = getattr(sys.implementation, "_mpy", 0)
    return (number >> 10 & 15) << 8 | number & 255


def tell(agent, **facts):
    """How far the update is, for people."""
    try:
        agent.link.tell("/update/state", json.dumps(facts), True)
    except (Trouble, OSError, ValueError):
        agent.board.log("the state of the update was not told")  # the link finds out by itself


def refuse(agent, number, code, detail):
    agent.board.log("update refused: %s (update.%s)" % (detail, code))
    tell(agent, counter=number, state="refused", code="update." + code, detail=detail)


def fault(agent, number, error):
    """The flash did not take, or did not give, something of this update. Raises FlashFault, which resets the board,
    unless it is full, or a file is gone. What fails again and again is given up: the board would start anew for ever.
    """
    code = error.args[0]
    if code == _FULL:
        place.wipe()
        refuse(agent, number, "space", "the file system is full")
        return
    try:
        hal.flash_check(error)
    except hal.FlashFault:
        if _count(number) >= _FAULTS:
            refuse(agent, number, "storage", "error %s" % code)
            take(agent.board.store, number)
        raise
    refuse(agent, number, "storage", "error %s" % code)


def _count(number):
    """Faults of the flash with this update, over resets."""
    from tally import rtc

    facts = rtc.kept()
    before = facts.get(_KEPT)
    count = before[1] + 1 if before and before[0] == number else 1
    facts[_KEPT] = (number, count)
    try:
        rtc.keep(facts)
    except ValueError:
        count = _FAULTS  # RTC memory is full: nothing counts
    unload("rtc")
    return count


def consider(agent):
    """Steps 1 to 6 for the manifest that came."""
    data = agent.publisher.manifest
    agent.publisher.manifest = None
    if not data:
        agent.fetch = None  # withdrawn
        return
    number = None
    try:
        kept = _kept(data)
        if kept and agent.fetch is not None:
            return
        key = hal.blob(agent.board.store, UPDATES, 32)
        if not key:
            raise Refused("key", "this board takes no updates: no update key is pinned")
        fields = read(data, bytes(key))
        number = fields[0]
        if kept and number == counter(agent.board.store):
            return  # it runs, or it ran
        _check(agent, fields)
        agent.fetch = None  # from here on the other place is for this one
        if not kept:
            place.wipe()
            for path in (place.INDEX, place.INDEX + "~"):
                place.remove(path)
            place.make_folder(place.MANIFEST)
            once("files", "replace", place.MANIFEST, data)
        agent.board.log("update %d to %s" % (number, fields[2].decode()))
        if fields[3]:
            from tally.fetch_image import FetchImage as Fetch
        else:
            from tally.fetch import Fetch
        agent.fetch = Fetch(agent, fields)
    except Refused as error:
        refuse(agent, number, *error.args)
    except MemoryError:
        scarce(agent, number)
    except OSError as error:
        fault(agent, number, error)
    finally:
        unload("message", "decode", "place", "fetch", "fetch_image")
    gc.collect()
    if agent.fetch is not None and gc.mem_free() < _LEAST_FREE:
        scarce(agent, number)


def scarce(agent, number):
    """There is too little memory for it; perhaps there is more another time."""
    agent.fetch = None
    gc.collect()
    refuse(agent, number, "memory", "there is too little memory")


def _kept(data):
    """Whether this manifest was considered good before, by this board."""
    try:
        with open(place.MANIFEST, "rb") as file:
            return file.read() == data
    except OSError:
        return False


def read(data, key):
    """Of a manifest that this key signed: counter, minimum, version, kind, board, machine, size, index."""
    try:
        fields = verified(data, key, _UPDATE)
    except MessageError as error:
        raise Refused("signature", str(error)) from None
    if not isinstance(fields, list) or len(fields) != 8:
        raise Refused("shape", "not a manifest")
    number, minimum, version, kind, board, target, size, index = fields
    good = uint(number) and number and uint(minimum) and uint(kind) and kind < 2 and uint(target)
    good = good and isinstance(version, bytes) and len(version) <= 32 and octets(index, 32)
    good = good and _word(version)
    good = good and uint(size) and 0 < size <= _MAX_INDEX
    if not (good and (board is None or isinstance(board, bytes))):
        raise Refused("shape", "malformed manifest")
    return fields


def _word(text):
    """Whether it is UTF-8 without control characters: it is shown on the console."""
    try:
        text.decode()
    except UnicodeError:
        return False
    return min(text or b"-") >= 32


def _check(agent, fields):
    """Steps 3 and 4."""
    number, minimum, _, kind, board, target = fields[:6]
    taken = counter(agent.board.store)
    if number <= taken:
        raise Refused("counter", "not above %d" % taken)
    coming = agent.fetch
    if coming is not None and number < coming.number:
        raise Refused("counter", "update %d is coming in: withdraw it before" % coming.number)
    if minimum > taken:
        raise Refused("minimum", "needs update %d first, this board took %d" % (minimum, taken))
    if board is not None and board != hal.board_name().encode():
        raise Refused("target", "for another board than " + hal.board_name())
    mine = once("fetch_image", "chip") if kind else machine()
    if target != mine:
        raise Refused("target", "for machine %d, this one is %s" % (target, mine))
