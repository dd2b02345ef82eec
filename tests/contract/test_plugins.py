# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every module and filter is documented, and its documentation is true to the files that exist."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ringstand.flask.plugins.filter import flask_apps as flask_apps_filter

PLUGINS_DIR = Path(__file__).resolve().parents[2] / "plugins"
MODULES = [pytest.param(path, id=path.stem) for path in sorted(PLUGINS_DIR.glob("modules/*.py"))]
FILTERS = [pytest.param(path, id=path.stem) for path in sorted(PLUGINS_DIR.glob("filter/*.yml"))]


def texts_of(path: Path) -> dict[str, Any]:
    """The module's DOCUMENTATION, EXAMPLES and RETURN, parsed."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.targets[0].id: yaml.safe_load(node.value.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and node.targets[0].id in ("DOCUMENTATION", "EXAMPLES", "RETURN")
    }


@pytest.mark.parametrize("path", MODULES)
def test_a_module_documents_itself(path: Path) -> None:
    texts = texts_of(path)
    documentation = texts["DOCUMENTATION"]
    assert documentation["module"] == path.stem
    assert documentation["version_added"]
    assert {"check_mode", "diff_mode", "idempotent"} <= set(documentation["attributes"])
    assert "RETURN" in texts


@pytest.mark.parametrize("path", MODULES)
def test_a_modules_examples_name_it_in_full(path: Path) -> None:
    examples = texts_of(path)["EXAMPLES"]
    assert all(task.get("name") for task in examples), "each example says what it is for"
    assert any(f"ringstand.flask.{path.stem}" in task for task in examples)


@pytest.mark.parametrize("path", MODULES)
def test_a_modules_examples_use_only_its_options(path: Path) -> None:
    texts = texts_of(path)
    known = set(texts["DOCUMENTATION"].get("options") or {})
    for task in texts["EXAMPLES"]:
        arguments = task.get(f"ringstand.flask.{path.stem}") or {}
        assert isinstance(arguments, str) or set(arguments) <= known


@pytest.mark.parametrize("path", FILTERS)
def test_a_filter_documents_itself(path: Path) -> None:
    text = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert text["DOCUMENTATION"]["name"] == path.stem
    assert all(isinstance(sentence, str) for sentence in text["DOCUMENTATION"]["description"]), "quote the colon"
    assert f"ringstand.flask.{path.stem}" in text["EXAMPLES"]
    assert text["RETURN"]["_value"]["type"]


def test_every_filter_of_an_app_has_its_page() -> None:
    assert set(flask_apps_filter.FilterModule().filters()) <= {path.stem for path in PLUGINS_DIR.glob("filter/*.yml")}
