"""deploy/: what is shipped is accepted by the checkers of those who will read it.

If this fails, an operator finds out on the evening of the installation. What needs a container engine
is not run here; everything else is.
"""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tallystick_gateway import settings
from tests.gateway.boards import Board
from tests.gateway.running import Field, Gateway
from tests.parts import ROOT, promtool

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
NAME = re.compile(r"\b(tallystick_gateway_[a-z_]+)")


def run(*argv: str | Path, cwd: Path = ROOT) -> str:
    """What a checker says; the test fails with it if it refuses."""
    done = subprocess.run([*map(str, argv)], cwd=cwd, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def expressions() -> list[str]:
    """Every query of the dashboard, its variables filled in."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [
        one.replace("$job", "x").replace("$instance", "x").replace("$__rate_interval", "5m")
        for one in found
    ]


def test_prometheus_accepts_rules_and_configuration(tmp_path: Path) -> None:
    """Prometheus would not start, or an alert would never fire."""
    run(*promtool(), "check", "config", "prometheus.yml", cwd=RULES.parent)
    run(*promtool(), "test", "rules", "alerts.test.yml", cwd=RULES.parent)
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(expressions())]
    held = tmp_path / "panels.json"  # JSON is YAML
    held.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run(*promtool(), "check", "rules", held)


def test_every_metric_that_is_asked_for_exists(gateway: Gateway, field: Field) -> None:
    """A panel would stay empty, and an alert silent, for want of a letter."""
    board = Board()
    gateway.extra = ("--device-metrics",)
    gateway.enrol(board)
    gateway.start()
    field.send(board, board.fill(3))
    field.acked(board, 2)
    field.send_raw("tallystick/v1/0000000000000000/up", b"junk")
    gateway.counted("rejected", 1)

    text = gateway.get("/metrics").text
    checked = subprocess.run(
        [*promtool(), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    ours = [line for line in checked.stderr.splitlines() if line.startswith("tallystick_")]
    assert [] == ours, checked.stderr
    given = set(re.findall(r"^(tallystick_gateway_[a-z_]+)[{ ]", text, re.MULTILINE))
    wanted = {name for expr in expressions() for name in NAME.findall(expr)}
    wanted |= set(NAME.findall(RULES.read_text()))
    # these two come with the first confirmed anchor
    gateway.state("running")
    missing = wanted - given
    assert missing <= {
        "tallystick_gateway_anchor_last_success_timestamp_seconds",
        "tallystick_gateway_anchor_duration_seconds",
    }
    assert len(wanted) > 12


def test_grafana_knows_every_field_of_the_dashboard() -> None:
    """Its types take it whole: what they do not know, Grafana would pass over in silence."""

    def read_and_written(dashboard: dict[str, Any]) -> Any:
        return json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))

    def lost(given: Any, taken: Any) -> list[Any]:
        if isinstance(given, dict):
            found = [name for name in given if name not in taken]
            return found + [
                one for name in given if name in taken for one in lost(given[name], taken[name])
            ]
        if isinstance(given, list):
            pairs = zip(given, taken, strict=True)
            return [one for pair in pairs for one in lost(*pair)]
        return [] if given == taken else [given]

    assert lost(DASHBOARD, read_and_written(DASHBOARD)) == []
    wrong = json.loads(json.dumps(DASHBOARD))
    wrong["panels"][0]["fieldConfig"]["default"] = {}
    assert lost(wrong, read_and_written(wrong)) == ["default"]


def test_the_dashboard_is_one(tmp_path: Path) -> None:
    """Grafana would show an empty page."""
    assert {"uid", "title", "panels", "templating", "time", "schemaVersion"} <= DASHBOARD.keys()
    assert len(DASHBOARD["uid"]) <= 40
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) > 10
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        assert panel["description"]
        assert {"type": "prometheus", "uid": "${datasource}"} == panel["datasource"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    used = set(re.findall(r"\$\{?([a-z]+)\}?", json.dumps(DASHBOARD["panels"])))
    named = {one["name"] for one in DASHBOARD["templating"]["list"]}
    assert used - named == set()


def test_the_compose_file_satisfies_its_schema() -> None:
    """`podman compose up` would refuse it."""
    checker = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")
    run(*checker, DEPLOY / "compose.yaml")


def test_the_compose_file_names_what_exists() -> None:
    """A mount or a setting would lead nowhere."""
    from ruamel.yaml import YAML

    compose = YAML(typ="safe").load((DEPLOY / "compose.yaml").read_text())
    known = {one.variable for one in settings.SETTINGS}
    assert set(compose["services"]["gateway"]["environment"]) <= known
    for name, service in compose["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert ["ALL"] == service["cap_drop"], name
        assert not service.get("privileged"), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and not source.startswith("./site"):
                assert (DEPLOY / source).exists(), source
            elif not source.startswith("."):
                assert source in compose["volumes"], source
        for secret in service.get("secrets", []):
            assert secret in compose["secrets"]
    high = compose["services"]["gateway"]["volumes"]
    assert not any(":/data" in one and "high-water" in one for one in high)


def test_the_image_copies_what_exists() -> None:
    """The image would not build."""
    text = (DEPLOY / "Containerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
    assert "\nUSER tallystick\n" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["only-include"], *wheel["force-include"], wheel["hooks"]["custom"]["path"]]
    for one in needed:
        assert re.search(rf"^COPY .*\b{re.escape(one)}\b", text, re.MULTILINE), one


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_the_units_are_hardened(unit: Path) -> None:
    """A hole in the service would be a hole in the machine."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # case matters
    parser.read_string(unit.read_text())
    service = parser["Service"]
    for name, value in {
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateDevices": "yes",
        "PrivateTmp": "yes",
        "MemoryDenyWriteExecute": "yes",
        "CapabilityBoundingSet": "",
        "DynamicUser": "yes",
        "UMask": "0077",
    }.items():
        assert value == service[name], name
    command = service["ExecStart"].split()
    program = Path(command[0]).name
    helped = run(sys.executable, "-m", f"tallystick_{program.removeprefix('tally-')}", "run", "-h")
    for word in command:
        if word.startswith("--"):
            assert word in helped, word
    assert not re.search(r"password[= ](?!-file)\S+$", unit.read_text(), re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_accepts_the_units(unit: Path, tmp_path: Path) -> None:
    """systemd would ignore a line that it does not know, and with it what the line keeps out. Runs
    where there is a systemd to ask; the test above holds everywhere."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        assert sys.platform != "linux" or not Path("/run/systemd/system").exists()
        return
    text = re.sub(r"/opt/tallystick/bin/\S+", "/bin/true", unit.read_text())
    held = tmp_path / unit.name
    held.write_text(re.sub(r"^EnvironmentFile=.*\n", "", text, flags=re.MULTILINE))
    done = subprocess.run(
        [analyze, "verify", str(held)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if unit.name in line]
    assert [] == ours
    said = run(analyze, "security", "--offline=true", "--threshold=20", held)
    assert "Overall exposure level" in said


def test_the_example_configuration_is_read() -> None:
    """Who starts from the example would start with an error."""
    said = settings.read(DEPLOY / "gateway.toml")
    assert {"broker", "ledger", "http", "user", "anchor_interval"} == set(said.values)
    assert {} == said.adapters
