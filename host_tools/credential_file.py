"""A credential in a file, as a CWT or as a verifiable credential: taken apart, and judged offline.

The checks, each with a stable code:

* `credential.format`     one of the two forms
* `credential.signature`  signed in the issuer's name
* `credential.issuer`     by the key of an issuer in the policy
* `credential.validity`   at the moment asked for
* `credential.status`     neither suspended nor revoked, in the status lists at hand, as of their time
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tallystick import credential, data_integrity, did, jcs, record, status_list, vc
from tallystick import limits as library_limits
from tallystick.credential import StatusReference
from tallystick.did_document import DidDocument
from tallystick.errors import EvidenceError, KeyUnknownError, TallystickError
from tallystick.jcs import Object
from tallystick.keys import PublicKey
from tallystick.policy import Policy
from tallystick.status_list import StatusListCredential
from tallystick.vc import DeviceCredential
from tallystick.verdict import Check, Outcome, Verdict
from tallystick_host import files
from tallystick_host.words import rfc3339

__all__ = ["CredentialFile", "judge", "read"]


@dataclass(frozen=True)
class CredentialFile:
    """What a file holds: the facts, and the CWT or the document that says them. Nothing is verified."""

    facts: DeviceCredential
    cwt: credential.Credential | None = None
    document: Object | None = None

    @property
    def reference(self) -> StatusReference | None:
        """The place in the status lists, of a CWT."""
        return self.cwt.status if self.cwt is not None else None

    def shown(self) -> dict[str, object]:
        """For `--json`."""
        held, reference = self.facts, self.reference
        places: list[dict[str, object]] = [
            {"purpose": one.purpose.value, "index": one.index, "list": one.list}
            for one in held.status
        ]
        if reference is not None:
            places = [{"number": reference.list, "index": reference.index}]
        return {
            "schema": 1,
            "form": "cwt" if self.cwt is not None else "vc",
            "issuer": held.issuer,
            "subject": held.subject,
            "id": record.device_id(did.public_key(held.subject)).hex(),
            "role": held.role,
            "board": None if self.cwt is None else self.cwt.board,
            "not_before": rfc3339(held.not_before),
            "expires": None if held.expires is None else rfc3339(held.expires),
            "key_in_force": None if held.key is None else did.did_key(held.key),
            "status": places,
        }


def read(path: Path) -> CredentialFile:
    """The credential in a file; a `TallystickError` says why it is none."""
    data = files.read(path, library_limits.VC_BYTES)
    if data.lstrip()[:1] == b"{":
        document = jcs.parse(data)
        return CredentialFile(vc.parse(document), document=document)
    held = credential.parse(data)
    facts = DeviceCredential(
        held.issuer, held.subject, held.not_before, held.expires, held.key, held.role
    )
    return CredentialFile(facts, cwt=held)


def judge(
    given: CredentialFile,
    trusted: Policy,
    at: int,
    lists: Sequence[Object] = (),
    dids: Sequence[DidDocument] = (),
) -> Verdict:
    """The verdict at the moment `at` (Unix seconds), with the status lists and DID documents at hand."""
    form = "a CWT" if given.cwt is not None else "a verifiable credential"
    judgement = _Judgement(given, trusted, dids)
    judgement.add("credential.format", Outcome.OK, form)
    if judgement.signature():
        judgement.issuer()
        judgement.validity(at)
        judgement.status(lists)
    return Verdict(tuple(judgement.checks), device=given.facts.subject, issuer=given.facts.issuer)


@dataclass
class _Judgement:
    given: CredentialFile
    trusted: Policy
    dids: Sequence[DidDocument]
    checks: list[Check] = field(default_factory=list)
    key: PublicKey | None = None

    def add(self, code: str, result: Outcome, detail: str) -> None:
        self.checks.append(Check(code, result, detail))

    def signature(self) -> bool:
        """Whose signature is it? False ends the judgement."""
        code = "credential.signature"
        try:
            if self.given.document is not None:
                self.key = vc.signing_key(self.given.document, self.dids)
                data_integrity.verify(self.given.document, self.key)
            elif self.given.cwt is not None:
                self.key = did.public_key(self.given.cwt.issuer)
                self.given.cwt.signed.verify(self.key)
        except KeyUnknownError as error:
            self.add(code, Outcome.UNDECIDED, f"{error.detail}: --did-document FILE gives it")
        except EvidenceError as error:
            self.add(code, Outcome.FAILED, error.detail)
        except TallystickError as error:
            self.add(code, Outcome.UNDECIDED, error.detail)
        else:
            self.add(code, Outcome.OK, f"signed by {self.given.facts.issuer}")
            return True
        return False

    def issuer(self) -> None:
        code = "credential.issuer"
        found = next((one for one in self.trusted.issuers if one.key == self.key), None)
        if found is None:
            detail = f"issuer {self.given.facts.issuer} is not in the policy"
            self.add(code, Outcome.UNTRUSTED, detail)
        else:
            self.add(code, Outcome.OK, found.name or found.did)

    def validity(self, at: int) -> None:
        held = self.given.facts
        until = "for good" if held.expires is None else f"until {rfc3339(held.expires)}"
        detail = f"from {rfc3339(held.not_before)} {until}, asked for {rfc3339(at)}"
        result = Outcome.OK if held.valid_at(at) else Outcome.UNTRUSTED
        self.add("credential.validity", result, detail)

    def status(self, lists: Sequence[Object]) -> None:
        code = "credential.status"
        if not self.given.facts.status and self.given.reference is None:
            self.add(code, Outcome.SKIPPED, "it refers to no status list")
            return
        said: list[tuple[bool, str]] = []
        for given in lists:
            try:
                held = status_list.parse(given)
                bit = self._bit(held)
                if bit is None:
                    continue
                if self.key is not None:
                    data_integrity.verify(given, self.key)
            except TallystickError as error:
                self.add(
                    code, Outcome.UNDECIDED, f"a status list that says nothing: {error.detail}"
                )
                return
            done = "set" if bit else "not set"
            said.append((bit, f"{held.purpose} {done} as of {rfc3339(held.valid_from)}"))
        if not said:
            self.add(code, Outcome.SKIPPED, "its status lists are not at hand")
            return
        barred = any(bit for bit, _ in said)
        detail = ", ".join(text for _, text in said)
        self.add(code, Outcome.UNTRUSTED if barred else Outcome.OK, detail)

    def _bit(self, held: StatusListCredential) -> bool | None:
        """What the list says of this credential; None if it is another list."""
        reference = self.given.reference
        if reference is not None:
            return held.list.get(reference.index) if held.number == reference.list else None
        entry = next((one for one in self.given.facts.status if one.list == held.id), None)
        return None if entry is None else vc.is_set(entry, held)
