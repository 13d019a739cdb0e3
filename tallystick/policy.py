"""A policy: whom the verifier trusts, for what, and what it asks of a proof (TOML).

::

    version = 1

    [[issuers]]
    did = "did:key:z6Mk..."
    name = "Acme"

    [[gateways]]
    vkey = "tallystick/0123456789abcdef+1a2b3c4d+AW..."
    operator = "Acme"

    [[ledgers]]
    vkey = "tallystick-ledger/fedcba9876543210+5e6f7a8b+AW..."
    operator = "Harbour"

    [[bridges]]                          # counts only with a transaction of this account, online
    vkey = "tallystick-ledger/0011223344556677+8a9bacbd+AW..."
    account = "eip155:1030:0x0123..."
    state = "safe"                       # or executed, final; the default is safe
    depth = 0                            # so many blocks on top are safe, where the chain says nothing

    [[witnesses]]
    vkey = "witness.example/w1+0a1b2c3d+BA..."
    operator = "University"

    [require]
    checks = ["record.signature", "chain.link", ...]     # the default is all of `REQUIRABLE`
    witnesses = 1                        # how many of them must have cosigned the ledger's checkpoint
    boards = ["ESP32_GENERIC_S3"]        # board kinds that the credential may name
    agents = ["9f86d081884c7d659a2feaa0c55ad015"]        # agent digests that an `open` may name
    anchor_age = "400d"                  # how old the anchor may be, in s, m, h or d

Trust starts here and nowhere else: no key out of a proof is ever trusted. `parse` takes a policy or raises; `problems`
says all that is wrong with one, line by line; `doubts` what is allowed and yet worth a second look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from tallystick.account import NOBODY, Account, State
from tallystick.checkpoint import LEDGER_PREFIX
from tallystick.errors import PolicyError
from tallystick.keys import PublicKey
from tallystick.note import VerifierKey
from tallystick.value import Value

if TYPE_CHECKING:
    from tallystick.cosignature import WitnessKey
    from tallystick.policy_text import Problem

__all__ = [
    "BRIDGE_STATES",
    "OPTIONAL",
    "REQUIRABLE",
    "Bridge",
    "Issuer",
    "Log",
    "Policy",
    "Witness",
    "doubts",
    "from_table",
    "parse",
    "problems",
]

REQUIRABLE: Final = (
    "record.signature",
    "chain.link",
    "device.credential",
    "log.inclusion",
    "checkpoint.signature",
    "ledger.inclusion",
    "ledger.milestone",
)
OPTIONAL: Final = ("record.open", "device.status", "credential.status", "time.window")
BRIDGE_STATES: Final = (State.EXECUTED, State.SAFE, State.FINAL)
LEDGER_NAME: Final = re.compile(re.escape(LEDGER_PREFIX) + "([0-9a-f]{16})")


class Issuer(Value):
    """Whose credentials count."""

    did: str
    key: PublicKey
    name: str = ""


class Log(Value):
    """A gateway's log or a ledger: its verifier key, and who runs it."""

    vkey: VerifierKey
    name: str = ""
    operator: str = ""

    @property
    def ledger(self) -> bytes:
        """The ledger id in the key's name (8 bytes)."""
        match = LEDGER_NAME.fullmatch(self.vkey.name)
        if match is None:
            raise PolicyError("policy.ledger", f"{self.vkey.name!r} is not the name of a ledger")
        return bytes.fromhex(match[1])


class Bridge(Log):
    """A ledger whose anchors count only if `account` has put them on another ledger, where they
    must have reached `state`; see `settlement.state` for `depth` (blocks).
    """

    vkey: VerifierKey
    name: str = ""
    operator: str = ""
    account: Account = NOBODY
    state: State = State.SAFE
    depth: int = 0


class Witness(Value):
    """One who cosigns the checkpoints of ledgers that it has seen only grow."""

    vkey: WitnessKey
    name: str = ""
    operator: str = ""


