"""How far the files of each device reach: what lies between them and is not at hand, and whether the end is cut off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tallystick import cbor, limits, message, proof, verify
from tallystick.cose import TYP_LABEL, Typ
from tallystick.errors import TallystickError
from tallystick.policy import Policy
from tallystick.record import device_id
from tallystick.verdict import Outcome, Verdict
from tallystick.verification.tail import Head
from tallystick_host import files
from tallystick_host.errors import UseError
from tallystick_host.words import plural, shown, shown_path, span

__all__ = ["Reach", "read_head"]

_SHOWN: Final = 20  # devices


class Reach:
    """Takes note of which seqs of which device each file holds."""

    def __init__(self) -> None:
        self._spans: dict[str, list[tuple[int, int, int]]] = {}  # did -> (first, last, file number)

    def see(self, number: int, verdict: Verdict) -> None:
        """The verdict on file `number`."""
        if verdict.device and verdict.first is not None and verdict.last is not None:
            self._spans.setdefault(verdict.device, []).append((verdict.first, verdict.last, number))

    def tails(self, heads: Mapping[bytes, Sequence[Head]]) -> dict[int, list[Head]]:
        """For each device of which later heads are known, those heads, at the file that reaches farthest."""
        found: dict[int, list[Head]] = {}
        for did, spans in self._spans.items():
            known = heads.get(_id(did))
            if known:
                farthest = max(spans, key=lambda one: one[1])
                found.setdefault(farthest[2], []).extend(known)
        return found

    def summary(self, names: Mapping[str, str]) -> Iterator[str]:
        """A line for each device with several files, of which something lies between them."""
        lines = [line for did in self._spans if (line := self._line(did, names))]
        yield from lines[:_SHOWN]
        if len(lines) > _SHOWN:
            more = plural(len(lines) - _SHOWN, "device")
            yield f"and {more} more with records between the files that are not at hand"

    def _line(self, did: str, names: Mapping[str, str]) -> str:
        holes: list[tuple[int, int]] = []
        end: int | None = None
        for first, last, _ in sorted(self._spans[did]):
            if end is not None and first > end + 1:
                holes.append((end + 1, first - 1))
            end = max(last, last if end is None else end)
        if not holes:
            return ""
        name = shown(names.get(did, "")) or f"board {_id(did).hex()}"
        missing = sum(last - first + 1 for first, last in holes)
        where = ", ".join(span(*hole) for hole in holes[:5]) + (", ..." if len(holes) > 5 else "")
        return f"{name}: between the files, {plural(missing, 'record')} not at hand: seq {where}"


def read_head(path: str, policy: Policy) -> tuple[bytes, Head]:
    """(device id, head) that a file proves: an acknowledgement of a gateway that the policy trusts, or a proof.

    `UseError` if it proves none.
    """
    name = shown_path(path)
    data = files.read(path, limits.PROOF_BYTES)
    try:
        if _typ(data) == Typ.ACKNOWLEDGEMENT:
            return _acknowledged(data, policy, name)
        return _proven(data, policy, name)
    except TallystickError as error:
        raise UseError(f"--head {name!r}: {error.detail}", code=error.code) from error


def _acknowledged(data: bytes, policy: Policy, name: str) -> tuple[bytes, Head]:
    one = message.parse_acknowledgement(data)
    gateway = next(
        (log for log in policy.gateways if log.vkey.key.kid == one.signed.kid),
        None,
    )
    if gateway is None:
        raise UseError(f"--head {name!r}: no gateway of the policy signed this acknowledgement")
    one.signed.verify(gateway.vkey.key)
    if one.upto is None or one.id is None:
        raise UseError(f"--head {name!r}: an acknowledgement of nothing names no record")
    return one.device, Head(one.upto, one.id, f"an acknowledgement of {gateway.vkey.name}")


def _proven(data: bytes, policy: Policy, name: str) -> tuple[bytes, Head]:
    parsed = proof.parse(data)
    verdict = verify.verify(parsed, policy)
    signed = verdict.check("record.signature")
    credential = verdict.check("device.credential")
    for check in (credential, signed):
        if check is None or check.result is not Outcome.OK:
            detail = f"{check.code}: {check.detail}" if check else "no credential"
            raise UseError(f"--head {name!r} proves no record of a device: {detail}")
    last = parsed.records[-1]
    return _id(verdict.device or ""), Head(last.seq, last.id, name)


def _id(did_key: str) -> bytes:
    from tallystick import did

    return device_id(did.public_key(did_key))


def _typ(data: bytes) -> object:
    """The `typ` of a signed object, None of anything else."""
    value = cbor.decode(data)
    if not isinstance(value, cbor.Tagged) or not isinstance(value.value, list) or not value.value:
        return None
    header = value.value[0]
    protected = cbor.decode(header) if isinstance(header, bytes) else None
    return protected.get(TYP_LABEL) if isinstance(protected, dict) else None
