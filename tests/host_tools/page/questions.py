"""Questions to the page's modules and Python's answers to them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import playwright

from tallystick.policy import Policy
from tallystick.verdict import Verdict

RUN = Path(__file__).with_name("run.mjs")
Question = dict[str, Any]


def node() -> Path:
    """The Node that the browser's driver brings along: the same on every machine."""
    name = "node.exe" if sys.platform == "win32" else "node"
    return Path(playwright.__file__).parent / "driver" / name


def answers(questions: Iterable[Question]) -> list[dict[str, Any]]:
    """What the page's modules say, one answer a question, from one Node process."""
    lines = "".join(json.dumps(one) + "\n" for one in questions)
    done = subprocess.run(
        [str(node()), "--no-warnings", str(RUN)],
        input=lines,
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert "" == done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def asked(
    data: bytes,
    policy: Policy,
    verdict: Verdict,
    name: str,
    *,
    now: int | None = None,
    heads: Sequence[Any] = (),
    lists: Sequence[Any] = (),
) -> Question:
    """A proof, whom to trust, and what Python says of it."""
    known = [{"seq": one.seq, "id": one.id.hex(), "source": one.source} for one in heads]
    question: Question = {"proof": data.hex(), "policy": toml(policy), "now": now, "heads": known}
    if lists:
        question["lists"] = [json.dumps(one) for one in lists]
    return {**question, "said": said(verdict), "name": name}


def said(verdict: Verdict) -> dict[str, Any]:
    """Python's verdict in the words of `run.mjs`."""
    return {
        "status": str(verdict.status),
        "checks": [[one.code, str(one.result)] for one in verdict.checks],
        "window": [verdict.not_before, verdict.not_after],
        "span": [verdict.first, verdict.last, verdict.readings],
        "warnings": list(verdict.warnings),
        "bad": list(verdict.bad),
    }


def toml(policy: Policy) -> str:
    """A policy as its file."""
    lines = ["version = 1"]
    for one in policy.issuers:
        lines += ["[[issuers]]", f"did = {json.dumps(one.did)}", f"name = {json.dumps(one.name)}"]
    for table, logs in (
        ("gateways", policy.gateways),
        ("ledgers", policy.ledgers),
        ("witnesses", policy.witnesses),
    ):
        for log in logs:
            lines += [f"[[{table}]]", f"vkey = {json.dumps(str(log.vkey))}"]
            lines += [f"name = {json.dumps(log.name)}", f"operator = {json.dumps(log.operator)}"]
    for bridge in policy.bridges:
        lines += [
            "[[bridges]]",
            f"vkey = {json.dumps(str(bridge.vkey))}",
            f"depth = {bridge.depth}",
        ]
        lines += [f'account = "{bridge.account}"', f'state = "{bridge.state}"']
    lines += ["[require]", f"checks = {json.dumps(list(policy.required))}"]
    lines += [f"witnesses = {policy.quorum}"] if policy.quorum else []
    lines += [f"boards = {json.dumps(list(policy.boards))}"] if policy.boards else []
    agents = [one.hex() for one in policy.agents]
    lines += [f"agents = {json.dumps(agents)}"] if agents else []
    age = policy.anchor_age_s
    lines += [] if age is None else [f'anchor_age = "{age}s"']
    return "\n".join(lines) + "\n"
