"""The report as a whole: what the template draws."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tallystick.body import Readings
from tallystick.policy import Policy
from tallystick.proof import Proof
from tallystick.verdict import Status, Verdict
from tallystick_host import page as verify_page
from tallystick_host import sentence
from tallystick_host.page.assembly import FOLDER as PAGE_FOLDER
from tallystick_host.page.assembly import source_hash
from tallystick_host.report import by_hand, chart, device, ladder, marks
from tallystick_host.words import rfc3339

__all__ = ["Given", "render"]

FOLDER: Final = Path(__file__).resolve().parent
STRIP: Final = 180  # marks of the chain strip
_BASE64_LINE: Final = 76
_MARK_LOOKS: Final = (
    ("readings", "readings"),
    ("open", "restart"),
    ("beacon", "beacon"),
    ("event", "event"),
    ("rotate", "new key"),
    ("gap", "missing"),
    ("bad", "bad record"),
)


@dataclass(frozen=True)
class Given:
    """What a report is made of. `made_at`: Unix seconds; `name`: what people call the board; `report`: the name of the
    file that the report goes to; `version`: of the program.
    """

    data: bytes
    proof: Proof
    verdict: Verdict
    policy: Policy
    file: str
    name: str
    report: str
    made_at: int
    version: str


def render(given: Given) -> str:
    """The HTML of the report."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = verify_page.look() + (FOLDER / "report.css").read_text()
    return environment.get_template("report.html.j2").render(
        style=style, style_hash=source_hash(style), **_values(given)
    )


def _values(given: Given) -> dict[str, Any]:
    proof, verdict, policy = given.proof, given.verdict, given.policy
    bad = marks.bad_records(proof)
    number = next((i for i, r in enumerate(proof.records) if isinstance(r.body, Readings)), 0)
    strip = marks.marks(proof, verdict, bad, STRIP)
    looks = {one.look for one in strip}
    return {
        "given": given,
        "verdict": verdict,
        "proof": proof,
        "sentence": _sentence(verdict, given.name),
        "not_proven": sentence.not_proven(verdict),
        "checks": [(one, titles().get(one.code, one.code)) for one in verdict.checks],
        "bounds": _bounds(given),
        "chart": chart.chart(proof, verdict, bad),
        "strip": strip,
        "legend": [(look, words) for look, words in _MARK_LOOKS if look in looks],
        "record": proof.records[number],
        "log": ladder.of_record(proof, number),
        "ledger": None if proof.anchor is None else ladder.of_anchor(proof.anchor),
        "facts": list(device.facts(proof, policy, given.name)),
        "history": device.history(proof, policy, verdict),
        "by_hand": by_hand.script(given.data, proof, policy, given.report),
        "sha256": sha256(given.data).hexdigest(),
        "embedded": _wrapped(given.data),
        "made": rfc3339(given.made_at),
        "shaky": verdict.status not in (Status.VERIFIED, Status.PENDING),
    }


@lru_cache(maxsize=1)
def titles() -> Mapping[str, str]:
    """Each check in words, as the page has them."""
    found: Mapping[str, str] = json.loads((PAGE_FOLDER / "checks.json").read_text())
    return found


def _sentence(verdict: Verdict, name: str) -> str:
    text = sentence.sentence(verdict, name)
    return text[:1].upper() + text[1:].removesuffix(".") + "."


def _bounds(given: Given) -> dict[str, str]:
    proof, verdict = given.proof, given.verdict
    ledger = None if proof.anchor is None else given.policy.ledger(proof.anchor.milestone.ledger)
    found = {"before": "", "after": "", "claim": "", "ledger": verdict.ledger or ""}
    if verdict.not_before is not None:
        found["before"] = rfc3339(verdict.not_before)
    if verdict.not_after is not None:
        found["after"] = rfc3339(verdict.not_after)
    if verdict.claimed is not None:
        start, end = map(rfc3339, verdict.claimed)
        found["claim"] = start if start == end else f"{start} to {end}"
    if ledger is not None and ledger.operator:
        found["ledger"] += f", operated by {ledger.operator}"
    return found


def _wrapped(data: bytes) -> str:
    text = base64.b64encode(data).decode()
    return "\n".join(text[i : i + _BASE64_LINE] for i in range(0, len(text), _BASE64_LINE))
