"""The questions that the library's own tests ask, for the page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.host_tools.page.questions import Question
from tests.parts import ROOT

LIBRARY_TESTS = ("test_verify.py", "test_hostile.py::test_verify_never_raises")


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Question]:
    """Every proof that the library's own tests verify, with Python's answers."""
    file = tmp_path_factory.mktemp("verdicts") / "questions.jsonl"
    tests = [str(ROOT / "tests" / "tallystick" / name) for name in LIBRARY_TESTS]
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "tests.host_tools.page.recorder"]
    environment = {**os.environ, "TALLYSTICK_VERDICTS": str(file)}
    subprocess.run(
        [*argv, "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env=environment,
        check=True,
        timeout=300,
        stdout=subprocess.DEVNULL,
    )
    return [json.loads(line) for line in Path(file).read_text().splitlines()]
