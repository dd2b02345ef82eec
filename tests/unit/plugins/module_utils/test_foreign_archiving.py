from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import foreign_archiving
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_cluster import Cluster
from ansible_collections.ringstand.flask.plugins.modules import postgresql_state

CLUSTER = Cluster("17", "main", 5432, True, "postgres", "/var/lib/postgresql/17/main")
CONFIG = "/etc/postgresql/17/main"
OURS = "pgbackrest --stanza=main archive-push %p"
WANTED = {"archive_mode": True, "archive_command": OURS}


@pytest.mark.parametrize(
    ("file", "name", "value", "refused"),
    [
        (f"{CONFIG}/postgresql.conf", "archive_command", "wal-g wal-push %p", True),
        ("/var/lib/postgresql/17/main/postgresql.auto.conf", "archive_command", "cp %p /mnt/%f", True),
        (f"{CONFIG}/conf.d/10-theirs.conf", "archive_library", "basic_archive", True),
        (f"{CONFIG}/postgresql.conf", "archive_command", "", False),
        (f"{CONFIG}/postgresql.conf", "archive_command", OURS, False),
        (f"{CONFIG}/conf.d/50-ringstand.conf", "archive_command", "of another time", False),
        (f"{CONFIG}/conf.d/60-ringstand-backup.conf", "archive_command", "of another time", False),
    ],
)
def test_who_archives(monkeypatch: pytest.MonkeyPatch, file: str, name: str, value: str, refused: bool) -> None:
    found = [{"file": file, "name": name, "value": value}]
    monkeypatch.setattr(Cluster, "query", lambda _self, _sql: found)
    if refused:
        with pytest.raises(RingstandError, match=f"{file} has an {name} already"):
            foreign_archiving.refuse(CLUSTER, WANTED)
    else:
        foreign_archiving.refuse(CLUSTER, WANTED)


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("archive_command = 'wal-g wal-push \"%p\"'\t# nightly", True),
        ("  ARCHIVE_COMMAND 'it''s %p'", True),
        ("#archive_command = 'wal-g'", False),
        ("archive_command = ''", False),
        ("archive_cleanup_command = 'x'", False),
    ],
)
def test_who_archives_a_cluster_that_does_not_run(tmp_path: Path, line: str, refused: bool) -> None:
    stopped = replace(CLUSTER, running=False, data_dir=str(tmp_path))
    (tmp_path / "postgresql.auto.conf").write_text(f"# ALTER SYSTEM\n{line}\n")
    if refused:
        with pytest.raises(RingstandError, match="postgresql.auto.conf has an archive_command already"):
            foreign_archiving.refuse(stopped, WANTED)
    else:
        foreign_archiving.refuse(stopped, WANTED)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (f"{foreign_archiving.HEADER}.\n[global]\n", False),
        ("[global]\nrepo1-path=/mnt/theirs\n", True),
        (None, False),
    ],
)
def test_whose_pgbackrest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, refused: bool) -> None:
    path = tmp_path / "pgbackrest.conf"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(foreign_archiving, "CONFIG_PATH", str(path))
    monkeypatch.setattr(foreign_archiving, "PACKAGE_CONFIG_PATH", str(tmp_path / "none"))
    if refused:
        with pytest.raises(RingstandError, match="somebody else's"):
            foreign_archiving.refuse_config()
    else:
        foreign_archiving.refuse_config()


@pytest.mark.parametrize(
    ("text", "refused"), [("[global]\nlog-path=/var/log\n", False), ("[main]\npg1-path=/d\n", True)]
)
def test_whose_package_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, refused: bool) -> None:
    (tmp_path / "pgbackrest.conf").write_text(text)
    monkeypatch.setattr(foreign_archiving, "CONFIG_PATH", str(tmp_path / "none"))
    monkeypatch.setattr(foreign_archiving, "PACKAGE_CONFIG_PATH", str(tmp_path / "pgbackrest.conf"))
    if refused:
        with pytest.raises(RingstandError, match="somebody else's"):
            foreign_archiving.refuse_config()
    else:
        foreign_archiving.refuse_config()


def test_it_is_refused_in_the_answer_that_comes_before_any_change(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneHost:
        def choose(self, _version: str, _name: str) -> str:
            return "17"

        def cluster(self, _version: str, _name: str) -> Cluster:
            return CLUSTER

    def refuse(cluster: Cluster, settings: dict[str, Any]) -> None:
        raise RingstandError(f"{cluster} is {settings['archive_command']}")

    monkeypatch.setattr(postgresql_state.Host, "read", lambda _name: OneHost())
    monkeypatch.setattr(foreign_archiving, "refuse_config", lambda: None)
    monkeypatch.setattr(foreign_archiving, "refuse", refuse)
    asked = {"version": "", "cluster": "main", "settings": {"archive_command": "taken"},
             "foreign_archiving_refused": True}
    with pytest.raises(RingstandError, match="17/main is taken"):
        postgresql_state.look(asked)
