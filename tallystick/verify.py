"""Verification of a proof, step by step (docs/format.md, section 12; the numbers in the comments
are its steps).

It needs the file and a policy and nothing else: no network, no clock, no word of the gateway's. A
check that could not be made says so; nothing is passed over in silence.

>>> verdict = verify(Path("reading.tally").read_bytes(), policy)         # doctest: +SKIP
>>> verdict.status                                                        # doctest: +SKIP
<Status.VERIFIED: 'VERIFIED'>
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tallystick import chain, data_integrity, did, limits, merkle, proof, status_list, timestamp
from tallystick.body import Beacon, Kind, Open, Readings, Rotate
from tallystick.chain import Chain, Finding, KeyPeriod, Result
from tallystick.errors import EvidenceError, KeyUnknownError, TallystickError
from tallystick.jcs import Object
from tallystick.keys import PublicKey
from tallystick.milestone import Confirmed, Milestone
from tallystick.policy import REQUIRABLE, Policy
from tallystick.proof import Proof
from tallystick.record import CLOCK_UNSET_BELOW, Record
from tallystick.statement import History, Status
from tallystick.status_list import StatusListCredential
from tallystick.verdict import Check, Outcome, Verdict

__all__ = ["verify"]

_BARRED = (Status.SUSPENDED, Status.STOLEN, Status.RETIRED)


def verify(data: bytes | Proof, policy: Policy, lists: Sequence[Object] = ()) -> Verdict:
    """The verdict on a proof file (its bytes, or parsed) under `policy`. Never raises for what is
    in the file, nor for what is in `lists`: status lists of the issuer that are at hand (JSON).
    """
    # 1. the form
    try:
        parsed = data if isinstance(data, Proof) else proof.parse(data)
    except TallystickError as error:
        return Verdict((Check("proof.format", Outcome.UNDECIDED, str(error)),))
    return _Verification(parsed, policy, lists).run()


class _Verification:
    """One proof under one policy; each method is a step and adds its checks."""

    def __init__(self, parsed: Proof, policy: Policy, lists: Sequence[Object]) -> None:
        self.proof = parsed
        self.policy = policy
        self.lists = lists
        self.checks: list[Check] = [Check("proof.format", Outcome.OK)]
        self.notes: list[str] = []
        self.not_before: int | None = None
        self.forked: list[str] = []  # forks among links and records
        self.periods: list[KeyPeriod] = []
        self.keys: dict[bytes, PublicKey] = {}
        self.good: set[bytes] = set()  # bytes of the records whose signature verified

    def run(self) -> Verdict:
        credential = self.proof.credential
        if credential is None:
            self._add("device.credential", Outcome.UNDECIDED, "no credential in the file")
            return self._verdict()
        self._credential()
        if self._device_keys(credential.device_key):
            self._signatures()
            self._opens()
            self._chain(credential.device_key)
            self._forks()
        self._log()
        self._anchor()
        self._statements(credential.device_key)
        self._status_lists()
        self._time()
        return self._verdict()

    # ---- 2. whose record is it

    def _credential(self) -> None:
        credential = self.proof.credential
        if credential is None:
            return
        code = "device.credential"
        issuer = self.policy.issuer(credential.issuer)
        if issuer is None:
            self._add(code, Outcome.UNTRUSTED, f"issuer {credential.issuer} is not in the policy")
            return
        try:
            credential.signed.verify(issuer.key)
        except EvidenceError as error:
            self._add(code, Outcome.FAILED, error.detail)
            return
        if credential.role is not None:
            self._add(code, Outcome.UNTRUSTED, f"a credential for a person: {credential.role}")
            return
        anchor = self.proof.anchor
        if anchor is not None and not credential.valid_at(anchor.milestone.time):
            self._add(code, Outcome.UNTRUSTED, "not valid at the time of the anchor")
            return
        self._add(code, Outcome.OK, f"issued by {issuer.name or issuer.did}")

    # ---- 3. the keys of the device

    def _device_keys(self, first: PublicKey) -> bool:
        p = self.proof
        walk = (*p.links, *p.records)
        turns = {r.raw: r for r in (*p.rotations, *walk) if r.kind is Kind.ROTATE}
        rotations = sorted(turns.values(), key=lambda one: one.seq)
        named = _named_period(p, first, rotations)
        try:
            self.periods = chain.key_periods(first, rotations, named)
        except TallystickError as error:
            # a rotation by a key that nothing in the file introduces: one before it was left out
            missing = error.code == "signature.key"
            self._add("device.key", Outcome.UNDECIDED if missing else Outcome.FAILED, error.detail)
            return False
        self.keys = {period.key.kid: period.key for period in self.periods}
        count = len(self.periods) - 1
        self._add("device.key", Outcome.OK, f"first key, {count} later" if count else "first key")
        return True

    # ---- 4. signatures

    def _signatures(self) -> None:
        p = self.proof
        bad: list[str] = []
        unknown: list[str] = []
        everything = [*p.links, *p.opens, *p.records, *(r for pair in p.forks for r in pair)]
        for one in everything:
            key = self.keys.get(one.signed.kid)
            if key is None:
                unknown.append(f"seq {one.seq}: key {one.signed.kid.hex()} is not the device's")
                continue
            try:
                one.signed.verify(key)
            except EvidenceError as error:
                bad.append(f"seq {one.seq}: {error.detail}")
            else:
                self.good.add(one.raw)
        code = "record.signature"
        if bad:
            self._add(code, Outcome.FAILED, _some(bad))
        elif unknown:
            self._add(code, Outcome.UNDECIDED, _some(unknown))
        else:
            self._add(code, Outcome.OK, f"{len(p.records)} record(s) signed by the device")

    # ---- 5. what the readings mean

    def _opens(self) -> None:
        p = self.proof
        opens = {r.seq: r for r in (*p.opens, *p.links, *p.records) if r.kind is Kind.OPEN}
        missing: list[str] = []
        wrong: list[str] = []
        # stops who holds a replaced key from giving the columns another meaning
        replaced = [r.seq for r in p.opens if r.signed.kid != self._in_force(r.seq).kid]
        readings = [(r.seq, r.body) for r in p.records if isinstance(r.body, Readings)]
        for seq, body in readings:
            opened = opens.get(body.boot)
            if opened is None or not isinstance(opened.body, Open):
                missing.append(f"seq {seq}: open {body.boot} is not in the file")
            elif len(opened.body.channels) != len(body.columns):
                wrong.append(f"seq {seq}: columns do not fit open {body.boot}")
        code = "record.open"
        if wrong:
            self._add(code, Outcome.FAILED, _some(wrong))
        elif missing:
            self._add(code, Outcome.UNDECIDED, _some(missing))
        elif replaced:
            self._add(code, Outcome.UNTRUSTED, f"open {replaced[0]}: its key is not in force there")
        elif readings:
            self._add(code, Outcome.OK, f"{len(readings)} readings record(s) with their open")
        else:
            self._add(code, Outcome.SKIPPED, "no readings in the file")

    # ---- 6. the chain

    def _chain(self, first_key: PublicKey) -> None:
        p = self.proof
        walk = [*p.links, *p.records]
        if any(one.raw not in self.good for one in walk):
            self._add("chain.link", *_raw_links(walk, self.good))
            self._add("chain.gap", Outcome.SKIPPED, "needs all signatures")
            return
        start = walk[0].seq
        before = [one for one in self.periods if one.start <= start]
        state = Chain(first_key, start=start, periods=before)
        state.periods += [
            one
            for one in self.periods
            if one.start > start
            and not any(r.kind is Kind.ROTATE and r.seq == one.start - 1 for r in walk)
        ]
        refused: list[str] = []
        found: list[tuple[Record, Finding]] = []
        for one in walk:
            try:
                found.append((one, state.admit(one, verified=True)))
            except TallystickError as error:
                refused.append(f"seq {one.seq}: {error.detail}")
        forked = [f"seq {r.seq}: {f.detail}" for r, f in found if f.result is Result.FORK]
        disowned = [f"seq {r.seq}" for r, f in found if f.result is Result.DISOWNED]
        if refused:
            self._add("chain.link", Outcome.FAILED, _some(refused))
        elif forked:
            self._add("chain.link", Outcome.UNTRUSTED, _some(forked))
            self.forked += forked
        else:
            self._add("chain.link", Outcome.OK, _linked(walk))
        if disowned:
            self._add("chain.disowned", Outcome.UNTRUSTED, _some(disowned))
        self._gaps(state)

    def _gaps(self, state: Chain) -> None:
        if state.missing:
            holes = ", ".join(_span(hole) for hole in state.missing[:8])
            self._add("chain.gap", Outcome.UNDECIDED, f"missing, and no event explains it: {holes}")
        elif state.given_up:
            holes = ", ".join(_span(hole) for hole in state.given_up[:8])
            self._add("chain.gap", Outcome.OK, f"missing, and the board says so itself: {holes}")
        else:
            self._add("chain.gap", Outcome.OK, "none")

    def _forks(self) -> None:
        p = self.proof
        marked = list(self.forked)
        places = {r.seq: r for r in (*p.links, *p.records)}
        for one in (*p.opens, *p.rotations):
            other = places.get(one.seq)
            if other is not None and other.id != one.id and other.raw in self.good:
                marked.append(
                    f"fork at seq {one.seq}: {other.id.hex()[:16]} and {one.id.hex()[:16]}"
                )
        useless = 0
        for first, second in p.forks:
            seq = _fork_seq(first, second)
            if seq is None or first.raw not in self.good or second.raw not in self.good:
                useless += 1
                continue
            hit = [r.seq for r in p.records if r.seq >= seq and r.signed.kid == second.signed.kid]
            pair = f"fork at seq {seq}: {first.id.hex()[:16]} and {second.id.hex()[:16]}"
            if hit:
                marked.append(pair)
            else:
                self.notes.append(f"a later {pair}")
        code = "chain.fork"
        if marked:
            self._add(code, Outcome.UNTRUSTED, _some(marked) + " (a cloned or restored key)")
        elif useless:
            self._add(code, Outcome.UNDECIDED, f"{useless} fork part(s) that prove no fork")
        else:
            self._add(code, Outcome.OK, "none in the file")

    # ---- 7 and 8. the log

    def _log(self) -> None:
        p = self.proof
        checkpoint = p.checkpoint
        if checkpoint is None:
            return
        if not p.inclusions:
            self._add("log.inclusion", Outcome.UNDECIDED, "no inclusion in the file")
        else:
            bad: list[str] = []
            for one, inclusion in zip(p.records, p.inclusions, strict=True):
                try:
                    merkle.verify_inclusion(
                        merkle.leaf_hash(one.raw),
                        inclusion.index,
                        checkpoint.size,
                        inclusion.path,
                        checkpoint.root,
                    )
                except TallystickError as error:
                    bad.append(f"seq {one.seq}: {error.detail}")
            if bad:
                self._add("log.inclusion", Outcome.FAILED, _some(bad))
            else:
                self._add("log.inclusion", Outcome.OK, f"in a log of {checkpoint.size}")
        code = "checkpoint.signature"
        gateway = self.policy.gateway(checkpoint.origin)
        if gateway is None:
            self._add(code, Outcome.UNTRUSTED, f"log {checkpoint.origin!r} is not in the policy")
            return
        try:
            checkpoint.verify(gateway.vkey)
        except (EvidenceError, KeyUnknownError) as error:
            self._add(code, Outcome.FAILED, error.detail)
        else:
            strangers = len(checkpoint.note.signatures) - 1
            if strangers:
                self.notes.append(f"{strangers} signature line(s) of other keys were ignored")
            self._add(code, Outcome.OK, f"signed by {gateway.name or checkpoint.origin}")

    # ---- 9. the ledger

    def _anchor(self) -> None:
        anchor = self.proof.anchor
        if anchor is None:
            self._add("ledger.inclusion", Outcome.PENDING, "not anchored yet")
            self._add("ledger.milestone", Outcome.PENDING, "not anchored yet")
            return
        self._add("ledger.inclusion", *_inclusion(anchor))
        self._add("ledger.milestone", *self._milestone(anchor.milestone))

    def _milestone(self, milestone: Milestone) -> tuple[Outcome, str]:
        ledger = self.policy.ledger(milestone.ledger)
        if ledger is None:
            return Outcome.UNTRUSTED, f"ledger {milestone.ledger.hex()} is not in the policy"
        try:
            milestone.verify(ledger.vkey.key)
        except EvidenceError as error:
            return Outcome.FAILED, error.detail
        by = f", operated by {ledger.operator}" if ledger.operator else ""
        return Outcome.OK, f"milestone {milestone.index} of ledger {milestone.ledger.hex()}{by}"

    # ---- 10. the standing of the device

    def _statements(self, first_key: PublicKey) -> None:
        p = self.proof
        code = "device.status"
        if not p.statements:
            self._add(code, Outcome.SKIPPED, "no statements about the device in the file")
            return
        credential = p.credential
        issuer = self.policy.issuer(credential.issuer) if credential else None
        issuers = [issuer.key] if issuer else []
        newest = (p.anchor or p.statements[0][0]).milestone
        ledger = newest.ledger
        history = History(did.did_key(first_key), ledger, issuers)
        at_anchor = Status.UNKNOWN
        missing = False
        for confirmed, statement in p.statements:
            if confirmed.milestone.ledger != ledger:
                self._add(code, Outcome.UNDECIDED, "a statement in another ledger than the anchor")
                return
            for result, detail in (_inclusion(confirmed), self._milestone(confirmed.milestone)):
                if result is not Outcome.OK:
                    self._add(code, result, f"statement at {confirmed.position}: {detail}")
                    return
            missing = missing or history.misses(statement)
            effect = history.apply(statement, confirmed.position, confirmed.milestone.time)
            if not effect.took:
                kind = statement.kind.name.lower()
                self.notes.append(
                    f"statement {kind!r} at {confirmed.position} had no effect: {effect.detail}"
                )
            # what no path ties to the anchor may be as young as the newest statement
            early = p.anchor is None or confirmed.position < p.anchor.position
            if early or not self._anchored():
                at_anchor = history.status
            if confirmed.milestone.index > newest.index:
                newest = confirmed.milestone
        if history.status is not at_anchor:
            self.notes.append(f"after the anchor the device became {history.status}")
        if at_anchor in _BARRED:
            self._add(code, Outcome.UNTRUSTED, f"{at_anchor} before the anchor's position")
        elif missing:
            # stops whoever hands over the file from leaving out the one statement that matters
            self._add(code, Outcome.UNDECIDED, "a statement names one that is not in the file")
        else:
            self._add(code, Outcome.OK, f"{at_anchor}, as of milestone {newest.index}")

    # ---- 10, for a credential that refers to status lists

    def _status_lists(self) -> None:
        p = self.proof
        code = "credential.status"
        credential = p.credential
        reference = credential.status if credential else None
        issuer = self.policy.issuer(credential.issuer) if credential else None
        if reference is None:
            return
        place = f"status list {reference.list}, index {reference.index}"
        found: list[StatusListCredential] = []
        for given in self.lists:
            try:
                one = status_list.parse(given)
                if one.number == reference.list and issuer is not None:
                    # whatever name the issuer has in it: the policy's key must have signed the list
                    data_integrity.verify(given, issuer.key)
                    one.list.get(reference.index)
                    found.append(one)
            except TallystickError as error:
                self._add(
                    code, Outcome.UNDECIDED, f"a status list that says nothing: {error.detail}"
                )
                return
        if not found:
            self._add(code, Outcome.SKIPPED, f"{place} is not at hand")
            return
        barring = [one for one in found if one.list.get(reference.index)]
        anchored_at = p.anchor.milestone.time if p.anchor and self._anchored() else None
        if not barring:
            as_of = timestamp.text(min(one.valid_from for one in found))
            said = " or ".join(sorted(one.purpose for one in found))
            self._add(code, Outcome.OK, f"no {said} in {place}, as of {as_of}")
            return
        oldest = min(barring, key=lambda one: one.valid_from)
        detail = f"{oldest.purpose} in {place}, as of {timestamp.text(oldest.valid_from)}"
        if anchored_at is None or anchored_at >= oldest.valid_from:
            self._add(code, Outcome.UNTRUSTED, detail)
        elif self._outcome("device.status") is Outcome.OK:
            self.notes.append(f"{detail}; at the anchor the device's statements count")
        else:
            # a list says that it is so, not since when
            self._add(
                code, Outcome.UNDECIDED, f"{detail}: later than the anchor; since when is not said"
            )

    # ---- 11. between which two moments

    def _time(self) -> None:
        p = self.proof
        code = "time.window"
        not_after = p.anchor.milestone.time if p.anchor and self._anchored() else None
        if p.before is not None and not self._not_before(p.before):
            return
        if self.not_before is None and not_after is None:
            self._add(code, Outcome.SKIPPED, "no milestone before or after")
            return
        if self.not_before is not None and not_after is not None and self.not_before > not_after:
            self._add(code, Outcome.FAILED, "the milestone before is later than the one after")
            return
        for one in p.records:
            early = self.not_before is not None and one.time < self.not_before
            late = not_after is not None and one.time > not_after
            if one.time >= CLOCK_UNSET_BELOW and (early or late):
                self.notes.append(f"the board's clock at seq {one.seq} lies outside the window")
                break
        self._add(code, Outcome.OK)

    def _not_before(self, before: Milestone) -> bool:
        """Does the chain embed `before`, so that the records are younger? Adds the check if not."""
        p = self.proof
        code = "time.window"
        first = (*p.links, *p.records)[0]
        embeds = first.body.milestone if isinstance(first.body, Beacon | Open) else None
        if embeds is None or (embeds.ledger, embeds.id) != (before.ledger, before.id):
            self._add(code, Outcome.UNDECIDED, "the milestone before is not the one in the chain")
            return False
        if p.anchor is not None and p.anchor.milestone.ledger != before.ledger:
            # two ledgers are two clocks
            self._add(code, Outcome.UNDECIDED, "the milestone before is of another ledger")
            return False
        linked = self._outcome("chain.link"), self._outcome("chain.gap")
        unbroken = (*p.links, *p.records)[-1].seq - first.seq == len(p.links) + len(p.records) - 1
        if linked != (Outcome.OK, Outcome.OK) or not unbroken:
            self._add(code, Outcome.UNDECIDED, "the chain back to the milestone is broken")
            return False
        result, detail = self._milestone(before)
        if result is not Outcome.OK:
            self._add(code, result, f"milestone before: {detail}")
            return False
        self.not_before = before.time
        return True

    # ---- the end

    def _add(self, code: str, result: Outcome, detail: str = "") -> None:
        if (
            code in REQUIRABLE
            and code not in self.policy.required
            and result
            not in (
                Outcome.OK,
                Outcome.FAILED,
            )
        ):
            result, detail = Outcome.SKIPPED, f"not required: {detail}"
        self.checks.append(Check(code, result, detail))

    def _in_force(self, seq: int) -> PublicKey:
        return Chain(self.periods[0].key, periods=self.periods).key_at(seq)

    def _anchored(self) -> bool:
        """Is every record tied to the milestone of a trusted ledger?"""
        codes = ("log.inclusion", "ledger.inclusion", "ledger.milestone")
        return all(self._outcome(code) is Outcome.OK for code in codes)

    def _outcome(self, code: str) -> Outcome | None:
        return next((check.result for check in self.checks if check.code == code), None)

    def _verdict(self) -> Verdict:
        p = self.proof
        anchor = p.anchor
        return Verdict(
            checks=tuple(self.checks),
            device=p.credential.subject if p.credential else None,
            issuer=p.credential.issuer if p.credential else None,
            first=p.records[0].seq,
            last=p.records[-1].seq,
            readings=sum(r.body.count for r in p.records if isinstance(r.body, Readings)),
            not_before=self.not_before,
            not_after=anchor.milestone.time if anchor and self._anchored() else None,
            gateway=p.checkpoint.origin if p.checkpoint else None,
            ledger=anchor.milestone.ledger.hex() if anchor else None,
            notes=tuple(self.notes),
        )


def _named_period(p: Proof, first: PublicKey, rotations: Sequence[Record]) -> KeyPeriod | None:
    """From where on the key is in force that the credential names and no rotation led to."""
    key = p.credential.key if p.credential else None
    if (
        key is None
        or key == first
        or any(r.body.key == key for r in rotations if isinstance(r.body, Rotate))
    ):
        return None
    used = (r for r in (*p.links, *p.opens, *p.records, *rotations) if r.signed.kid == key.kid)
    at = min(used, key=lambda one: one.seq, default=None)
    if at is None:
        return KeyPeriod(limits.SEQ, key)
    # its `open` need not be in the file: the key was in force before what is
    return KeyPeriod(at.seq if at.kind is Kind.OPEN else max(at.seq - 1, 1), key)


def _inclusion(confirmed: Confirmed) -> tuple[Outcome, str]:
    try:
        confirmed.verify_inclusion()
    except TallystickError as error:
        return Outcome.FAILED, error.detail
    return Outcome.OK, f"position {confirmed.position} of {confirmed.milestone.size} blocks"


def _raw_links(walk: Sequence[Record], good: set[bytes]) -> tuple[Outcome, str]:
    """What can be said of the links when a signature failed."""
    for before, after in itertools.pairwise(walk):
        broken = after.seq == before.seq + 1 and after.prev != before.id
        if broken and not (before.raw in good and after.raw in good):
            return Outcome.FAILED, f"seq {after.seq} does not continue seq {before.seq}"
    return Outcome.SKIPPED, "needs all signatures"


def _fork_seq(first: Record, second: Record) -> int | None:
    """Where the two records fork, None if they do not."""
    if first.signed.kid != second.signed.kid:
        return None
    if first.seq > second.seq:
        first, second = second, first
    if first.seq == second.seq and first.id != second.id:
        return first.seq
    if first.seq + 1 == second.seq and second.prev != first.id:
        return first.seq
    if first.kind is Kind.ROTATE and first.seq < second.seq:  # signed by the key that it replaced
        return first.seq + 1
    return None


def _linked(walk: Sequence[Record]) -> str:
    pairs = sum(b.seq == a.seq + 1 for a, b in itertools.pairwise(walk))
    return f"{pairs} link(s)" if len(walk) > 1 else "one record, nothing to link"


def _span(hole: range) -> str:
    return str(hole.start) if len(hole) == 1 else f"{hole.start}..{hole.stop - 1}"


def _some(reasons: Sequence[str]) -> str:
    """The first three reasons and how many more there are."""
    more = f" (and {len(reasons) - 3} more)" if len(reasons) > 3 else ""
    return "; ".join(reasons[:3]) + more
