# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real Flask-Migrate app in a folder, and a way to run the real runner on it without systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.ringstand.flask.plugins.module_utils.app_unit import Completed
from ansible_collections.ringstand.flask.plugins.module_utils.migrations import (
    MigrationRequest,
    MigrationResult,
    migrate,
)

FIXTURE = Path(__file__).parents[4] / "tests" / "fixtures" / "migrations"
MARKED_REVISION = '''"""{doc}"""

revision = "{revision}"
down_revision = {down!r}


def upgrade():
    {body}
'''


def make_app(folder: Path) -> Path:
    """The fixture app, its migrations folder made by Flask-Migrate itself."""
    shutil.copytree(FIXTURE, folder, ignore=shutil.ignore_patterns("versions", "__pycache__"))
    environment = {**os.environ, "DATABASE_URL": "sqlite://", "FLASK_APP": "app:create_app()"}
    subprocess.run([sys.executable, "-m", "flask", "db", "init"], cwd=folder, env=environment, check=True)
    shutil.copytree(FIXTURE / "versions", folder / "migrations" / "versions", dirs_exist_ok=True)
    return folder


class App:
    """One copy of the app and one database."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.environment: dict[str, str] = {}
        self.sent: list[Sequence[str]] = []

    @property
    def versions(self) -> Path:
        return self.folder / "migrations" / "versions"

    def add_revision(self, revision: str, down: str | None, body: str, doc: str = "added by a test") -> None:
        text = MARKED_REVISION.format(doc=doc, revision=revision, down=down, body=body)
        (self.versions / f"{revision}_test.py").write_text("from alembic import op\n\n" + text)

    def run(self, argv: Sequence[str], stdin: str, timeout_seconds: float) -> Completed:
        """What systemd does in production: a bare environment, a working directory, a time limit."""
        self.sent.append(argv)
        environment = {"PATH": os.environ["PATH"], "DATABASE_URL": self.url, **self.environment}
        try:
            done = subprocess.run(
                argv,
                input=stdin,
                cwd=self.folder,
                env=environment,
                timeout=timeout_seconds,
                capture_output=True,
                text=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Completed(124, "", "", timed_out=True)
        return Completed(done.returncode, done.stdout, done.stderr)

    def migrate(self, check: bool = False, **options: Any) -> MigrationResult:
        options = {"flask_app": "app:create_app()", "lock_retries": 0, "timeout_seconds": 60, **options}
        request = MigrationRequest("shop", str(self.folder), sys.prefix, **options)
        return migrate(request, self.run, check)
