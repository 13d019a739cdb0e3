"""The `open`, the first record after a start (docs/format.md, 4). Loaded for it, then forgotten."""

from micropython import const

from tally import cose, hal, record
from tally.version import VERSION

MAX_OPEN_BYTES = const(256)  # a whole `open` record
_MAX_CHANNELS = const(16)
_CONFIG = "config"


def opened(
    out, head, boots, version, digest, clock, fingerprint, channels, tick_ms, milestone, checkpoint
):
    """First record after a start. channels: [(name, unit, exponent)]; milestone: [ledger, id]; checkpoint:
    [gateway, size, root]; both may be None."""
    table = [[name.encode(), unit.encode(), exponent] for name, unit, exponent in channels]
    if not 1 <= len(table) <= _MAX_CHANNELS:
        raise record.RecordError("1 to 16 channels are possible")
    facts = (
        boots,
        version.encode(),
        digest,
        clock,
        fingerprint,
        table,
        tick_ms,
        milestone,
        checkpoint,
    )
    record.begin(out, head, 0, len(facts))
    for item in facts:
        out.put(item)


def size_of_open(*arguments):
    """Bytes of the whole record that `opened` with these arguments becomes."""
    draft = cose.draft()
    opened(draft, *arguments)
    return cose.size(draft)


def begin(agent):
    """Sign the `open` of a start or of a changed configuration."""
    board = agent.board
    agent.seal()
    config = board.config
    agent.set_interval()
    parts = (
        VERSION,
        board.digest(),
        board.clock.source,
        board.fingerprint()[0],
        agent.sensor.channels,
        agent.tick,
    )
    facts = [agent.publisher.milestone, agent.publisher.checkpoint]
    head = (agent.chain.head.next, bytes(32), board.clock.time())
    # what would make the record too long is left out, the checkpoint first; the beacon has both
    while size_of_open(head, board.boots, *parts, *facts) > MAX_OPEN_BYTES:
        facts[0 if facts[1] is None else 1] = None
    agent.opened = agent.sign(opened, board.boots, *parts, *facts)
    agent.config = config.changed
    if _is_new(board.store, config.digest()):
        agent.event(record.CONFIG, config.digest())


def _is_new(store, digest):
    """Whether the settings differ from those at the last call, reboots included."""
    if hal.blob(store, _CONFIG, 16) == digest:
        return False
    store.set_blob(_CONFIG, digest)
    store.commit()
    return True
