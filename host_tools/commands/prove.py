"""`tally prove`."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path

import rich_click as click

from tallystick import did, limits, proof, record
from tallystick.errors import TallystickError
from tallystick_host import fetched, files, question, source, terminal, upgrading
from tallystick_host.enrolment import Enrolment
from tallystick_host.errors import UseError
from tallystick_host.words import plural, shown_path, span

__all__ = ["command"]


@click.command("prove")
@click.argument("device")
@click.argument("asked", metavar="[SEQ|TIME|A..B]", required=False)
@click.option("--gateway", "gateway_url", metavar="URL", help="A running gateway.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), help="A gateway's data folder instead."
)
@click.option(
    "--ledger",
    "ledger_url",
    metavar="URL",
    help="Add the device's statements from it, and what its witnesses cosigned.",
)
@click.option(
    "--enrolment",
    "enrolment_path",
    type=click.Path(path_type=Path),
    help="To find a DEVICE by its name.",
)
@click.option(
    "--since",
    "since_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="All records after the last one of this proof.",
)
@click.option(
    "--not-before", is_flag=True, help="With the chain back to a milestone: proves a lower bound."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Default <id>-<seq>.tally; - is stdout."
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def command(
    device: str,
    asked: str | None,
    gateway_url: str | None,
    folder: Path | None,
    ledger_url: str | None,
    enrolment_path: Path | None,
    since_path: Path | None,
    not_before: bool,
    output: Path | None,
    force: bool,
) -> None:
    """Fetch the proof of DEVICE's record SEQ, of the reading at TIME, of all records A..B (seqs or times), or of all
    since the last proof.

    DEVICE is an id of 16 hexadecimal digits, a did:key, or with --enrolment a name. TIME is RFC 3339, by the board's
    clock. Nothing is verified: tally verify does that, offline.

    \b
    tally prove 9f86d081884c7d65 40 --gateway http://gateway.local:8080
    tally prove cold-room-3 2026-11-20T14:00:00Z --enrolment fleet.json \\
                --dir /var/lib/tallystick
    tally prove 9f86d081884c7d65 --since yesterday.tally --gateway http://gateway.local:8080
    tally prove 9f86d081884c7d65 2026-11-20T14:00:00Z..2026-11-20T15:00:00Z \\
                --gateway http://gateway.local:8080
    tally prove 9f86d081884c7d65 40..52 --gateway http://gateway.local:8080 \\
                --ledger http://ledger.local:8081 --not-before
    """
    id = _device(device, enrolment_path)
    wanted = _wanted(asked, since_path, id)
    if (gateway_url is None) == (folder is None):
        raise UseError("one of --gateway and --dir is needed")
    if output is not None and str(output) != "-" and output.exists() and not force:
        raise _exists(output)
    if gateway_url is not None:
        data = source.from_gateway(gateway_url, id, wanted, not_before=not_before)
    else:
        data = source.from_folder(folder or Path(), id, wanted, not_before=not_before)
    parsed = fetched.check(data, id, wanted)
    if ledger_url is not None:
        added = fetched.statements(partial(source.statements, ledger_url, id), id)
        data = fetched.with_statements(data, added)
        terminal.talk(f"{plural(len(added), 'statement')} about the device added")
        grown = upgrading.with_cosigned(data, ledger_url)
        if grown != data:
            data = grown
            terminal.talk("the ledger's checkpoint with its witnesses' lines added")
    if output is not None and str(output) == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    target = output or Path(fetched.file_name(parsed, id))
    if target.exists() and not force:
        raise _exists(target)
    if target.exists():
        files.replace(target, data)
    else:
        files.write_new(target, data)
    seqs = span(parsed.records[0].seq, parsed.records[-1].seq)
    terminal.talk(f"{plural(len(parsed.records), 'record')} of {id}, seq {seqs}; not verified yet")
    terminal.data(shown_path(target))


def _wanted(asked: str | None, since_path: Path | None, id: str) -> question.Question:
    """What is asked: in words, or all after the last record of a proof."""
    if (asked is None) == (since_path is None):
        raise UseError("name a SEQ, a TIME, a range A..B, or --since FILE: one of them")
    if asked is not None:
        return question.parse(asked)
    path = since_path or Path()
    try:
        parsed = proof.parse(files.read(path, limits.PROOF_BYTES))
        subject = record.device_id(parsed.credential.device_key).hex() if parsed.credential else id
    except TallystickError as error:
        raise UseError(f"--since {shown_path(path)!r}: {error.detail}", code=error.code) from error
    if subject != id:
        raise UseError(f"--since {shown_path(path)!r} is about device {subject}, not {id}")
    return question.Between(parsed.records[-1].seq + 1, limits.SEQ)


def _device(text: str, enrolment_path: Path | None) -> str:
    """The id that `text` means."""
    if re.fullmatch("[0-9a-f]{16}", text):
        return text
    if text.startswith("did:"):
        try:
            return record.device_id(did.public_key(text)).hex()
        except TallystickError as error:
            raise UseError(error.detail, code=error.code) from error
    if enrolment_path is None:
        raise UseError(
            f"{text!r} is neither an id nor a did:key", hint="--enrolment FILE finds boards by name"
        )
    found = Enrolment.load(enrolment_path).named(text)
    if found is None:
        raise UseError(f"no board {text!r} in {shown_path(enrolment_path)!r}")
    return found.id


def _exists(path: Path) -> UseError:
    return UseError(f"{shown_path(path)!r} exists already", hint="--force replaces it")
