# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the collection needs is said in several files, for different tools; they say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import image
import pytest
import role_readme
import run
import yaml

CHECKOUT = role_readme.CHECKOUT
CORES = sorted((CHECKOUT / "tests/cores").glob("*.txt"))
MODULE = re.compile(r"^\s+(?:- )?((?!ansible\.builtin|ringstand\.flask)[a-z]+\.[a-z]+)\.[a-z_]+:", re.MULTILINE)


def load(path: str) -> Any:
    return yaml.safe_load((CHECKOUT / path).read_text(encoding="utf-8"))


def jobs() -> dict[str, Any]:
    return dict(load(".github/workflows/test.yml")["jobs"])


def rows() -> Iterator[dict[str, str]]:
    """Every combination of a matrix that names an ansible-core."""
    for job in jobs().values():
        matrix = job["strategy"]["matrix"]
        yield from matrix["include"]
        for core, python in zip(matrix.get("core", []), matrix.get("python", [])):
            yield {"core": core, "python": python}


def steps() -> Iterator[dict[str, Any]]:
    for job in jobs().values():
        yield from job["steps"]
    yield from load(".github/actions/prepare/action.yml")["runs"]["steps"]


def test_requirements_are_those_of_the_collection() -> None:
    named = {one["name"]: one["version"] for one in load("requirements.yml")["collections"]}
    assert named == load("galaxy.yml")["dependencies"]


def test_every_collection_that_is_used_is_required_and_no_other() -> None:
    files = [path for folder in ("roles", "playbooks") for path in (CHECKOUT / folder).rglob("*.yml")]
    used = {name for path in files for name in MODULE.findall(path.read_text(encoding="utf-8"))}
    assert used == set(load("galaxy.yml")["dependencies"])


@pytest.mark.parametrize("path", CORES, ids=lambda path: path.stem)
def test_a_core_is_locked_for_the_pythons_it_names(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.match(r"# Python 3\.\d+ to 3\.\d+\n", text)
    assert re.findall(r"^ansible-core==(\d+\.\d+)\.", text, re.MULTILINE) == [path.stem]
    assert len(re.findall(r"^ansible==", text, re.MULTILINE)) == 1


def test_the_oldest_core_is_what_the_collection_asks_for() -> None:
    oldest = min((path.stem for path in CORES), key=lambda core: int(core.split(".")[1]))
    assert load("meta/runtime.yml")["requires_ansible"].startswith(f">={oldest}.")


def test_the_workflow_runs_every_core_with_a_python_that_it_needs() -> None:
    assert {row["core"] for row in jobs()["fast"]["strategy"]["matrix"]["include"]} == {path.stem for path in CORES}
    for row in rows():
        head = (CHECKOUT / f"tests/cores/{row['core']}.txt").read_text(encoding="utf-8").splitlines()[0]
        oldest, newest = (int(minor) for minor in re.findall(r"3\.(\d+)", head))
        assert oldest <= int(row["python"].split(".")[1]) <= newest, row


def test_the_workflow_pins_actions_and_limits_what_a_job_may_do() -> None:
    used = {step["uses"] for step in steps() if "uses" in step}
    assert all(re.fullmatch(r"\./\.github/actions/\w+|actions/[\w-]+@[0-9a-f]{40}", action) for action in used), used
    assert load(".github/workflows/test.yml")["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 60 for job in jobs().values())
    assert all(step["with"]["persist-credentials"] is False for step in steps() if "checkout" in step.get("uses", ""))


def test_the_workflow_runs_every_part_on_every_distribution() -> None:
    matrix = jobs()["hosts"]["strategy"]["matrix"]
    parts = {part for row in jobs()["fast"]["strategy"]["matrix"]["include"] for part in row["parts"].split()}
    assert parts | set(matrix["part"]) == set(run.PARTS)
    assert set(matrix["distribution"]) == set(image.DISTRIBUTIONS)
