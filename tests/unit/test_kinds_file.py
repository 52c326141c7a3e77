"""Kinds files: TOML, JSON and YAML, and errors that have the line and the fix."""

import json
import re
from pathlib import Path

import pytest

from towline import presets
from towline.errors import InvalidValue
from towline.kinds import Kind, Kinds
from towline.kinds_file import find_kinds, read_kinds
from towline.presets import preset_names

DOCUMENT = Path(__file__).parents[2] / "docs" / "kinds.md"
EXAMPLES = re.findall(
    r"<!-- A test runs this block\. -->\n```(\w+)\n(.*?)```", DOCUMENT.read_text(), re.DOTALL
)
KINDS = Kinds(
    kinds=(
        Kind(name="pipeline", globs=("pipelines/**/*.json",), id_pointer="/id"),
        Kind(name="rule", globs=("rules/**", "*.rule")),
        Kind(name="file", globs=("**",)),
    ),
)


def written(folder: Path, text: str, name: str = "kinds.toml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(("suffix", "text"), EXAMPLES, ids=[suffix for suffix, _ in EXAMPLES])
def test_the_documented_examples_are_read(suffix: str, text: str, tmp_path: Path):
    assert read_kinds(written(tmp_path, text, f"kinds.{suffix}")) == KINDS


def test_there_is_an_example_of_each_format():
    assert [suffix for suffix, _ in EXAMPLES] == ["toml", "json", "yaml"]


def test_json_is_the_form_in_which_kinds_are_shown(tmp_path: Path):
    kinds = Kinds(kinds=KINDS.kinds, hidden=True)
    assert read_kinds(written(tmp_path, json.dumps(kinds.to_document()), "kinds.json")) == kinds


CONTENT = re.search(
    r"<!-- A test runs this block too\. -->\n```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL
)


def test_what_a_kind_says_of_contents_is_read_and_shown(tmp_path: Path):
    assert CONTENT is not None
    workflow, state = read_kinds(written(tmp_path, CONTENT[1])).kinds
    assert workflow.content.identity == (("/steps", "name"), ("/steps/*/inputs", "ref"))
    assert dict(workflow.content.fields)["/steps/*/account"] == "guarded"
    assert (workflow.content.mode, state.content.mode) == ("structure", "never")
    shown = json.dumps(Kinds((workflow, state)).to_document())
    assert read_kinds(written(tmp_path, shown, "kinds.json")).kinds == (workflow, state)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_a_kinds_file(name: str, tmp_path: Path):
    source = Path(presets.__file__).with_name(f"{name}.toml")
    assert find_kinds(f"preset:{name}") == read_kinds(source)
    by_name = written(tmp_path, f'kinds = "preset:{name}"')
    assert read_kinds(by_name) == read_kinds(source)
    assert f"`{name}`" in DOCUMENT.read_text()


def test_an_unknown_preset_is_refused_with_the_nearest():
    with pytest.raises(InvalidValue, match="did you mean grafana"):
        find_kinds("preset:grafanna")


FIRST = '[[kinds]]\nname = "a"\nglobs = ["x"]\n\n'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (FIRST + '[[kinds]]\nname = "b"\nglobs = "x"', 7, "'b' needs a list of globs"),
        (FIRST + '[[kinds]]\nname = "b"', 5, "needs a list of globs"),
        (FIRST + '[[kinds]]\nname = "b"\nglobs = []', 7, "needs a list of globs"),
        (FIRST + '[[kinds]]\nname = "b"\nglobs = [1]', 7, "the glob 1 must be a string"),
        (FIRST + '[[kinds]]\nname = "b"\nglobs = ["[z-a]"]', 7, "a set that makes no sense"),
        (FIRST + '[[kinds]]\nname = ""\nglobs = ["x"]', 6, "a name of 1 to 100"),
        (FIRST + 'glob = "y"', 5, "unknown key 'glob': did you mean globs?"),
        (FIRST + 'what = "y"', 5, "unknown key 'what': the keys are name, globs, id_pointer"),
        (FIRST + 'merge = "maybe"', 5, "merge must be one of auto, structure, lines, never"),
        (FIRST + 'identity = {"steps" = "id"}', 5, "identity must map JSON pointers of lists"),
        (FIRST + 'unordered = "/tags"', 5, "unordered must be a list of JSON pointers"),
        (FIRST + 'fields = {"/version" = "newest"}', 5, "theirs, ours, larger, guarded"),
        ('hidden = "yes"\n' + FIRST, 1, "hidden must be true or false"),
        (FIRST + 'id_pointer = "id"', 5, "must be a JSON pointer"),
        (FIRST + FIRST, 6, "'a' is defined twice"),
        ("kinds = []", 1, "kinds is missing or empty"),
        ("# none\nkinds = [3]", 2, "a kind must have the keys"),
        ("", 1, "kinds is missing or empty"),
        ("\n[[kinds", 2, "Expected"),
    ],
)
def test_an_error_has_the_line_and_the_fix(text: str, line: int, words: str, tmp_path: Path):
    file = written(tmp_path, text)
    with pytest.raises(InvalidValue) as caught:
        read_kinds(file)
    assert caught.value.field == f"{file}:{line}"
    assert words in caught.value.problem


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("kinds.json", '{"kinds": [\n{"name": "a", "globs": ["x"]},\n{"name": "b"}]}', 3),
        ("kinds.json", '{"kinds": [\n{"name": "a",\n"globs": []}]}', 3),
        ("kinds.json", '{\n"kinds": [1]}', 2),
        ("kinds.json", '{\n"kinds": [}', 2),
        ("kinds.json", "[]", 1),
        ("kinds.yaml", "kinds:\n- name: a\n  globs: [x]\n- name: b\n", 4),
        ("kinds.yaml", "kinds:\n- name: a\n  globs: x\n", 3),
        ("kinds.yml", "kinds:\n- 1\n", 2),
        ("kinds.yml", "kinds:\n- [\n", 3),
        ("kinds.yml", "", 1),
        ("kinds.yml", "kinds: []\nkinds: []\n", 2),
    ],
)
def test_json_and_yaml_have_lines_too(name: str, text: str, line: int, tmp_path: Path):
    file = written(tmp_path, text, name)
    with pytest.raises(InvalidValue) as caught:
        read_kinds(file)
    assert caught.value.field == f"{file}:{line}"


def test_every_problem_is_reported_at_once(tmp_path: Path):
    text = 'hidden = 1\n[[kinds]]\nname = "a"\nglob = ["x"]\n[[kinds]]\nname = "b"\nglobs = [""]\n'
    with pytest.raises(InvalidValue) as caught:
        read_kinds(written(tmp_path, text))
    assert re.findall(r"line (\d+):", caught.value.problem) == ["2", "4", "7"]
    assert "Field" not in caught.value.message


@pytest.mark.parametrize("content", [b"\xff", b"[" * 100_000])
def test_bytes_that_are_no_document_are_refused(content: bytes, tmp_path: Path):
    file = tmp_path / "kinds.json"
    file.write_bytes(content)
    with pytest.raises(InvalidValue):
        read_kinds(file)
