"""`tally verify`: the whole command line; what it does is in `tallystick_host.verifying`."""

from __future__ import annotations

from typing import Any

import rich_click as click

from tallystick_host import options, terminal, verifying
from tallystick_host.errors import UseError
from tallystick_host.home import Home
from tallystick_host.verify_options import Options

__all__ = ["command"]

_PATH = click.Path(path_type=str)


@click.command("verify")
@click.argument("paths", metavar="FILE...", nargs=-1, type=_PATH)
@options.POLICY
@click.option("--enrolment", "enrolment_path", type=_PATH, help="To call boards by their names.")
@options.STATUS_LISTS
@click.option(
    "--head",
    "head_paths",
    multiple=True,
    type=_PATH,
    metavar="FILE",
    help="An acknowledgement or a proof that names a later record: is the end cut off? May be repeated.",
)
@options.together(*options.RPC)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file, one a line.")
@click.option("-q", "--quiet", is_flag=True, help="Nothing but the exit status.")
@click.option("-v", "--verbose", is_flag=True, help="Every hash step, to repeat it by hand.")
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), help="Cores to use; default: all there are."
)
@click.option("--explain", metavar="CODE", help="What a code or a verdict means, and what to do.")
@click.pass_obj
def command(home: Home, /, explain: str | None, **given: Any) -> int:
    """Verify proof files, offline. Folders are searched for *.tally.

    Files of one device are also compared with each other. The network is never touched, unless --rpc names a node that
    is asked for anchors on another ledger.

    \b
    0  VERIFIED    every check that the policy requires ran and passed
    1  TAMPERED    a check ran and failed
    3  PENDING     all is well so far; no ledger confirms it yet
    4  UNTRUSTED   it fits, but who signed is not in the policy, or the
                   device was suspended, stolen, retired or cloned
    5  UNDECIDED   it could not be checked: malformed, or a part missing

    Of many files the worst counts: TAMPERED, UNDECIDED, UNTRUSTED, PENDING, VERIFIED.

    \b
    tally verify reading.tally
    tally verify --json proofs/ | jq 'select(.status != "VERIFIED")'
    tally verify --head ack.cbor proofs/
    tally verify --rpc https://evm.confluxrpc.com reading.tally
    tally verify --explain chain.gap
    """
    if explain is not None:
        from tallystick_host import explanations

        for line in explanations.explain(explain):
            terminal.data(line)
        return 0
    if not given["paths"]:
        raise click.MissingParameter(
            ctx=click.get_current_context(), param_hint="'FILE...'", param_type="argument"
        )
    if given["quiet"] and (given["verbose"] or given["as_json"]):
        raise UseError("-q says nothing, so it goes with neither -v nor --json")
    return verifying.run(Options(**given), home)
