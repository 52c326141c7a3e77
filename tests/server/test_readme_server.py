"""The demo is what README shows: one command, and these lines to the letter."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.server.dialects.page_schema import PageSchema
from tests.server.page.browser import HtmlPage
from tests.server.serving import LONG, ROOT, ServerProcess, environment, serving
from towline_server.commands.serve import serve
from towline_server.demo import curl_lines
from towline_server.errors import InvalidSettings

MONITORING = ROOT / "docs" / "how-to" / "monitor.md"
PRINTED = "http://127.0.0.1:8080"


@dataclass
class Demo:
    server: ServerProcess
    url: str
    printed: list[str]
    """What it printed."""

    def word_after(self, start: str) -> str:
        """The first word of a printed line behind what it starts with."""
        line = next(line for line in self.printed if line.strip().startswith(start))
        return line.strip().removeprefix(start).split()[0]

    def ask(self, line: str) -> Any:
        """What a line of the README answers, as JSON."""
        return json.loads(self.printed_by(line))

    def printed_by(self, line: str) -> str:
        """What a line of a document prints; of it, the port alone is changed."""
        assert PRINTED in line
        here = line.replace(PRINTED, self.url)
        ended = subprocess.run(
            ["sh", "-c", here],
            env=environment(no_proxy="127.0.0.1"),
            capture_output=True,
            text=True,
            timeout=LONG,
            check=True,
        )
        return ended.stdout


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with serving(["--demo", "--port", "0"], TOWLINE_LOG_LEVEL="info") as server:
        url = str(server.hear("listening")["url"])
        assert server.child.stdout is not None
        lines = [server.child.stdout.readline().rstrip("\n")]
        while "/ui/" not in lines[-1]:
            lines.append(server.child.stdout.readline().rstrip("\n"))
        yield Demo(server, url, lines)
        assert server.end() == 0


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def lines_of(document: str) -> list[str]:
    marked = r"<!-- A test runs these lines against the demo\. -->\n```\n(.*?)```"
    [block] = re.findall(marked, document, re.DOTALL)
    return [line for line in block.splitlines() if line and not line.startswith("#")]


def readme_lines() -> list[str]:
    return lines_of(readme())


# --- the lines ----------------------------------------------------------------------------------


def _snaplogic(answer: Any) -> None:
    PageSchema("snaplogic").check("updated", answer)
    found = answer["response_map"]
    assert (found["status"], answer["http_status_code"]) == ("updated", 200)
    assert [item["path"] for item in found["ignored"]] == ["rules/discount.json"]
    assert [item["path"] for item in found["created"]] == ["rules/welcome.json"]


def _nected(answer: Any) -> None:
    PageSchema("nected").check("started", answer)
    assert (answer["code"], answer["data"]["taskState"]) == ("", "pending")


def _codat(answer: Any) -> None:
    PageSchema("codat").check("operation", answer)
    assert (answer["dataType"], answer["isErrored"]) == ("pipeline", False)


def _syncs(answer: Any) -> None:
    PageSchema("syncs").check("sync", answer)
    assert (answer["slug"], answer["status"]) == ("pipelines", "active")


def _connections(answer: Any) -> None:
    PageSchema("connections").check("syncs", answer)
    assert [each["model_id"] for each in answer] == ["pipeline", "task"]


def _native(answer: Any) -> None:
    assert [each["path"] for each in answer["conflicts"]] == ["rules/discount.json"]


CHECKS: list[Callable[[Any], None]] = [_snaplogic, _nected, _codat, _syncs, _connections, _native]


@pytest.mark.services  # curl
def test_every_line_of_the_readme_runs_as_printed(demo: Demo):
    for line, check in zip(readme_lines(), CHECKS, strict=True):
        check(demo.ask(line))


@pytest.mark.services  # curl
def test_every_line_of_the_guide_to_monitoring_succeeds(demo: Demo):
    lines = lines_of(MONITORING.read_text(encoding="utf-8"))
    assert all(demo.printed_by(line) for line in lines)


def test_the_prometheus_of_the_guide_loads_the_alerts_and_asks_servers():
    text = MONITORING.read_text(encoding="utf-8")
    [block] = re.findall(r"^( *)```yaml\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    config = yaml.safe_load(block[1])
    [rules] = config["rule_files"]
    assert (ROOT / "deploy" / "prometheus" / rules).is_file()
    [job] = config["scrape_configs"]
    assert job["static_configs"][0]["targets"]


def test_the_readme_prints_what_the_demo_prints(demo: Demo):
    lines = curl_lines(PRINTED)
    assert readme_lines() == list(lines.values())
    for about, line in lines.items():
        assert f"# {about}\n{line}\n" in readme()
    for line in curl_lines(demo.url).values():
        assert line in demo.printed


def test_the_readme_s_command_is_a_target():
    assert "```\nmake serve-demo\n```" in readme()
    shown = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "serve-demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines()[-1].endswith("towline serve --demo")


# --- the rest of what it prints -----------------------------------------------------------------


def test_the_other_forms_of_credentials_are_good_too(demo: Demo):
    import httpx2

    token = demo.word_after("JWT")
    key = "twl_demo_syncs"
    with httpx2.Client(base_url=demo.url, timeout=LONG, trust_env=False) as client:
        pull = "/api/1/rest/public/project/pull/demo/shop/rules"
        for header in (f"Bearer {token}", f"Bearer Token {token}"):
            assert client.post(pull, headers={"Authorization": header}).status_code == 200
        for headers in (
            {"Cookie": f"vai_token={token}"},
            {"Cookie": f"vai_token={key}"},
            {"Authorization": f"Bearer {key}"},
        ):
            assert client.get("/api/v1/syncs", headers=headers).status_code == 200
        assert client.get("/api/v1/syncs").status_code == 401


def test_it_ends_with_a_page_that_shows_the_conflict(demo: Demo):
    """Before anything was pulled; the other tests of this module leave it there."""
    import httpx2

    address = demo.printed[-1].strip()
    with httpx2.Client(trust_env=False, timeout=LONG, follow_redirects=True) as client:
        shown = HtmlPage(client.get(address).text)
        given = {"email": demo.word_after("user").rstrip(","), "password": "towline-demo"}
        fields = dict(shown.forms[0].fields) | given
        page = client.post(f"{demo.url}/ui/sign-in", data=fields)
        assert str(page.url) == address
        [link] = [each for each in HtmlPage(page.text).links if "/conflicts/asset?" in each]
        conflict = client.get(f"{demo.url}{link}").text
    # Several fields clash, one of them in an element of a list.
    assert "rules/discount.json" in conflict
    assert ">/then<" in conflict
    assert ">/tiers/[id=gold]/percent<" in conflict


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_nothing_is_left_of_a_demo_that_ended(number: signal.Signals, code: int):
    with serving(["--demo", "--port", "0"], TOWLINE_LOG_LEVEL="info") as server:
        server.hear("listening")
        assert server.child.stdout is not None
        path = ""
        while not path:
            line = server.child.stdout.readline()
            path = line.partition("its repository:")[2].strip()
        assert Path(path).is_dir()
        assert server.end(number) == code
        assert not Path(path).parents[1].exists()


def test_a_demo_is_for_this_machine_and_keeps_nothing(plain_environment: None):
    refused = CliRunner().invoke(serve, ["--demo", "--host", "0.0.0.0"])
    assert isinstance(refused.exception, InvalidSettings)
    assert "loopback" in refused.exception.message
    assert CliRunner().invoke(serve, ["--demo", "--data-dir", "x"]).exit_code == 2
