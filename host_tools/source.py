"""Where proofs come from: a gateway's read-only HTTP side, or its data folder through its own command.

A source is asked, not believed: what it sends is bytes until `tallystick.proof` has parsed them and `tally verify`
has judged them. Answers have a limit and a time.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tallystick import limits as library_limits
from tallystick_host import limits
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.question import AtSeq, AtTime, Between, During, Question
from tallystick_host.words import shown, shown_path

__all__ = [
    "block",
    "blocks",
    "confirmed",
    "cosigned",
    "devices",
    "from_folder",
    "from_gateway",
    "milestone",
    "signed_by_gateway",
    "statements",
    "tips",
]

_GATEWAY: Final = "tallystick_gateway"


def from_gateway(url: str, id: str, asked: Question, *, not_before: bool) -> bytes:
    """The proof file that the gateway at `url` builds."""
    query = {name.removeprefix("--"): value for name, value in _asked(asked).items()}
    if not_before:
        query["not_before"] = "1"
    return _fetch(url, f"v1/devices/{id}/proof", query, library_limits.PROOF_BYTES)


def from_folder(folder: Path, id: str, asked: Question, *, not_before: bool) -> bytes:
    """The proof file that the gateway's command builds from its data folder; the service need not run."""
    argv = ["proof", "--device", id]
    for name, value in _asked(asked).items():
        argv += [name, value]
    if not_before:
        argv.append("--not-before")
    return _program(folder, argv)


def signed_by_gateway(folder: Path, id: str, seq: int, form: str) -> bytes:
    """A `cose-receipt` or `scitt-statement` about a record, signed by the gateway whose data folder this is."""
    return _program(folder, ["export", "--device", id, "--seq", str(seq), "--to", form])


def _program(folder: Path, arguments: Sequence[str]) -> bytes:
    """What the gateway's command writes to stdout, asked about its data folder."""
    if not folder.is_dir():
        raise UseError(f"no folder {shown_path(folder)!r}")
    if importlib.util.find_spec(_GATEWAY) is None:
        raise UndoneError(
            "the gateway's program is not installed here",
            hint="install tallystick[gateway], or ask a running gateway: --gateway URL",
        )
    argv = [sys.executable, "-m", _GATEWAY, *arguments, "--dir", str(folder)]
    try:
        done = subprocess.run(
            argv, capture_output=True, timeout=limits.GATEWAY_PROGRAM_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UndoneError(f"no answer in {limits.GATEWAY_PROGRAM_S:.0f} s") from error
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").splitlines()
        reason = next((line[7:] for line in lines if line.startswith("error: ")), "")
        hint = next((line[6:] for line in lines if line.startswith("hint: ")), "")
        raise UndoneError(
            f"the gateway's program gives no {arguments[0]}: "
            f"{shown(reason) or f'status {done.returncode}'}",
            code="source.folder",
            hint=shown(hint),
        )
    return done.stdout


def devices(url: str, after: str) -> bytes:
    """One answer of the gateway at `url`: JSON of the boards whose ids come after `after`."""
    return _fetch(url, "v1/devices", {"after": after} if after else {}, limits.DEVICES_BYTES)


def statements(url: str, id: str, start: int) -> bytes:
    """One answer of the ledger at `url`: a CBOR array of the statements about device `id` from position `start` on."""
    return _fetch(url, f"v1/statements/{id}", {"from": str(start)}, limits.STATEMENTS_BYTES)


def cosigned(url: str, block: str) -> bytes | None:
    """CBOR `cosigned` over the milestone that confirmed block `block` (64 hexadecimal digits), if there is one."""
    try:
        return _fetch(url, f"v1/blocks/{block}/cosigned", {}, limits.COSIGNED_BYTES)
    except UndoneError as error:
        if error.code == "source.refused":
            return None
        raise


def confirmed(url: str, block: str) -> bytes:
    """CBOR `confirmed` of a block (64 hexadecimal digits)."""
    return _fetch(url, f"v1/blocks/{block}/confirmed", {}, library_limits.RECEIPT_BYTES)


def block(url: str, id: str) -> bytes:
    """The bytes of a block (64 hexadecimal digits), confirmed or not."""
    return _fetch(url, f"v1/blocks/{id}", {}, library_limits.BLOCK_BYTES)


def tips(url: str) -> bytes:
    """CBOR [* hash] of the unconfirmed blocks on which nobody has built."""
    return _fetch(url, "v1/tips", {}, limits.TIPS_BYTES)


def milestone(url: str) -> bytes:
    """What the ledger at `url` gives as its newest milestone block."""
    return _fetch(url, "v1/milestone", {}, library_limits.BLOCK_BYTES)


def blocks(url: str, start: int) -> bytes:
    """One answer of the ledger at `url`: a CBOR sequence of its confirmed blocks from position `start` on."""
    return _fetch(url, "v1/export", {"from": str(start)}, limits.EXPORT_BYTES)


def _fetch(url: str, path: str, query: Mapping[str, str], limit: int) -> bytes:
    """GET `url`/`path`: the body, at most `limit` bytes. Redirects are not followed."""
    import httpx

    if not url.startswith(("http://", "https://")):
        raise UseError(f"{url!r} is not an address", hint="it starts with http:// or https://")
    target = f"{url.rstrip('/')}/{path}"
    try:
        with httpx.stream("GET", target, params=query, timeout=limits.HTTP_TIMEOUT_S) as answer:
            good = answer.status_code == httpx.codes.OK
            body = bytearray()
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > (limit if good else limits.HTTP_ERROR_BYTES):
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UndoneError(
            f"no answer from {shown(url)!r}: {shown(str(error)) or type(error).__name__}",
            code="source.unreachable",
            hint="is it running, and is the address right? curl shows what it says",
        ) from error
    if not good:
        reason, hint = _reason(bytes(body))
        raise UndoneError(
            f"{shown(url)!r} answers {answer.status_code}: {reason}",
            code="source.refused",
            hint=hint,
        )
    if len(body) > limit:
        raise UndoneError(f"{shown(url)!r} sends more than {limit} bytes", code="source.too-long")
    return bytes(body)


def _asked(asked: Question) -> dict[str, str]:
    match asked:
        case AtSeq():
            return {"--seq": str(asked.seq)}
        case Between():
            return {"--from": str(asked.first), "--to": str(asked.last)}
        case AtTime():
            return {"--time": str(asked.time)}
        case During():
            return {"--since": str(asked.start), "--until": str(asked.end)}


def _reason(body: bytes) -> tuple[str, str]:
    """The words in an error's body, and its hint: those of a JSON object, or the text."""
    text = body[: limits.HTTP_ERROR_BYTES].decode("utf-8", "replace")
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        return shown(text.strip()), ""
    detail = table.get("error") or table.get("detail") or text
    return shown(str(detail)), shown(str(table.get("hint") or ""))
