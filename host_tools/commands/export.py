"""`tally export`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import rich_click as click

from tallystick import did, senml, tlog_proof
from tallystick.body import Open, Readings
from tallystick.policy import Policy
from tallystick.proof import Proof
from tallystick.verdict import Outcome, Status, Verdict
from tallystick_host import files, issuer, issuing, options, policy_file, source, tables, terminal
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.home import Home
from tallystick_host.places import place
from tallystick_host.verified import verified
from tallystick_host.words import shown_path

__all__ = ["command"]

_SUFFIXES: Final = {
    "csv": ".csv",
    "parquet": ".parquet",
    "senml": ".senml",
    "senml-cbor": ".senmlc",
    "tlog-proof": ".tlog-proof",
    "tlog-policy": ".tlog-policy",
    "cose-receipt": ".receipt.cose",
    "scitt-statement": ".statement.cose",
    "vc": ".vc.json",
}
_VALUES: Final = ("csv", "parquet", "senml", "senml-cbor")
_MARKED: Final = ("csv", "parquet")  # the verdict stands in each row
_SIGNED: Final = ("cose-receipt", "scitt-statement")
_TEXTS: Final = ("csv", "senml", "tlog-proof", "tlog-policy", "vc")


@click.command("export")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--to", "form", type=click.Choice(list(_SUFFIXES)), required=True, help="What to write."
)
@click.option("--seq", type=click.IntRange(min=0), help="Which record, if FILE holds several.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    help="The gateway's data folder: it signs cose-receipt and scitt-statement.",
)
@options.POLICY
@options.together(*options.RPC)
@click.option(
    "--unverified", is_flag=True, help="Write the values of a proof that is not VERIFIED as well."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Default: FILE's name; - is stdout."
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.pass_obj
def command(
    home: Home,
    path: Path,
    form: str,
    seq: int | None,
    folder: Path | None,
    policy_path: Path | None,
    urls: tuple[str, ...],
    url_paths: tuple[str, ...],
    unverified: bool,
    output: Path | None,
    force: bool,
) -> None:
    """Write a proof, or the values in it, in a form that other tools read.

    \b
    csv, parquet      readings as a table, the verdict in each row
    senml, senml-cbor readings as RFC 8428
    tlog-proof        one record in the gateway's log, for C2SP tools
    tlog-policy       the gateways of the policy, for C2SP tools
    cose-receipt      the same as a COSE receipt, RFC 9942
    scitt-statement   the gateway's statement about a record, RFC 9943
    vc                the device's credential as a W3C Verifiable Credential 2.0

    FILE is verified first. Values are written only if it is VERIFIED. cose-receipt and scitt-statement are signed by
    the gateway, and so need its data folder; vc is signed by the issuer, and so needs his home folder.

    \b
    tally export day.tally --to csv
    tally export day.tally --to tlog-proof --seq 40 -o reading.tlog-proof
    tally export day.tally --to cose-receipt --seq 40 --dir /var/lib/tallystick
    tally export day.tally --to vc
    """
    if (folder is not None) != (form in _SIGNED):
        raise _folder_wrong(form)
    target = output or path.with_suffix(_SUFFIXES[form])
    to_stdout = str(target) == "-"
    if to_stdout and form not in _TEXTS and sys.stdout.isatty():
        raise UseError("not writing a binary file to a terminal", hint="-o FILE, or a pipe")
    if not to_stdout and target.exists() and not force:
        raise UseError(f"{shown_path(target)!r} exists already", hint="--force replaces it")
    trusted = policy_file.read(policy_path or home.policy_path)
    found = verified(path, trusted, options.nodes(urls, url_paths))
    if form in _VALUES:
        _may_have(found.verdict, unverified, form)
    if form == "vc":
        data = _credential(home, found.proof, found.verdict)
    else:
        data = _written(form, found.proof, found.verdict, trusted, seq, folder)
    if to_stdout:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    if target.exists():
        files.replace(target, data)
    else:
        files.write_new(target, data)
    terminal.talk(f"{found.name}: {terminal.styled(str(found.verdict.status))}")
    terminal.data(shown_path(target))


def _written(
    form: str,
    proof: Proof,
    verdict: Verdict,
    trusted: Policy,
    seq: int | None,
    folder: Path | None,
) -> bytes:
    makers: dict[str, Callable[[], bytes]] = {
        "csv": lambda: tables.as_csv(tables.table(proof, verdict)),
        "parquet": lambda: tables.as_parquet(tables.table(proof, verdict)),
        "senml": lambda: senml.to_json(_pack(proof)),
        "senml-cbor": lambda: senml.to_cbor(_pack(proof)),
        "tlog-proof": lambda: _tlog_proof(proof, seq),
        "tlog-policy": lambda: tlog_proof.policy(one.vkey for one in trusted.gateways).encode(),
    }
    if folder is not None:
        number = _number(proof, seq)
        return source.signed_by_gateway(folder, _device(proof), proof.records[number].seq, form)
    return makers[form]()


def _credential(home: Home, proof: Proof, verdict: Verdict) -> bytes:
    held, check = proof.credential, verdict.check("device.credential")
    if held is None or check is None or check.result is not Outcome.OK:
        detail = "no credential in the file" if check is None else check.detail
        raise UndoneError(detail, code="device.credential", hint="tally verify says more")
    return issuing.as_document(home, issuer.load(home), held)


def _tlog_proof(proof: Proof, seq: int | None) -> bytes:
    number = _number(proof, seq)
    inclusion = place(proof, number)
    if proof.checkpoint is None or inclusion is None:
        raise UndoneError("the file holds no path into the log", code="log.inclusion")
    return tlog_proof.text(
        proof.records[number].raw, inclusion.index, inclusion.path, proof.checkpoint.raw
    )


def _pack(proof: Proof) -> senml.Pack:
    every = (*proof.opens, *proof.links, *proof.records)
    opens = {one.seq: one.body for one in every if isinstance(one.body, Open)}
    values: list[senml.Measurement] = []
    for one in proof.records:
        if isinstance(one.body, Readings):
            opened = opens.get(one.body.boot)
            if opened is None:
                raise UndoneError(f"seq {one.seq}: its open is not in the file", code="record.open")
            values.extend(senml.measurements(opened, one))
    return senml.pack(values, base=f"{_did(proof)}:")


def _did(proof: Proof) -> str:
    if proof.credential is None:
        raise UndoneError("the file does not say whose it is", code="device.credential")
    return proof.credential.subject


def _device(proof: Proof) -> str:
    return did.public_key(_did(proof)).kid.hex()


def _number(proof: Proof, seq: int | None) -> int:
    """Which of the proof's records is meant."""
    if seq is None and len(proof.records) == 1:
        return 0
    found = [i for i, one in enumerate(proof.records) if one.seq == seq]
    if found:
        return found[0]
    first, last = proof.records[0].seq, proof.records[-1].seq
    if seq is None:
        raise UseError(f"FILE holds records {first}..{last}", hint="--seq says which one is meant")
    raise UseError(f"no record {seq} in FILE", hint=f"it holds {first}..{last}")


def _may_have(verdict: Verdict, unverified: bool, form: str) -> None:
    marked = form in _MARKED
    if verdict.status is Status.VERIFIED or (unverified and marked):
        return
    hint = (
        "tally verify says why; --unverified writes them all the same, marked as what they are"
        if marked
        else f"tally verify says why; {form} has no place for a verdict, csv has"
    )
    raise UndoneError(
        f"the proof is {verdict.status}: its values are not handed out",
        code="reading.unverified",
        hint=hint,
    )


def _folder_wrong(form: str) -> UseError:
    if form in _SIGNED:
        return UseError(
            f"{form} is signed by the gateway: it needs --dir",
            hint="where the gateway runs, tally-gateway export writes the same",
        )
    return UseError(f"--dir is not for {form}", hint="cose-receipt and scitt-statement need it")
