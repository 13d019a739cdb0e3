"""What each verdict and each check means to whoever has to act on it: `tally verify --explain CODE`.

The tables in docs/field-guide.md are made from these (`python -m tools.field_guide`). Codes are those of
docs/format.md, sections 12 and 15.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tallystick_host.errors import UseError
from tallystick_host.explained_checks import CHECKS

__all__ = ["CHECKS", "ERRORS", "VERDICTS", "explain"]

# verdict: what it means, what to do
VERDICTS: Final[dict[str, tuple[str, str]]] = {
    "VERIFIED": (
        "every check that the policy requires ran and passed",
        "hand the file on; read what it does not prove, and the warnings",
    ),
    "TAMPERED": (
        "a check ran and failed: a signature, a hash or a path does not fit",
        (
            "fetch the proof again from the source; if it fails again, somebody changed it: keep both "
            "files, look at the failed check"
        ),
    ),
    "PENDING": (
        "all that can be checked without a ledger passed; no milestone confirms the anchor yet",
        "tally upgrade FILE --ledger URL after the next milestone",
    ),
    "UNTRUSTED": (
        "signatures and hashes fit, but your policy does not trust who signed, or the device was barred or cloned",
        "look at the untrusted check; tally policy check says whom the policy trusts",
    ),
    "UNDECIDED": (
        "something could not be checked: the file is malformed, or a part is missing",
        "look at the undecided check; fetch the proof again, with the part that is missing",
    ),
}

# the part of an error's code before the dot: what is malformed, and where the form is described
ERRORS: Final[dict[str, tuple[str, str]]] = {
    "cbor": (
        "the bytes are not deterministic CBOR: cut short, changed, or of another program",
        "1",
    ),
    "cose": ("a signed object has another form than ours", "3"),
    "key": ("a public key that must never be trusted", "2"),
    "did": ("a name that is no did:key, or a DID document that cannot be used", "2"),
    "signature": ("a signature does not verify", "3"),
    "field": ("a field has another type, length or range", "4"),
    "record": ("a record has another form", "4"),
    "chain": ("a record does not fit the chain", "5"),
    "message": ("an acknowledgement, command, challenge or grant has another form", "6"),
    "update": ("an update that a board, a gateway or tally update refuses", "6.1"),
    "merkle": ("a path leads elsewhere", "7"),
    "note": ("a signed note or a verifier key has another form", "7"),
    "checkpoint": ("a checkpoint has another form", "7"),
    "block": ("a block of the ledger has another form", "8"),
    "milestone": ("a milestone has another form", "8"),
    "confirmed": ("the way of a block into the ledger has another form", "8"),
    "receipt": ("a receipt of the ledger has another form", "8"),
    "statement": ("a statement about a device has another form", "9"),
    "credential": ("a credential has another form", "10"),
    "vc": ("a verifiable credential cannot be used", "10"),
    "status": ("a status list cannot be used", "10"),
    "json": ("JSON that others could read otherwise", "10"),
    "proof": ("the proof file has another form", "11"),
    "transaction": (
        "a transaction of another ledger has another form, or carries another note",
        "8.1",
    ),
    "senml": ("a SenML pack cannot be used; it is derived from records and never evidence", "15"),
    "tlog": ("a C2SP tlog object cannot be used", "15"),
    "scitt": ("a SCITT object cannot be used", "15"),
    "command": ("a command to a board was refused", "6"),
    "grant": ("a grant was refused", "6"),
    "session": ("a beacon that proves no fresh session", "6"),
    "policy": ("the policy cannot be used; tally policy check explains it line by line", "12"),
    "topic": ("an MQTT topic that is none of ours", "13"),
}


def explain(code: str) -> Iterator[str]:
    """The lines about a check, a verdict or an error's code; `UseError` if it is none."""
    if code.upper() in VERDICTS:
        means, do = VERDICTS[code.upper()]
        yield f"{code.upper()}: {means}"
        yield f"  what to do: {do}"
        return
    if code in CHECKS:
        asks, results = CHECKS[code]
        yield f"{code}: {asks}"
        for result, (means, do) in results.items():
            yield f"  {result}: {means}"
            yield f"    what to do: {do}"
        return
    noun, dot, _ = code.partition(".")
    if not dot or noun not in ERRORS:
        raise UseError(
            f"{code!r} is no code that a verdict can hold",
            hint=f"a verdict, a check ({', '.join(CHECKS)}), or an error's code",
        )
    means, section = ERRORS[noun]
    yield f"{code}: {means}"
    yield f"  where it is described: docs/format.md, section {section}, and the table of section 15"
    yield "  what to do: fetch the file again from its source; tally inspect FILE shows what can be read"
