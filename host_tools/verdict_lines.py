"""A verdict as lines for a person: the sentence, the checks, the times, what to look at, what was not proven."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.proof import Proof
from tallystick.verdict import Verdict
from tallystick_host import sentence, terminal
from tallystick_host.words import columns, plural, rfc3339, runs, shown, span

__all__ = ["lines"]

_WIDE = 4096


def lines(file: str, verdict: Verdict, name: str = "", proof: Proof | None = None) -> Iterator[str]:
    """All lines; with `proof`, each hash step as well."""
    status = terminal.styled(str(verdict.status))
    yield f"{file}: {status}: {shown(sentence.sentence(verdict, name), _WIDE)}"
    rows = [[str(check.result), check.code, shown(check.detail, _WIDE)] for check in verdict.checks]
    yield from columns(rows, indent="  ")
    yield from _window(verdict)
    yield from _gaps(verdict)
    if verdict.bad:
        where = ", ".join(span(*one) for one in runs(verdict.bad))
        yield f"  bad: {plural(len(verdict.bad), 'record')}: seq {where}"
    for warning in verdict.warnings:
        yield f"  warning: {shown(warning, _WIDE)}"
    for note in verdict.notes:
        yield f"  note: {shown(note, _WIDE)}"
    if proof is not None:
        from tallystick_host import hash_steps

        for line in hash_steps.steps(proof):
            yield f"  {line}"
    for line in sentence.not_proven(verdict):
        yield f"  not proven: {shown(line, _WIDE)}"
    if hint := sentence.hint(verdict, file):
        yield f"  hint: {hint}"


def _window(verdict: Verdict) -> Iterator[str]:
    """The two bounds and what each rests on, and the board's own claim beside them."""
    if verdict.not_before is not None:
        yield (
            f"  not before {rfc3339(verdict.not_before)}, by the ledger's clock: the chain names a milestone of then"
        )
    if verdict.not_after is not None:
        bridged = verdict.check("ledger.transaction") is not None
        what = "a block of another ledger has" if bridged else "a milestone of then confirms"
        yield f"  not after {rfc3339(verdict.not_after)}, by the ledger's clock: {what} the anchor"
    if verdict.claimed is not None:
        first, last = map(rfc3339, verdict.claimed)
        between = first if first == last else f"{first} to {last}"
        yield f"  the board's clock says {between} (its own claim)"


def _gaps(verdict: Verdict) -> Iterator[str]:
    for gap in verdict.gaps:
        where = f"seq {span(gap.first, gap.last)} ({plural(gap.records, 'record')})"
        if gap.reason is None:
            yield f"  missing: {where}: nothing in the file explains it; somebody left it out"
        else:
            yield f"  missing: {where}: {gap.reason}, as the board itself says at seq {gap.event}"
