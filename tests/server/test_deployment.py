"""The files that operators install towline with: systemd's unit, the image, the Helm chart."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from towline_server.commands.serve import serve
from towline_server.commands.work import work
from towline_server.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "towline"
HELM = ROOT / ".helm" / "helm"
SECRET = ("--set", "existingSecret=towline")


def _helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert HELM.exists(), "make test-services fetches helm"
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False)


def _rendered(*arguments: str) -> Mapping[str, Any]:
    """Return the objects of the chart by kind and name."""
    done = _helm("template", "towline", str(CHART), *arguments)
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in objects}


def _containers(objects: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for each in objects.values():
        if each["kind"] == "Deployment":
            yield from each["spec"]["template"]["spec"]["containers"]


@pytest.mark.services
def test_helm_finds_nothing_wrong_with_the_chart() -> None:
    done = _helm("lint", "--strict", str(CHART), *SECRET)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.services
def test_the_chart_runs_servers_and_workers_without_privileges() -> None:
    objects = _rendered(*SECRET, "--set", "workers=3", "--set", "settings.runs_at_once=4")
    assert objects["Deployment/towline"]["spec"]["replicas"] == 2
    assert objects["Deployment/towline-worker"]["spec"]["replicas"] == 3
    for container in _containers(objects):
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        variables = {each["name"]: each for each in container["env"]}
        assert variables["TOWLINE_RUNS_AT_ONCE"]["value"] == "4"
        assert (variables["TOWLINE_DATABASE_URL"]["valueFrom"]["secretKeyRef"]) == {
            "name": "towline",
            "key": "database-url",
        }
    # The Service sends requests to servers alone, and a Deployment owns its own pods alone.
    pods = {
        name: objects[name]["spec"]["template"]["metadata"]["labels"]
        for name in ("Deployment/towline", "Deployment/towline-worker")
    }
    chosen = objects["Service/towline"]["spec"]["selector"]
    assert chosen.items() <= pods["Deployment/towline"].items()
    assert not chosen.items() <= pods["Deployment/towline-worker"].items()


@pytest.mark.services
def test_the_chart_asks_for_what_it_cannot_guess() -> None:
    for given, missing in (
        ((), "existingSecret"),
        ((*SECRET, "--set", "ingress.enabled=true"), "ingress.host"),
    ):
        done = _helm("template", "towline", str(CHART), *given)
        assert done.returncode != 0
        assert missing in done.stderr


@pytest.mark.services
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = (ROOT / "deploy" / "systemd" / "towline.service").read_text()
    # It is checked that the program is there.
    (tmp_path / "towline.service").write_text(unit.replace("/opt/towline/bin/towline", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "towline.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["compose.yaml", "deploy/compose.fleet.yaml"])
def test_the_services_of_a_compose_file_begin_with_usable_settings(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = yaml.safe_load((ROOT / name).read_text())["services"]
    ours = [each for each in services.values() if each["image"] == "towline"]
    assert len(ours) >= 2
    for service in ours:
        given = {
            key: re.sub(r"\$\{\w+:\?\}", "x" * 40, value)
            for key, value in service["environment"].items()
        }
        for key, value in given.items():
            monkeypatch.setenv(key, value)
        settings = load_settings()
        assert settings.database_url.startswith("postgresql://")
        command, *options = service["command"]
        with {"serve": serve, "work": work}[command].make_context(command, options) as context:
            if context.params.get("backend") is not None:
                assert settings.temporal.address


@pytest.mark.parametrize(
    "name", ["Containerfile", "compose.yaml", "deploy/systemd/towline.service"]
)
def test_the_variables_of_a_file_are_settings(name: str) -> None:
    named = set(re.findall(r"TOWLINE_([A-Z_]+)[=:]", (ROOT / name).read_text()))
    assert named
    assert {each.lower() for each in named} <= Settings.model_fields.keys()


def test_the_image_holds_what_the_distribution_is_made_of() -> None:
    copied = re.findall(
        r"^COPY (?!--)(.+) \S+$", (ROOT / "Containerfile").read_text(), re.MULTILINE
    )
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(" ".join(copied).split()) == sorted(let_in)
    assert {"engine", "cli", "server", "pyproject.toml"} <= set(let_in)
