"""Changes, their order and their roll-back, on real files."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import file_diff, file_transaction, files
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away and to lock")


@pytest.fixture(autouse=True)
def own_lock(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    path = str(tmp_path_factory.mktemp("lock") / "lock")
    monkeypatch.setattr(file_transaction, "LOCK_PATH", path)
    return path


def entry(path: Path, **options: object) -> files.Entry:
    mine = {"owner": os.geteuid(), "group": os.getegid()}
    return files.parse_entry({"path": str(path), **mine, **options})


def snapshot(directory: Path) -> dict[str, tuple]:
    """Everything below a directory, times of files included."""
    found: dict[str, tuple] = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            found[str(path)] = (status.st_uid, os.readlink(path))
        elif path.is_dir():
            found[str(path)] = (status.st_uid, status.st_gid, oct(status.st_mode))
        else:
            times = status.st_mtime_ns
            found[str(path)] = (status.st_uid, status.st_gid, oct(status.st_mode), path.read_bytes(), times)
    return found


def old_state(base: Path) -> list[files.Entry]:
    """Something of every kind, and entries that change all of it."""
    (base / "changed").write_text("old")
    (base / "changed").chmod(0o640)
    (base / "mode").write_text("same")
    (base / "mode").chmod(0o600)
    (base / "removed").write_text("gone")
    (base / "link").symlink_to("old-target")
    (base / "was_link").symlink_to("changed")
    (base / "directory").mkdir(mode=0o700)
    (base / "emptied").mkdir(mode=0o750)
    (base / "emptied" / "file").write_text("x")
    for name in ("changed", "mode", "removed"):
        os.utime(base / name, (1_000_000_000, 1_000_000_000))
    return [
        entry(base / "changed", content="new", mode="0604"),
        entry(base / "mode", content="same"),
        entry(base / "removed", state="absent"),
        entry(base / "link", state="link", target="new-target"),
        entry(base / "was_link", content="now a file"),
        entry(base / "directory", state="directory", mode="0711"),
        entry(base / "emptied" / "file", state="absent"),
        entry(base / "emptied", state="absent"),
        entry(base / "made", state="directory", mode="2750"),
        entry(base / "made" / "deeper", state="directory"),
        entry(base / "made" / "deeper" / "file", secret_content="hunter2hunter2", mode="0600"),
        entry(base / "made" / "to", state="link", target="deeper/file"),
    ]


def test_all_kinds_change_and_a_second_run_finds_nothing(tmp_path: Path) -> None:
    wanted = old_state(tmp_path)
    assert [change.entry.path for change in file_transaction.apply(wanted, ["true"])] == [one.path for one in wanted]
    assert (tmp_path / "changed").read_text() == "new"
    assert oct((tmp_path / "changed").stat().st_mode) == "0o100604"
    assert oct((tmp_path / "made").stat().st_mode) == "0o42750"
    assert not (tmp_path / "was_link").is_symlink()
    assert not (tmp_path / "emptied").exists()
    assert (tmp_path / "made" / "to").read_text() == "hunter2hunter2"
    assert (tmp_path / "mode").stat().st_mtime == 1_000_000_000, "a mode alone does not make content look new"
    assert (tmp_path / "changed").stat().st_mtime > 1_000_000_000
    before = snapshot(tmp_path)
    assert file_transaction.apply(wanted, ["false"]) == [], "validation is for changes"
    assert snapshot(tmp_path) == before
    assert not list(tmp_path.rglob("*.ringstand-*"))


def failing(base: Path, wanted: list, validate: list) -> RingstandError:
    before = snapshot(base)
    with pytest.raises(RingstandError) as caught:
        file_transaction.apply(wanted, validate)
    assert snapshot(base) == before
    assert caught.value.details.get("restored") is True
    return caught.value


def test_a_failed_validation_puts_everything_back(tmp_path: Path) -> None:
    wanted = old_state(tmp_path)
    command = f"sh -c 'test -e {tmp_path}/made/deeper/file && echo line 3: odd >&2; exit 7'"
    error = failing(tmp_path, wanted, ["true", command])
    assert error.message.startswith("Failed to validate the configuration: ")
    assert "ended with 7: line 3: odd (every file was put back as it was)" in error.message
    assert error.details["rc"] == 7


@pytest.mark.parametrize(
    "command, reason",
    [
        ("sh -c 'grep -q old \"$0\"' %s", "ended with 1"),
        ("no-such-command %s", "ended with 127: no-such-command: No such file or directory"),
    ],
)
def test_a_refused_file_puts_earlier_ones_back(tmp_path: Path, command: str, reason: str) -> None:
    wanted = [*old_state(tmp_path), entry(tmp_path / "last", content="new", validate=command)]
    error = failing(tmp_path, wanted, [])
    assert f"Failed to validate '{tmp_path}/last'" in error.message
    assert reason in error.message


def test_a_validator_sees_the_new_file_in_its_directory(tmp_path: Path) -> None:
    (tmp_path / "a b.conf").write_text("old")
    script = 'grep -q new "$0" && test "$(stat -c %a "$0")" = 640 && case "$0" in */.a*.conf) ;; *) exit 1;; esac'
    one = entry(tmp_path / "a b.conf", content="new", mode="0640", validate=f"sh -c '{script}' %s")
    assert len(file_transaction.apply([one], [])) == 1


def test_a_slow_validator_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_transaction, "VALIDATE_TIMEOUT_SECONDS", 0.2)
    error = failing(tmp_path, [entry(tmp_path / "a", content="")], ["sleep 60"])
    assert "did not end within 0.2 s" in error.message


def test_a_validator_does_not_tell_secrets(tmp_path: Path) -> None:
    one = entry(
        tmp_path / "a", secret_content="requirepass 'corr3ct-horse'\n", validate="sh -c 'cat $0 >&2; exit 1' %s"
    )
    error = failing(tmp_path, [one], [])
    assert "corr3ct" not in error.message + str(error.details)
    two = entry(tmp_path / "a", secret_content="requirepass 'corr3ct-horse'\n")
    error = failing(tmp_path, [two], [f"sh -c 'cat {tmp_path}/a; exit 1'"])
    assert "corr3ct" not in error.message + str(error.details)


@as_root
def test_owner_and_group(tmp_path: Path) -> None:
    wanted = [
        entry(tmp_path / "d", state="directory", owner="4711", group="nogroup"),
        entry(tmp_path / "d" / "f", content="", owner="nobody", group="4712", mode="4755"),
        entry(tmp_path / "d" / "l", state="link", target="f", owner="4711"),
    ]
    file_transaction.apply(wanted, [])
    assert (tmp_path / "d").stat().st_uid == 4711
    assert (tmp_path / "d" / "f").owner() == "nobody"
    assert oct((tmp_path / "d" / "f").stat().st_mode) == "0o104755", "chown must not clear the bit"
    assert (tmp_path / "d" / "l").lstat().st_uid == 4711
    assert file_transaction.apply(wanted, []) == []


@as_root
def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".a.ringstand-0123456789ab.conf").write_text("half")
    (tmp_path / ".b.ringstand-0123456789ab.conf").write_text("another file's")
    file_transaction.apply([entry(tmp_path / "a.conf", content="x")], [])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.ringstand-0123456789ab.conf", "a.conf"]


def test_what_cannot_be_put_back_is_named(tmp_path: Path) -> None:
    one = entry(tmp_path / "made", state="directory")
    with pytest.raises(RingstandError, match="could not be put back: '.*made'") as caught:
        file_transaction.apply([one], [f"sh -c 'touch {tmp_path}/made/foreign; exit 1'"])
    assert caught.value.details["restored"] is False


@as_root
def test_one_run_at_a_time(tmp_path: Path, own_lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(own_lock, "w") as holder:
        holder.write("4711\n")
        holder.flush()
        fcntl.flock(holder, fcntl.LOCK_EX)
        monkeypatch.setattr(file_transaction, "LOCK_WAIT_SECONDS", 0.1)
        with pytest.raises(RingstandError, match="process 4711 still changes files after 0.1 s"):
            file_transaction.apply([entry(tmp_path / "a", content="x")], [])
        monkeypatch.setattr(file_transaction, "LOCK_WAIT_SECONDS", 30)
        threading.Timer(0.3, fcntl.flock, (holder, fcntl.LOCK_UN)).start()
        started = time.monotonic()
        assert len(file_transaction.apply([entry(tmp_path / "a", content="x")], [])) == 1
        assert time.monotonic() - started >= 0.3


PROGRAM = f"""
import sys
from ansible_collections.ringstand.flask.plugins.module_utils import file_transaction, files
file_transaction.LOCK_PATH, base, validate = sys.argv[1:4]
mine = {{"owner": "{os.geteuid()}", "group": "{os.getegid()}"}}
entries = [files.parse_entry({{"path": f"{{base}}/{{i}}", "content": sys.argv[4] * 1000, **mine}})
           for i in range(20)]