class Policy(Value):
    """Whom to trust. An empty policy trusts nobody: every verdict is then UNTRUSTED at best.

    `quorum`: how many witnesses must have cosigned, 0 for none. `boards`, `agents` (digests of 16 bytes): which are
    accepted, all if empty. `anchor_age_s`: seconds that an anchor may be old, None for any age.
    """

    issuers: tuple[Issuer, ...] = ()
    gateways: tuple[Log, ...] = ()
    ledgers: tuple[Log, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    required: tuple[str, ...] = REQUIRABLE
    quorum: int = 0
    boards: tuple[str, ...] = ()
    agents: tuple[bytes, ...] = ()
    anchor_age_s: int | None = None
    bridges: tuple[Bridge, ...] = ()

    @property
    def asks_more(self) -> bool:
        """Does it ask for a board kind, an agent, or a young anchor?"""
        return bool(self.boards or self.agents or self.anchor_age_s is not None)

    def issuer(self, issuer_did: str) -> Issuer | None:
        """The trusted issuer of this DID."""
        return next((one for one in self.issuers if one.did == issuer_did), None)

    def gateway(self, origin: str) -> Log | None:
        """The trusted log of this origin."""
        return next((one for one in self.gateways if one.vkey.name == origin), None)

    def ledger(self, ledger: bytes) -> Log | None:
        """The trusted ledger of this id, a bridge or not."""
        known = (*self.ledgers, *self.bridges)
        return next((one for one in known if one.ledger == ledger), None)

    def bridge(self, ledger: bytes) -> Bridge | None:
        """The same if its anchors need a transaction on another ledger."""
        return next((one for one in self.bridges if one.ledger == ledger), None)


def parse(text: bytes) -> Policy:
    """The policy in `text`; `PolicyError` says the first thing that is wrong with it, and where."""
    from tallystick.policy_text import read

    return read(text)


def from_table(table: Mapping[str, Any]) -> Policy:
    """The same from the table that the TOML means, as shared vectors hold it in JSON."""
    from tallystick.policy_text import read_table

    return read_table(table)


def problems(text: bytes) -> tuple[Problem, ...]:
    """All that is wrong with a policy, in the order of its lines; nothing if it can be used."""
    from tallystick.policy_text import all_problems

    return all_problems(text)


def same_operator(first: Log | Witness | None, second: Log | Witness | None) -> str:
    """Who runs both, as the policy writes it; empty if they are different, or nobody says."""
    if first is None or second is None or not first.operator:
        return ""
    same = first.operator.casefold().split() == second.operator.casefold().split()
    return first.operator if same else ""


def doubts(policy: Policy) -> Iterator[str]:
    """What a policy may say, and its author may not have meant."""
    for what, trusted in (
        ("issuer", policy.issuers),
        ("gateway", policy.gateways),
        ("ledger", policy.ledgers + policy.bridges),
    ):
        if not trusted:
            yield f"no {what} is trusted: no proof can be VERIFIED"
    for ledger in (*policy.ledgers, *policy.bridges):
        for gateway in policy.gateways:
            if operator := same_operator(gateway, ledger):
                yield (
                    f"{operator} runs the gateway {gateway.vkey.name} and the ledger {ledger.vkey.name}: "
                    "the time bounds then rest on one party's word"
                )
        for witness in policy.witnesses:
            if operator := same_operator(witness, ledger):
                yield f"{operator} runs the ledger {ledger.vkey.name} and its witness {witness.vkey.name}"
    everyone: list[Log | Witness] = [
        *policy.gateways,
        *policy.ledgers,
        *policy.bridges,
        *policy.witnesses,
    ]
    for one in everyone:
        if not one.operator:
            yield f"nobody is named as the operator of {one.vkey.name}"
    if policy.witnesses and not policy.quorum:
        yield "witnesses are named, but none is required: [require] witnesses = 1"
    missing = [code for code in REQUIRABLE if code not in policy.required]
    if missing:
        yield f"not required, so that a proof without them passes: {' '.join(missing)}"
