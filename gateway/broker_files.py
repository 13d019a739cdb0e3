"""mosquitto's configuration, passwords and access list, from the enrolment (`broker-config`).

A login's name is the device's id, so that patterns say it all: a board writes `up`, `state` and its
answers to commands below its own id, reads what is meant for it and the gateways' grants, and nothing
else. A login is never evidence, the signature is; these files keep order on the broker, and strangers
off it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tallystick import limits, topics

__all__ = ["Broker", "Roles", "access", "configuration", "hashed", "passwords"]

ITERATIONS: Final = 101  # mosquitto_passwd's own; the passwords here are 160 bits of chance
SALT_BYTES: Final = 12
HASH_BYTES: Final = 64
QUEUED_EACH: Final = 10_000  # messages of one device that may wait for a gateway that is away
QUEUED_LEAST: Final = 100_000
IN_FLIGHT: Final = 1_000  # the gateway commits in batches of 512: fewer would starve it
_PASSWORD_LINE: Final = re.compile(r"([^:\s]+):(\$7\$[0-9]+\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+)")


@dataclass(frozen=True)
class Roles:
    """Who logs in besides the boards: ids are 16 hex digits."""

    gateway: str
    ledger: str | None
    prefixes: tuple[str, ...] = ()  # topics of adapters that the gateway may write

    @property
    def names(self) -> dict[str, str]:
        """Login names by role."""
        named = {"gateway": f"gateway-{self.gateway}"}
        if self.ledger is not None:
            named["ledger"] = f"ledger-{self.ledger}"
        return named | {"dashboard": "dashboard", "engineer": "engineer"}


@dataclass(frozen=True)
class Broker:
    """Where mosquitto listens. The TLS listener is for boards; the plain one for services on the same
    machine, with logins all the same. `folder` is where the files will lie.
    """

    folder: Path
    devices: int
    port: int = 8883
    certificate: Path | None = None
    key: Path | None = None
    local: tuple[str, int] | None = ("127.0.0.1", 1883)
    state: Path = Path("/var/lib/mosquitto")


def hashed(password: str, salt: bytes | None = None) -> str:
    """As mosquitto_passwd writes it: `$7$iterations$salt$hash`, PBKDF2 with HMAC-SHA-512."""
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, HASH_BYTES)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def passwords(text: str) -> dict[str, str]:
    """The hashes in a password file, by login; lines that are none are left out."""
    found = (_PASSWORD_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return {one[1]: one[2] for one in found if one}


def access(roles: Roles) -> str:
    """The ACL file. Patterns hold for every login, with its own name for %u."""
    gateway = topics.Gateway(bytes.fromhex(roles.gateway))
    root, names = topics.ROOT, roles.names
    lines = [
        "# boards: the login is the device's id",
        *(f"pattern write {root}/%u/{leaf}" for leaf in ("up", "state")),
        *(f"pattern write {root}/%u/cmd/{leaf}" for leaf in ("accepted", "rejected")),
        *(f"pattern write {root}/%u/update/{leaf}" for leaf in ("want", "state")),
        *(f"pattern read {root}/%u/{leaf}" for leaf in ("ack", "cmd", "rejected")),
        *(f"pattern read {root}/%u/{leaf}" for leaf in ("update", "update/part")),
        f"pattern read {topics.grants()}",
        "",
        "# the gateway: it alone writes what it has verified, and it sees its own past",
        f"user {names['gateway']}",
        *_reads(topics.device_up(), f"{root}/+/state", f"{root}/+/cmd/accepted"),
        *_reads(f"{root}/+/cmd/rejected", gateway.checkpoint, gateway.state, gateway.grant),
        *_writes(*(f"{root}/+/{leaf}" for leaf in ("ack", "cmd", "rejected", "verified/#"))),
        *_writes(gateway.state, gateway.checkpoint, gateway.grant),
        *_reads(topics.wants(), gateway.update, gateway.offer),
        *_writes(f"{root}/+/update", f"{root}/+/update/part", gateway.update_answer),
        *_writes(*(f"{prefix}/#" for prefix in roles.prefixes)),
    ]
    if roles.ledger is not None:
        ledger = topics.Ledger(bytes.fromhex(roles.ledger))
        lines += [
            *_reads(ledger.milestone, ledger.tips, ledger.receipts),
            *_reads(ledger.anchor(gateway_id(roles))),  # without it the fork guard is half blind
            *_writes(ledger.submit),
            "",
            "# the ledger",
            f"user {names['ledger']}",
            *_reads(topics.grants(), f"{ledger.base}/#"),
            *_writes(f"{ledger.base}/#"),
        ]
    lines += [
        "",
        "# engineers: bring updates, post statements, look at the ledger",
        f"user {names['engineer']}",
        *_reads(f"{root}/gateway/#", f"{root}/+/state", f"{root}/+/update", topics.update_states()),
        *_writes(gateway.update, gateway.offer),
    ]
    if roles.ledger is not None:
        lines += [*_reads(f"{ledger.base}/#"), *_writes(ledger.submit)]
    lines += [
        "",
        "# dashboards: what was verified, and nothing else",
        f"user {names['dashboard']}",
        *_reads(f"{root}/+/verified/#", f"{root}/+/state", gateway.state),
        *_reads(*(f"{prefix}/#" for prefix in roles.prefixes)),
        *_writes(*(f"{prefix}/status" for prefix in roles.prefixes)),
    ]
    return "\n".join(lines) + "\n"


def configuration(broker: Broker) -> str:
    """mosquitto.conf (2.0 or newer)."""
    queued = max(QUEUED_LEAST, QUEUED_EACH * broker.devices)
    lines = [
        "# written by tally-gateway broker-config: it writes over what is changed here",
        "per_listener_settings false",
        "allow_anonymous false",
        f"password_file {broker.folder / 'passwords'}",
        f"acl_file {broker.folder / 'acl'}",
        "",
        "# what waits for a gateway that is away must not be dropped: a stock broker keeps 1,000",
        f"max_queued_messages {queued}",
        "max_queued_bytes 0",
        f"max_inflight_messages {IN_FLIGHT}",
        "persistent_client_expiration 60d",
        "persistence true",
        f"persistence_location {broker.state}/",
        "autosave_on_changes true",
        "autosave_interval 1000",
        "",
        "# nothing of ours is larger than a receipt; what is, is refused at the door",
        f"message_size_limit {limits.RECEIPT_BYTES}",
        f"max_packet_size {limits.RECEIPT_BYTES + 1_024}",
        "set_tcp_nodelay true",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
    ]
    if broker.certificate is not None and broker.key is not None:
        lines += [
            "",
            "# boards, over TLS; they pin the authority that signed this certificate",
            f"listener {broker.port}",
            f"certfile {broker.certificate}",
            f"keyfile {broker.key}",
            "tls_version tlsv1.2",
        ]
    if broker.local is not None:
        host, port = broker.local
        lines += ["", "# services on this machine", f"listener {port} {host}"]
    return "\n".join(lines) + "\n"


def gateway_id(roles: Roles) -> bytes:
    """The gateway's id as topics take it."""
    return bytes.fromhex(roles.gateway)


def password_file(hashes: Mapping[str, str]) -> str:
    """The password file, in the order of the logins."""
    return "".join(f"{name}:{hashes[name]}\n" for name in sorted(hashes))


def _reads(*filters: str) -> Iterable[str]:
    return [f"topic read {one}" for one in filters]


def _writes(*filters: str) -> Iterable[str]:
    return [f"topic write {one}" for one in filters]
