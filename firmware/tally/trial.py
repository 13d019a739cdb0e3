"""What becomes of an update: the trial of a new agent, and the event that tells of it. Loaded for it, then forgotten.

Rules
* A new agent has proven itself when the gateway acknowledges the `open` of its own start: it measured, signed, kept
  and published, and heard of it. Whatever else it does, boot.py ends the trial.
* The decision is kept before it is told; the event is signed, once or after a power cut twice, before it is forgotten.
* The end is said for people, too, at the next connection: an agent that was undone starts without one.
"""

from tally import once, place, unload, update
from tally.version import VERSION

_EVENT = 6


def judge(agent):
    """Take the next step; agent.trial says which."""
    try:
        if agent.trial == place.TRIAL:
            if agent.opened is None or agent.chain.upto < agent.opened:
                return
            place.settle(place.DONE)
            _end_the_timer()
            agent.trial = place.DONE
            agent.board.log("update: the gateway has acknowledged the new agent")
        undone = agent.trial == place.FAILED
        number, before, after = _story()
        update.take(agent.board.store, number)
        agent.event(_EVENT, before, after, int(undone))
        place.settle()
        agent.trial = None
        state = "undone" if undone else "done"
        agent.board.log("update %d is %s" % (number, state))
        agent.fetch = once("word", "Word", agent, number, state)
    finally:
        unload("place", "update", "message", "decode")


def _story():
    """(counter, version before, version after)."""
    try:
        with open(place.STORY, "rb") as file:
            number, before, after = file.read(96).split(b" ", 2)
        return int(number), before, after
    except (OSError, ValueError):
        return 0, VERSION.encode(), VERSION.encode()  # lost with the file system


def _end_the_timer():
    import machine

    machine.Timer(0).deinit()
