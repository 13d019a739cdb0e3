"""The payload of an `open`, the first record after a start (docs/format.md, 4). Loaded for it, then forgotten."""

from micropython import const

from tally import cbor, cose
from tally.record import RecordError

MAX_OPEN_BYTES = const(256)  # a whole `open` record
_MAX_CHANNELS = const(16)


def opened(
    head, boots, version, digest, clock, fingerprint, channels, tick_ms, milestone, checkpoint
):
    """First record after a start. channels: [(name, unit, exponent)]; milestone: [ledger, id]; checkpoint:
    [gateway, size, root]; both may be None."""
    table = [[name.encode(), unit.encode(), exponent] for name, unit, exponent in channels]
    if not 1 <= len(table) <= _MAX_CHANNELS:
        raise RecordError("1 to 16 channels are possible")
    facts = (
        0,
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
    return head + facts


def size_of_open(*arguments):
    """Bytes of the whole record that `opened` with these arguments becomes."""
    return len(cose.message(bytes(8), cose.RECORD, cbor.encode(opened(*arguments)), bytes(64)))
