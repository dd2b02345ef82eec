"""Static files change with the release that serves, and outlive the release that published them, for a while."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import releases, static_files
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from settings_below import Settings  # type: ignore[import-not-found]

OLD, NEW, NEWER = (f"20261121T12000{number}Z-abcdef0" for number in range(3))


class Site:
    """An app's releases with their static files, and what nginx sees."""

    def __init__(self) -> None:
        self.settings = Settings("shop", {}, static={"url": "/static/", "dir": "static"})
        self.published = Path(self.settings.layout.static_dir)
        self.published.mkdir(parents=True)

    def release(self, name: str, files: dict[str, str], folder: str = "static") -> None:
        source = Path(self.settings.layout.release_dir(name), "src")
        source.mkdir(parents=True)
        for file, content in files.items():
            path = source / folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            os.utime(path, (0, 0))  # as an archive may have it
        releases.write_manifest(self.settings.layout, name, {"id": name, "settings": {"static.dir": folder}})

    def prepare(self, name: str) -> static_files.Prepared:
        return static_files.prepare(self.settings, name)

    def switch(self, name: str) -> None:
        static_files.place(self.prepare(name))

    def seen(self) -> dict[str, str]:
        files = (path for path in self.published.rglob("*") if path.is_file())
        return {str(path.relative_to(self.published)): path.read_text() for path in files}


@pytest.fixture
def site(settings: Settings) -> Site:
    return Site()


def test_new_names_are_there_before_the_switch_and_changed_files_with_it(site: Site) -> None:
    site.release(OLD, {"app.css": "old", "app.111.js": "one", "css/print.css": "same"})
    site.release(NEW, {"app.css": "new", "app.222.js": "two", "css/print.css": "same"})
    site.switch(OLD)
    prepared = site.prepare(NEW)
    before = {"app.css": "old", "app.111.js": "one", "app.222.js": "two", "css/print.css": "same"}
    assert site.seen() == {**before, "app.css.ringstand-new": "new"}
    static_files.place(prepared)
    assert site.seen() == {**before, "app.css": "new"}
    assert oct((site.published / "app.css").stat().st_mode & 0o777) == "0o644"


def test_a_release_that_serves_again_has_its_files_again(site: Site) -> None:
    site.release(OLD, {"app.css": "old", "gone.css": "gone"})
    site.release(NEW, {"app.css": "new"})
    for release in (OLD, NEW):
        site.switch(release)
    assert site.seen() == {"app.css": "new", "gone.css": "gone"}
    assert static_files.publish(site.settings, OLD) == ""
    assert site.seen() == {"app.css": "old", "gone.css": "gone"}


def test_what_was_prepared_for_a_switch_that_did_not_happen_goes(site: Site) -> None:
    site.release(OLD, {"css/app.css": "old"})
    site.release(NEW, {"css/app.css": "new"})
    site.switch(OLD)
    site.prepare(NEW)
    static_files.remove_prepared(site.settings)
    assert site.seen() == {"css/app.css": "old"}


def test_half_of_a_switch_is_put_right_either_way(site: Site) -> None:
    files = ("a.css", "b.css", "c.css.gz")
    site.release(OLD, dict.fromkeys((*files, "c.css"), "old"))
    site.release(NEW, dict.fromkeys((*files[:2], "c.css"), "new"))
    for serves, expected in ((OLD, "old"), (NEW, "new")):
        static_files.publish(site.settings, OLD)
        prepared = site.prepare(NEW)
        prepared.changed = prepared.changed[:1]  # here it was killed
        static_files.place(prepared)
        static_files.publish(site.settings, serves)
        assert set(site.seen().values()) == {expected}
        assert ("c.css.gz" in site.seen()) is (serves == OLD)


@pytest.mark.parametrize(
    ("old", "new", "before"),
    [
        pytest.param(["x"], ["x", "x.gz"], ["x"], id="compressed since"),
        pytest.param(["x", "x.br", "x.gz"], ["x"], ["x", "x.br", "x.gz"], id="not compressed any more"),
        pytest.param(["x", "x.gz"], ["x", "x.br"], ["x", "x.gz"], id="compressed otherwise"),
        pytest.param(["y"], ["x", "x.gz"], ["x", "x.gz", "y"], id="new altogether"),
    ],
)
def test_what_is_compressed_belongs_to_its_file(site: Site, old: list[str], new: list[str], before: list[str]) -> None:
    """nginx sends it in place of the other one, whatever that is by then."""
    site.release(OLD, dict.fromkeys(old, "old"))
    site.release(NEW, dict.fromkeys(new, "new"))
    site.switch(OLD)
    prepared = site.prepare(NEW)
    assert sorted(name for name in site.seen() if not name.endswith("-new")) == before
    static_files.place(prepared)
    assert {name: text for name, text in site.seen().items() if name.startswith("x")} == dict.fromkeys(new, "new")


