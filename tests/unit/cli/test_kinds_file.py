"""Kinds files: TOML and JSON, and errors that name the field."""

import json
from pathlib import Path

import pytest

from towline.errors import InvalidValue
from towline.kinds import Kind, Kinds
from towline_cli.commands.config import kinds_json
from towline_cli.kinds_file import read_kinds

TOML = """
hidden = true

[[kinds]]
name = "pipeline"
globs = ["pipelines/**/*.json", "*.pipe"]
id_pointer = "/id"

[[kinds]]
name = "file"
globs = ["**"]
"""
KINDS = Kinds(
    kinds=(
        Kind(name="pipeline", globs=("pipelines/**/*.json", "*.pipe"), id_pointer="/id"),
        Kind(name="file", globs=("**",)),
    ),
    hidden=True,
)


def written(folder: Path, text: str, name: str = "kinds.toml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_toml_is_read(tmp_path: Path):
    assert read_kinds(written(tmp_path, TOML)) == KINDS


def test_json_is_read_and_is_the_form_in_which_kinds_are_shown(tmp_path: Path):
    shown = json.dumps(kinds_json(KINDS))
    assert read_kinds(written(tmp_path, shown, "kinds.json")) == KINDS


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('[[kinds]]\nname = "a"\nglobs = "x"', "kinds file.kinds.0.globs"),
        ('[[kinds]]\nname = "a"', "kinds file.kinds.0.globs"),
        ('[[kinds]]\nname = "a"\nglobs = []', "kinds file.kinds.0.globs"),
        ('[[kinds]]\nname = "a"\nglobs = [1]', "kinds file.kinds.0.globs.0"),
        ('[[kinds]]\nname = ""\nglobs = ["x"]', "kinds file.kinds.0.name"),
        ('[[kinds]]\nname = "a"\nglobs = ["x"]\nglob = "y"', "kinds file.kinds.0.glob"),
        ('hidden = "yes"\n[[kinds]]\nname = "a"\nglobs = ["x"]', "kinds file.hidden"),
        ("kinds = []", "kinds file.kinds"),
        ("", "kinds file.kinds"),
        ("[[kinds", "kinds file"),
        ('[[kinds]]\nname = "a"\nglobs = ["x"]\nid_pointer = "id"', "kinds.a.id_pointer"),
        ('[[kinds]]\nname = "a"\nglobs = ["x"]\n' * 2, "kinds"),
    ],
)
def test_an_error_names_the_field(text: str, field: str, tmp_path: Path):
    with pytest.raises(InvalidValue) as caught:
        read_kinds(written(tmp_path, text))
    assert caught.value.field == field


def test_bytes_that_are_no_text_are_refused(tmp_path: Path):
    file = tmp_path / "kinds.json"
    file.write_bytes(b"\xff")
    with pytest.raises(InvalidValue):
        read_kinds(file)
