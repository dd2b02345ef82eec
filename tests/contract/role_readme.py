# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Role READMEs and the index in the collection's README, generated from argument specs, defaults and documentation.

``python tests/contract/role_readme.py --write`` writes them; a test fails when one is not what this would write.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
ROLES_DIR = CHECKOUT / "roles"
INDEX_MARKS = ("<!-- index: generated -->\n", "<!-- end of index -->")
SHOWN_DEFAULT_LENGTH = 60
FOOTER = (
    "This page is generated from `meta/argument_specs.yml` and `defaults/main.yml` by "
    "`python tests/contract/role_readme.py --write`."
)
MARKUP = [
    (re.compile(r"\b[CVO]\(([^()]*(?:\([^()]*\)[^()]*)*)\)"), r"`\1`"),
    (re.compile(r"\bM\(([\w.]+)\)"), r"`\1`"),
    (re.compile(r"\bI\(([^()]*)\)"), r"*\1*"),
    (re.compile(r"\bB\(([^()]*)\)"), r"**\1**"),
    (re.compile(r"\bL\(([^,()]*), *([^()]*)\)"), r"[\1](\2)"),
    (re.compile(r"\bU\(([^()]*)\)"), r"<\1>"),
]


def roles() -> list[Path]:
    """The folders of all roles, sorted."""
    return sorted(path.parents[1] for path in ROLES_DIR.glob("*/meta/argument_specs.yml"))


def load(path: Path) -> dict[str, Any]:
    """A YAML file's mapping; empty when there is no such file."""
    return (yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None) or {}


def specs_of(role: Path) -> dict[str, Any]:
    """The role's entry points by name."""
    return dict(load(role / "meta/argument_specs.yml")["argument_specs"])


def markdown(text: str) -> str:
    """Ansible's semantic markup as Markdown."""
    for pattern, replacement in MARKUP:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def sentences(description: Any) -> list[str]:
    """A description as a list of paragraphs."""
    return [markdown(text) for text in ([description] if isinstance(description, str) else description or [])]


def _code(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    if len(text) > SHOWN_DEFAULT_LENGTH or "\n" in text:
        return "see `defaults/main.yml`"
    return f"`{text}`".replace("|", "\\|")


def _type(option: dict[str, Any]) -> str:
    kind = option.get("type", "str")
    return f"{kind} of {option['elements']}" if "elements" in option else kind


def _row(name: str, option: dict[str, Any], defaults: dict[str, Any]) -> str:
    text = " ".join(sentences(option.get("description")))
    if "choices" in option:
        text += f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}."
    if option.get("required"):
        default = "**required**"
    elif name in defaults:
        default = _code(defaults[name])
    else:
        default = _code(option["default"]) if "default" in option else ""
    return f"| `{name}` | {_type(option)} | {default} | {text.replace('|', chr(92) + '|')} |"


def _tables(heading: str, options: dict[str, Any], defaults: dict[str, Any]) -> Iterator[str]:
    yield f"{heading}\n"
    yield "| Name | Type | Default | Meaning |\n|---|---|---|---|"
    for name, option in options.items():
        yield _row(name, option, defaults)
    yield ""
    for name, option in options.items():
        if "options" in option:
            parent = heading.split("`")[1] + "." if "`" in heading else ""
            suffix = "[]" if option.get("type") == "list" else ""
            yield from _tables(f"### `{parent}{name}{suffix}`", option["options"], {})


def render(role: Path) -> str:
    """The whole README of a role."""
    defaults = load(role / "defaults/main.yml")
    lines: list[str] = []
    for entry, spec in sorted(specs_of(role).items(), key=lambda item: item[0] != "main"):
        main = entry == "main"
        lines += [f"# {role.name}" if main else f"## Entry point {entry}", ""]
        lines += [f"{markdown(spec['short_description'])}.", ""]
        for paragraph in sentences(spec.get("description")):
            lines += [paragraph, ""]
        if spec.get("examples"):
            lines += ["## Example" if main else "### Example", "", "```yaml", spec["examples"].strip(), "```", ""]
        if spec.get("options"):
            lines += _tables("## Variables" if main else "### Variables", spec["options"], defaults)
    return "\n".join([*lines, FOOTER, ""])


def _documented(pattern: str) -> Iterator[tuple[str, str]]:
    """Names and short descriptions of the modules or filters that match ``pattern``."""
    for path in sorted((CHECKOUT / "plugins").glob(pattern)):
        match = re.search(r"^ *short_description: *(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        if match:
            yield path.stem, markdown(match.group(1).strip("'\""))


def index() -> str:
    """The tables of roles, modules and filters."""
    lines = ["| Role | What it does |", "|---|---|"]
    for role in roles():
        lines.append(
            f"| [{role.name}](roles/{role.name}/README.md) | {markdown(specs_of(role)['main']['short_description'])} |"
        )
    for heading, pattern in (("Module", "modules/*.py"), ("Filter", "filter/*.yml")):
        lines += ["", f"| {heading} | What it does |", "|---|---|"]
        lines += [f"| `{name}` | {text} |" for name, text in _documented(pattern)]
    return "\n".join([*lines, ""])


def with_index(readme: str) -> str:
    """``readme`` with the index between its marks renewed."""
    before, rest = readme.split(INDEX_MARKS[0])
    return before + INDEX_MARKS[0] + index() + INDEX_MARKS[1] + rest.split(INDEX_MARKS[1])[1]


def wanted() -> Iterator[tuple[Path, str]]:
    """Every generated page with its text."""
    for role in roles():
        yield role / "README.md", render(role)
    readme = CHECKOUT / "README.md"
    if readme.exists():
        yield readme, with_index(readme.read_text(encoding="utf-8"))


def main() -> None:
    """Write every page, or with no argument name those that differ."""
    for path, text in wanted():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        print(path.relative_to(CHECKOUT))
        if "--write" in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