file_transaction.apply(entries, [validate])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_puts_everything_back(tmp_path: Path, own_lock: str, number: signal.Signals) -> None:
    (tmp_path / "0").write_text("old")
    before = snapshot(tmp_path)
    argv = [sys.executable, "-c", PROGRAM, own_lock, str(tmp_path), "sleep 30", "x"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 20
        while not (tmp_path / "19").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(number)
        _, said = running.communicate(timeout=20)
    assert running.returncode != 0
    assert f"stopped by {number.name} (every file was put back as it was)" in said
    assert snapshot(tmp_path) == before


@as_root
def test_runs_at_once_do_not_mix(tmp_path: Path, own_lock: str) -> None:
    argv = [sys.executable, "-c", PROGRAM, own_lock, str(tmp_path), "true"]
    running = [subprocess.Popen([*argv, text]) for text in "abc"]
    assert [one.wait(timeout=60) for one in running] == [0, 0, 0]
    assert len({(tmp_path / str(number)).read_text() for number in range(20)}) == 1


def test_diff_shows_contents_but_no_secrets(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("old\n")
    (tmp_path / "private").write_text("old-s3cret")
    (tmp_path / "private").chmod(0o600)
    wanted = [
        entry(tmp_path / "plain", content="new\n", mode="0600"),
        entry(tmp_path / "public", content="new\n"),
        entry(tmp_path / "private", content="now open"),
        entry(tmp_path / "secret", secret_content="new-s3cret"),
        entry(tmp_path / "binary", content_base64="AAECAw=="),
        entry(tmp_path / "link", state="link", target="plain"),
    ]
    parts = [part for change in files.plan(wanted) for part in file_diff.describe(change)]
    assert "s3cret" not in str(parts)
    assert {
        "before": "",
        "after": "new\n",
        "before_header": f"{tmp_path}/public",
        "after_header": f"{tmp_path}/public",
    } in parts
    prepared = "".join(part.get("prepared", "") for part in parts)
    assert f"{tmp_path}/plain: content differs, not shown: only its owner may read it\n" in prepared
    assert f"{tmp_path}/secret: content differs, not shown: it is secret\n" in prepared
    assert f"{tmp_path}/binary: content differs, not shown: it is binary\n" in prepared
    assert f"{tmp_path}/link: absent -> link to plain " in prepared
