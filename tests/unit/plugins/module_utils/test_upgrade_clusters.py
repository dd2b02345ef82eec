from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import upgrade_clusters
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_cluster import Cluster

OLD = Cluster("15", "main", 5432, True, "postgres", "/var/lib/postgresql/15/main")
KEPT = "main_before_17"
TEXT = """\
data_directory = '{data}/15/{name}'\t\t# use data in another directory
hba_file = '/etc/postgresql/15/{name}/pg_hba.conf'
external_pid_file = '/var/run/postgresql/15-{name}.pid'
cluster_name = '15/{name}'
"""


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(upgrade_clusters, "CONFIG_ROOT", str(tmp_path / "etc"))
    monkeypatch.setattr(upgrade_clusters.os, "chown", lambda *_args, **_kwargs: None)
    return tmp_path / "lib"


@pytest.mark.parametrize(("before", "after"), [("main", KEPT), (KEPT, "main")])
@pytest.mark.parametrize("cut", ["before the data", "before it is written down", "at its end"])
def test_a_rename_that_was_cut_comes_to_its_end(data: Path, before: str, after: str, cut: str) -> None:
    config = Path(upgrade_clusters.CONFIG_ROOT) / f"15/{after}"  # which is moved first
    config.mkdir(parents=True)
    written = after if cut == "at its end" else before
    (config / "postgresql.conf").write_text(TEXT.format(data=data, name=written))
    (data / f"15/{before if cut == 'before the data' else after}").mkdir(parents=True)
    for _again in range(2):
        upgrade_clusters.rename("15", before, after)
    assert [path.name for path in (data / "15").iterdir()] == [after]
    assert (config / "postgresql.conf").read_text() == TEXT.format(data=data, name=after)


def test_a_rename_that_has_not_begun_is_debians(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Path(upgrade_clusters.CONFIG_ROOT) / "15/main"
    config.mkdir(parents=True)
    (config / "postgresql.conf").touch()
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(upgrade_clusters, "must", lambda _what, *command: ran.append(command))
    upgrade_clusters.rename("15", "main", KEPT)
    assert ran == [("pg_renamecluster", "15", "main", KEPT)]


def test_nothing_to_rename(data: Path) -> None:
    with pytest.raises(RingstandError, match="should be there by now"):
        upgrade_clusters.rename("15", "main", KEPT)


@pytest.mark.parametrize("dropped", [True, False])
def test_what_dropping_a_cluster_has_left_is_in_nobodys_way(data: Path, dropped: bool) -> None:
    config = Path(upgrade_clusters.CONFIG_ROOT) / "17/main_rolled_back"
    (config / "conf.d").mkdir(parents=True)
    (config / "conf.d/50-ringstand.conf").touch()
    if not dropped:
        (config / "postgresql.conf").touch()
    upgrade_clusters.forget("17", "main_rolled_back")
    upgrade_clusters.forget("17", "never")
    assert config.exists() == (not dropped)


def test_settings_follow_the_cluster(data: Path) -> None:
    kept, new = (Path(upgrade_clusters.CONFIG_ROOT) / name for name in (f"15/{KEPT}", "17/main"))
    (kept / "conf.d").mkdir(parents=True)
    new.mkdir(parents=True)
    (new / "postgresql.conf").write_text("the new one's\n")
    (kept / "postgresql.conf").write_text("the old one's\n")
    (kept / "conf.d/50-ringstand.conf").write_text("ssl_key_file = '/etc/postgresql/15/main/server.key'\n")
    upgrade_clusters.take_settings(OLD, KEPT, Cluster("17", "main", 5432, True, "postgres", "/d"))
    assert (new / "postgresql.conf").read_text() == "the new one's\n"
    text = (new / "conf.d/50-ringstand.conf").read_text()
    assert text == "ssl_key_file = '/etc/postgresql/17/main/server.key'\n"


def test_what_it_says_is_in_the_reason() -> None:
    with pytest.raises(RingstandError, match="Failed to copy: no room"):
        upgrade_clusters.must_to_the_last("copy", "sh", "-c", "echo no room; exit 1")


def test_whoever_is_told_to_stop_ends_what_it_has_started_first(tmp_path: Path) -> None:
    program = (
        "import signal\n"
        "from ansible_collections.ringstand.flask.plugins.module_utils import upgrade_clusters\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "try:\n"
        f"    upgrade_clusters.must_to_the_last('copy', 'sh', '-c', 'sleep 600 & echo $! > {tmp_path}/pid; wait')\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pid = tmp_path / "pid"
    deadline = time.monotonic() + 30
    while not (pid.exists() and pid.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == "stopped\n"
    state = Path(f"/proc/{pid.read_text().strip()}/stat")
    assert not state.exists() or state.read_text().split(")")[1].split()[0] == "Z"
