"""A pytest plugin: writes down every verdict that the library's tests ask for, as JSON lines.

    TALLYSTICK_VERDICTS=FILE pytest -p tests.host_tools.page.recorder tests/tallystick/test_verify.py

So the page is asked the same questions as the library, and none has to be written twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tallystick import verify
from tallystick.policy import Policy
from tallystick.verdict import Verdict
from tests.host_tools.page.questions import asked

_original = verify.verify
_seen: set[str] = set()


def _recorded(data: Any, policy: Policy, lists: Sequence[Any] = (), **more: Any) -> Verdict:
    verdict = _original(data, policy, lists, **more)
    # other ledgers are no part of a proof; a check of its own cannot be written down
    asks_more = any(more.pop(name, None) for name in ("seen", "check"))
    if isinstance(data, bytes) and not asks_more:
        name = os.environ["PYTEST_CURRENT_TEST"]
        line = json.dumps(asked(data, policy, verdict, name, lists=lists, **more))
        key = line.partition('"name"')[0]
        if key not in _seen:
            _seen.add(key)
            with Path(os.environ["TALLYSTICK_VERDICTS"]).open("a") as file:
                file.write(line + "\n")
    return verdict


verify.verify = _recorded