def test_a_file_of_the_same_size_and_time_is_published_and_named_otherwise_by_nginx(site: Site) -> None:
    """Of size and time in seconds is the ETag; with an earlier one, a browser would keep what it has."""
    etags = set()
    for release, content in ((OLD, "one"), (NEW, "two"), (NEWER, "six")):
        site.release(release, {"app.css": content})
        site.switch(release)
        assert site.seen() == {"app.css": content}
        etags.add(int((site.published / "app.css").stat().st_mtime))
    assert len(etags) == 3


def test_a_file_that_is_the_same_keeps_its_time(site: Site) -> None:
    site.release(OLD, {"app.css": "same"})
    site.release(NEW, {"app.css": "same"})
    site.switch(OLD)
    os.utime(site.published / "app.css", (1, 1))
    site.switch(NEW)
    assert (site.published / "app.css").stat().st_mtime == 1


def test_a_link_is_not_published(site: Site) -> None:
    site.release(OLD, {"app.css": "x"})
    os.symlink("/etc/shadow", Path(site.settings.layout.release_dir(OLD), "src", "static", "shadow"))
    site.switch(OLD)
    assert site.seen() == {"app.css": "x"}


def test_a_folder_that_is_a_link_out_of_the_app_is_none(site: Site, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "other.env").write_text("SECRET_KEY=x")
    site.release(OLD, {})
    source = Path(site.settings.layout.release_dir(OLD), "src")
    os.symlink(tmp_path / "secrets", source / "static")
    site.switch(OLD)
    assert site.seen() == {}
    with pytest.raises(RingstandError, match="not a folder of the source"):
        static_files.check(site.settings, str(source))


def test_a_release_has_its_files_where_it_was_built_with_them(site: Site) -> None:
    """Going back works although the folder, and static.dir with it, has moved since; and to what has none."""
    site.release(OLD, {"app.css": "old"}, folder="assets")
    site.release(NEW, {"app.css": "new"})
    site.switch(NEW)
    site.switch(OLD)
    assert site.seen() == {"app.css": "old"}
    site.release(NEWER, {})
    site.switch(NEWER)
    assert site.seen() == {"app.css": "old"}


def test_files_that_no_release_has_go_after_some_days(site: Site) -> None:
    site.release(OLD, {"app.css": "x"}, folder="assets")
    site.switch(OLD)
    (site.published / "old.css").write_text("old")
    ctime = (site.published / "old.css").stat().st_ctime
    assert static_files.prune(site.settings, ctime + static_files.GRACE_SECONDS - 1) == 0
    assert static_files.prune(site.settings, ctime + static_files.GRACE_SECONDS + 1) == 1
    assert site.seen() == {"app.css": "x"}


def test_a_missing_static_folder_is_named(site: Site, tmp_path: Path) -> None:
    with pytest.raises(RingstandError, match="'static' is not a folder of the source"):
        static_files.check(site.settings, str(tmp_path))


def test_nothing_is_renamed_before_it_is_on_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.release(OLD, {"app.css": "old"})
    site.switch(OLD)
    site.release(NEW, {"app.css": "new", "other.css": "new"})
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(static_files, "sync_file_system", lambda _path: seen.append(site.seen()))
    site.switch(NEW)
    assert seen == [{"app.css": "old", "app.css.ringstand-new": "new", "other.css.ringstand-new": "new"}]
    assert site.seen() == {"app.css": "new", "other.css": "new"}


def test_files_that_cannot_be_published_again_are_a_notice(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old release has the traffic again by then, and has to keep it."""
    site.release(OLD, {"app.css": "old"})

    def full(*_paths: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(static_files.shutil, "copyfile", full)
    assert f"files of {OLD} could not be published again: No space left" in static_files.publish(site.settings, OLD)
