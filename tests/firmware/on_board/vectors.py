"""The house's vectors on the board: rebuild what it would sign, read what it is told, refuse the rest.

    micropython vectors.py PATHS FOLDER-WITH-vectors

PATHS: the agent and the simulated chip, separated by colons.

Prints `name count` for what passed, and `FAIL what` for each case that did not.
"""

import gc
import json
import sys

sys.path[1:1] = sys.argv[1].split(":")

from tally import (
    cbor,
    cose,
    decode,
    ed25519,
    grant,
    keys,
    message,
    opening,
    record,
    trust,
    update,
)

# as numbers: in the compiled agent they have no names any more
RECORD, ACKNOWLEDGEMENT, GRANT = 65000, 65002, 65005
DEVICE_KIND = {"open": 0, "readings": 1, "beacon": 2, "event": 3, "rotate": 4}


def cases(name):
    """The cases of a file one by one, so that a small heap does."""
    with open(sys.argv[2] + "/" + name + ".json") as file:
        for line in file:
            line = line.strip().rstrip(",")
            if line.startswith('{"name"'):
                yield json.loads(line)
                gc.collect()


def plain(value):
    """JSON to what a payload holds: {"hex": ...} is a byte string."""
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def absolute(column):
    """The values whose differences stand in a column."""
    last = 0
    out = []
    for step in column:
        last = last if step is None else last + step
        out.append(None if step is None else last)
    return out


def build(out, case):
    """The payload as the board's own builders write it."""
    head = (case["seq"], bytes.fromhex(case["prev"]), case["time"])
    fields = plain(case["fields"])
    kind = case["kind"]
    if kind == "open":
        boots, version, digest, clock, fingerprint, table, tick, milestone, checkpoint = fields
        channels = [(name.decode(), unit.decode(), exponent) for name, unit, exponent in table]
        return opening.opened(
            out,
            head,
            boots,
            version.decode(),
            digest,
            clock,
            fingerprint,
            channels,
            tick,
            milestone,
            checkpoint,
        )
    if kind == "readings":
        columns = [absolute(one) for one in fields[2:]]
        return record.readings(out, head, fields[0], fields[1], columns)
    if kind == "beacon":
        return record.beacon(out, head, *fields)
    if kind == "event":
        return record.event(out, head, fields[0], fields[1:])
    record.begin(out, head, DEVICE_KIND[kind], len(fields))
    for item in fields:
        out.put(item)
    return None


def records():
    """Each record of an Ed25519 key, from seed and fields to the same bytes and id."""
    count = 0
    draft = cose.draft()
    for case in cases("record"):
        wanted = bytes.fromhex(case["bytes"])
        if wanted[5:6] != b"\x32":  # alg -19; a P-256 key lives in a SIM
            continue
        seed = bytes.fromhex(case["seed"])
        key = keys.Key(bytearray(seed + ed25519.public(seed)))
        build(draft, case)
        made, identity = key.seal(draft, RECORD)
        if bytes(made) != wanted or identity.hex() != case["id"]:
            print("FAIL record", case["name"])
        count += 1
    print("records", count)


def messages():
    """Acknowledgements and grants are read as what they are."""
    count = 0
    for case in cases("message"):
        raw = bytes.fromhex(case["bytes"])
        key = ed25519.public(bytes.fromhex(case["seed"]))
        fields = plain(case["fields"])
        if case["kind"] == "acknowledgement":
            payload = trust.opened([raw], key, ACKNOWLEDGEMENT)
            told = message.Acknowledgement(payload, key, fields[0])
            good = (told.upto, told.id, told.missing, told.time) == tuple(fields[1:5])
            good = good and told.nonce == fields[8] and told.milestone == fields[7]
        elif case["kind"] == "grant":
            granted = grant.Grant(trust.opened([raw], key, GRANT))
            good = [granted.gateway, granted.serial] == [fields[0], fields[2]]
        elif case["kind"] == "manifest":
            good = update.read(raw, key) == fields
        else:
            continue
        if not good:
            print("FAIL message", case["name"])
        count += 1
    print("messages", count)


def is_refused(what, raw, key, device, signer):
    """Does the board refuse these bytes? signer: the key that signed those whose form is wrong."""
    try:
        if what == "cbor":
            decode.decode(raw)
        elif what == "ed25519 key":
            return not ed25519.verify(raw, b"", bytes(64))
        elif what == "acknowledgement":
            payload = trust.opened([raw], key, ACKNOWLEDGEMENT)
            message.Acknowledgement(payload, key, device)
        elif what == "grant":
            grant.Grant(trust.opened([raw], key, GRANT))
        elif what == "manifest":
            update.read(raw, signer)
        else:
            return None  # the board never reads one
    except (cbor.CborError, trust.MessageError, update.Refused):
        return True
    return False


def refused():
    """What every implementation refuses, the board refuses."""
    key = device = None
    signer = [case["seed"] for case in cases("message") if case["kind"] == "challenge"][0]
    signer = ed25519.public(bytes.fromhex(signer))
    for case in cases("message"):
        if case["kind"] == "acknowledgement":
            key = ed25519.public(bytes.fromhex(case["seed"]))
            device = plain(case["fields"])[0]
            break
    count = 0
    for case in cases("refused"):
        outcome = is_refused(case["object"], bytes.fromhex(case["bytes"]), key, device, signer)
        if outcome is False:
            print("FAIL refused", case["object"], case["name"])
        count += outcome is not None
    print("refused", count)


records()
messages()
refused()
