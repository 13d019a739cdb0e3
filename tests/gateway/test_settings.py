"""Settings: from the file, the environment, the command line and systemd; and slips of the pen.

If this fails, a gateway runs with another setting than its operator wrote, or shows a secret.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tallystick_gateway import settings
from tallystick_gateway.settings import SETTINGS, SettingError
from tools import settings_page


def printed(
    *args: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`tally-gateway run --print-config` with these."""
    return subprocess.run(
        [sys.executable, "-m", "tallystick_gateway", "run", "--print-config", *map(str, args)],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_page_is_fresh() -> None:
    """A setting would stand nowhere: run `python -m tools.settings_page`."""
    assert settings_page.page() == settings_page.PAGE.read_text()


def test_every_setting_says_what_follows() -> None:
    """An operator would have to read the source."""
    for one in SETTINGS:
        assert one.default is not None or one.otherwise, one.name
        assert len(one.help) > 15, one.name
    assert len({one.variable for one in SETTINGS}) == len(SETTINGS)


def test_who_counts_before_whom(tmp_path: Path) -> None:
    """The command line would be overruled by a file that somebody forgot."""
    held = tmp_path / "gateway.toml"
    held.write_text(
        'dir = "data"\nbroker = "file:1"\nhttp = "file:2"\nsettle = 7\nuser = "file"\n'
        "readings-login = true\n[adapters]\nhome-assistant = true\nsenml = false\n"
    )
    done = printed(
        *("--config", held, "--broker", "line:1"),
        env={"TALLY_GATEWAY_BROKER": "env:1", "TALLY_GATEWAY_HTTP": "env:2"},
    )
    assert 0 == done.returncode, done.stderr
    said = tomllib.loads(done.stdout)
    assert ("line:1", "env:2", 7.0, "file") == tuple(
        said[name] for name in ("broker", "http", "settle", "user")
    )
    assert str(tmp_path / "data") == said["dir"]  # relative to the file, wherever one stands
    assert {"home-assistant": True} == said["adapters"]
    assert 'broker = "line:1"  # command line' in done.stdout
    assert 'http = "env:2"  # environment' in done.stdout
    assert "settle = 7.0  # configuration file" in done.stdout
    assert "anchor-interval = 60.0  # default" in done.stdout


def test_systemd_hands_over_credentials(tmp_path: Path) -> None:
    """The unit would have to name a password file that everybody can read."""
    (tmp_path / "broker-password").write_text("geheim\n")
    done = printed("--dir", tmp_path, env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    said = tomllib.loads(done.stdout)
    assert str(tmp_path / "broker-password") == said["password-file"]
    assert "token-file" not in said
    assert "geheim" not in done.stdout


def test_nothing_secret_is_printed(tmp_path: Path) -> None:
    """A support ticket would hold a password."""
    held = tmp_path / "gateway.toml"
    held.write_text(
        'dir = "data"\npublic-url = "https://me:geheim@gw"\nbroker = "me:geheim@host:1"\n'
        '[adapters]\n"x:Y" = { token = "geheim", api_key = "geheim", list = ["a"], n = 1 }\n'
    )
    done = printed("--config", held)
    assert 0 == done.returncode
    assert "geheim" not in done.stdout
    assert tomllib.loads(done.stdout)["adapters"]["x:Y"]["list"] == ["a"]
    run = subprocess.run(
        [sys.executable, "-m", "tallystick_gateway", "run", "--config", str(held)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 2 == run.returncode
    assert "geheim" not in run.stderr
    assert "no login belongs there" in run.stderr


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ('brokr = "x"', "there is no setting 'brokr'", "do you mean broker?"),
        ("zzz = 1", "there is no setting 'zzz'", "docs/settings.md lists them"),
        ("broker = 1", "broker: 1 is no str", ""),
        ('settle = "soon"', "settle: 'soon' is no float", ""),
        ("settle = true", "settle: True is no float", ""),
        ("settle = -1", "settle: -1.0 is not in the range", ""),
        ("readings-login = 1", "readings-login: 1 is no bool", ""),
        ('log-level = "loud"', "log-level", ""),
        ('ca-file = "nowhere.pem"', "ca-file", ""),
        ("adapter = 3", "adapter is a list of texts", ""),
        ("adapters = 3", "adapters is a table", "[adapters]"),
        ("[adapters]\nsenml = 3", "adapter 'senml' is true, false, or a table", ""),
        ("= broken", "is not TOML", ""),
        ("a = " + "[" * 5_000, "is not TOML", ""),
    ],
)
def test_slips_of_the_pen(tmp_path: Path, text: str, words: str, hint: str) -> None:
    """The gateway would start, without what was asked for."""
    held = tmp_path / "gateway.toml"
    held.write_text(text)
    with pytest.raises(SettingError) as caught:
        settings.read(held)
    assert words in caught.value.detail
    assert str(held) in caught.value.detail
    assert hint == caught.value.hint


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A traceback instead of two lines."""
    held = tmp_path / "gateway.toml"
    held.write_bytes(b"\xff\xfe")
    for path in (held, tmp_path):
        with pytest.raises(SettingError):
            settings.read(path)
    done = printed("--config", held)
    assert 2 == done.returncode
    assert done.stderr.startswith("error: ")


def test_a_misspelt_variable_is_named() -> None:
    """An operator would wonder for an hour."""
    found = settings.strange({"TALLY_GATEWAY_BROKR": "x", "TALLY_GATEWAY_BROKER": "x", "HOME": "y"})
    assert ["TALLY_GATEWAY_BROKR"] == found


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """`Missing option`: but it may stand in three places."""
    run = subprocess.run(
        [sys.executable, "-m", "tallystick_gateway", "run", "--dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 2 == run.returncode
    assert "error: broker is not set" in run.stderr
    assert (
        "hint: give --broker, or broker in the --config file, or TALLY_GATEWAY_BROKER" in run.stderr
    )
