"""The console's commands that only show something. Loaded with one, and forgotten after it."""

import json

from tally import cose, hal, light, lock, once, unload
from tally.commands import ConsoleError, unhex
from tally.trust import UPDATES, UPDATES_TAKEN
from tally.version import VERSION


def info(console, _):
    board = console.board
    if board is None:
        facts = {"state": "fault", "fault": console.fault, "board": hal.board_name()}
        try:
            facts["digest"] = once("identity", "digest").hex()
        except OSError:
            pass  # it may be why
        return json.dumps(facts)
    trust = board.trust
    updates = hal.blob(board.store, UPDATES, 32)
    taken = hal.blob(board.store, UPDATES_TAKEN, 8)
    facts = {
        "id": board.device.hex(),
        "key": board.key.public.hex(),
        "alg": board.key.alg,
        "board": hal.board_name(),
        "version": VERSION,
        "digest": board.digest().hex(),
        "provisioned": trust.owner is not None and board.config.complete(),
        "owner": trust.owner.hex() if trust.owner else None,
        "gateway": cose.kid(trust.gateway).hex() if trust.gateway else None,
        "updates": updates.hex() if updates else None,
        "update": int.from_bytes(taken, "big") if taken else 0,
        "next": board.chain.head.next,
        "state": console.agent.state,
        "locked": lock.locked(),
    }
    return json.dumps(facts)


def status(console, _):
    board, agent = console.board, console.agent
    chain, link = board.chain, agent.link
    facts = {
        "state": agent.state,
        "halted": chain.halted,
        "next": chain.head.next,
        "head": chain.head.prev.hex() if chain.head.prev else None,
        "upto": chain.upto if chain.upto >= 0 else None,
        "queue": chain.queue(),
        "first": chain.journal.first,
        "storage": agent.storage,
        "sensor": agent.sensor_fault,
        "light": light.state(agent),
        "connected": link is not None and link.connected(),
        "link": link.reason if link else None,
        "sessions": link.sessions if link else 0,
        "time": hal.unix_time(),
        "clock": board.clock.source,
        "uptime_s": hal.uptime_s(),
        "boots": board.boots,
        "free": console.free,
    }
    return json.dumps(facts)


def challenge(console, rest):
    from tally import cbor

    key = console.board.key
    nonce = unhex(rest, 16)
    payload = [console.board.device, nonce, key.alg, key.public, console.board.chain.head.next]
    return key.sign(cose.CHALLENGE, cbor.encode(payload))[0].hex()


def fingerprint(console, _):
    digest, salt = console.board.fingerprint()
    parts = once("identity", "hardware")
    if console.board.config["net"] in ("modem", "ppp"):
        from modem import cell, who

        parts = who.parts(cell.the(console.board.config))
        unload("identity")
        if parts is None:
            raise ConsoleError("modem", "the modem has not said who it is: wait for its network")
    parts = [part.hex() for part in parts]
    return json.dumps({"fingerprint": digest.hex(), "salt": salt.hex(), "parts": parts})


def config(console, _):
    return json.dumps(once("settings", "public", console.board.config))
