# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What arrives from elsewhere: which of its SQL an app runs, what is refused, what is counted."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    import_dump,
    import_run,
    import_source,
    import_target,
    import_uploads,
    program_import,
)
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.import_script import Facts, Script
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings

SCRIPT = r"""--
-- PostgreSQL database dump
--

\restrict abc
-- Dumped from database version 15.4
SET statement_timeout = 0;
SET transaction_timeout = 0;
-- Name: citext; Type: EXTENSION; Schema: -; Owner: -
--
CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA heroku_ext;
-- Name: EXTENSION citext; Type: COMMENT; Schema: -; Owner: -
COMMENT ON EXTENSION citext IS 'text';
-- Name: public; Type: SCHEMA; Schema: -; Owner: uabc
CREATE SCHEMA public;
ALTER SCHEMA public OWNER TO uabc;
-- Name: shop items; Type: TABLE; Schema: public; Owner: uabc
CREATE TABLE public."shop items" (name text);
ALTER TABLE public."shop items" OWNER TO uabc;
-- Data for Name: shop items; Type: TABLE DATA; Schema: public; Owner: uabc
COPY public."shop items" (name) FROM stdin;
-- Name: no; Type: ACL; Schema: x; Owner: y
\N
\\.
GRANT ALL ON TABLE x TO y;
\.
-- Data for Name: written; Type: TABLE DATA; Schema: public; Owner: uabc
INSERT INTO public.written VALUES (1);
-- Name: TABLE "shop items"; Type: ACL; Schema: public; Owner: uabc
GRANT ALL ON TABLE public."shop items" TO other;
-- Name: all; Type: PUBLICATION; Schema: -; Owner: uabc
CREATE PUBLICATION all FOR ALL TABLES;
-- Name: shop items_pkey; Type: INDEX; Schema: public; Owner: uabc
CREATE INDEX one ON public."shop items" (name);
\connect other
-- PostgreSQL database dump complete
\unrestrict abc
"""


def test_an_app_runs_only_what_is_its_own() -> None:
    script = Script()
    kept = [line for line in SCRIPT.encode().splitlines(keepends=True) for line in [script.feed(line)] if line]
    text = b"".join(kept).decode()
    for word in ("transaction_timeout", "EXTENSION IF", "COMMENT ON", "CREATE SCHEMA", "OWNER TO", "TO other",
                 "CREATE PUBLICATION", "restrict", "connect"):
        assert word not in text
    for word in ("CREATE TABLE", "INSERT INTO", "CREATE INDEX", "GRANT ALL ON TABLE x TO y;", "SET statement_timeout"):
        assert word in text
    assert script.facts == Facts(15, {"citext": "heroku_ext"}, {"public.shop items": 4, "public.written": None})


@pytest.mark.parametrize("command", ["\\! id", "\\i /etc/passwd", "\\copy x from y", "\\o |sh", "\\c other"])
def test_commands_of_psql_are_refused(command: str) -> None:
    with pytest.raises(RingstandError, match="no SQL"):
        Script().feed(command.encode() + b"\n")


def test_what_is_no_dump_is_refused(tmp_path: Path) -> None:
    for name, content, words in (
        ("a.txt", b"hello", "pg_dump has not written it"),
        ("b.gz", gzip.compress(b"hello"), "pg_dump has not written it"),
        ("c.sql", b"--\n-- PostgreSQL database cluster dump\n--\n", "pg_dump -Fc"),
        ("d.gz", gzip.compress(SCRIPT.encode())[:20], "Failed to read"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(RingstandError, match=words):
            import_dump.recognise(str(path))
    with pytest.raises(RingstandError, match="toc.dat"):
        import_dump.recognise(str(tmp_path))
    with pytest.raises(RingstandError, match="Failed to read"):
        import_dump.recognise(str(tmp_path / "none"))


@pytest.mark.parametrize("packed", [True, False])
def test_plain_sql_is_examined_and_read(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "dump"
    path.write_bytes(gzip.compress(SCRIPT.encode()) if packed else SCRIPT.encode())
    dump = import_dump.recognise(str(path))
    assert (dump.kind, dump.compressed) == ("plain SQL", packed)
    assert import_dump.examine(dump).tables["public.shop items"] == 4
    script = Script()
    with import_dump.sql(dump, script) as lines:
        assert b"CREATE INDEX one" in b"".join(lines)
    assert script.facts.version == 15


@pytest.mark.parametrize("packed", [True, False])
def test_plain_sql_that_was_cut_short_is_refused(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "dump"
    text = (SCRIPT + "-- \n" * 5000).encode()
    path.write_bytes(gzip.compress(text)[:-20] if packed else SCRIPT[:900].encode())
    with pytest.raises(RingstandError, match="cut short"):
        import_dump.examine(import_dump.recognise(str(path)))


def test_archives_are_known_by_their_beginning(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"PGDMP\x01")
    (tmp_path / "b").write_bytes(gzip.compress(b"PGDMP\x01"))
    (tmp_path / "toc.dat").write_bytes(b"PGDMP\x01")
    found = [import_dump.recognise(str(path)) for path in (tmp_path / "a", tmp_path / "b", tmp_path)]
    assert [(dump.kind, dump.compressed) for dump in found] == [
        ("archive", False), ("archive", True), ("directory", False)]


def test_a_source_is_reached_encrypted() -> None:
    found = import_source.environment_of("postgres://u:p%3Aw@db.example.com:5433/shop\n")
    assert found == {"PGUSER": "u", "PGPASSWORD": "p:w", "PGHOST": "db.example.com", "PGPORT": "5433",
                     "PGDATABASE": "shop", "PGSSLMODE": "require"}
    assert import_source.environment_of("postgres://u:p@h/d?sslmode=verify-full")["PGSSLMODE"] == "verify-full"


@pytest.mark.parametrize(("url", "words"), [
    ("postgres://u:secret@h/d?sslmode=disable", "sslmode=disable would let"),
    ("postgres://u:secret@h/d?sslmode=prefer", "sslmode=prefer would let"),
    ("mysql://u:secret@h/d", "begins with 'mysql'"),
    ("postgres://u:secret@h", "it lacks database"),
    ("postgres:///secret?host=/run/postgresql&user=u", "a socket of this machine"),
    ("secret", "no URL"),
])
def test_another_source_is_refused_without_its_secret(url: str, words: str) -> None:
    with pytest.raises(RingstandError, match=words) as caught:
        import_source.environment_of(url)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(("expected", "rows", "found"), [
    ({"a": 1, "b": None}, {"a": 1, "b": 7}, []),
    ({"a": 1}, {"a": 2}, ["the table a has 2 rows, and 1 at its source"]),
    ({"a": None}, {"a": None}, ["the table a is missing"]),
])
def test_what_differs_from_the_source_is_told(
    expected: dict[str, int | None], rows: dict[str, int | None], found: list[str]
) -> None:
    assert import_run.differences(expected, rows) == found


ABOUT: dict[str, Any] = {"database": "shop", "role": "shop", "version": 16, "tables": [], "available": ["citext"],
                         "installed": {"plpgsql": "pg_catalog", "unaccent": "public"}}
SETTINGS = AppSettings("shop", {}, database_url_scheme="postgresql", local_database=True)


@pytest.mark.parametrize(("facts", "full", "words"), [
    (Facts(17), [], "is of PostgreSQL 17, and this app's server is 16, which is older"),
    (Facts(16, {"postgis": "public", "citext": ""}), [], "needs the extensions postgis, which"),
    (Facts(16), ["public.a"], "holds rows, in public.a. Nothing was changed.*dropdb --force shop"),
    (Facts(16), [f"public.{letter}" for letter in "abcdefg"], "public.e and 2 more"),
    (Facts(16, {"unaccent": "heroku_ext"}), [], "ALTER EXTENSION unaccent SET SCHEMA heroku_ext"),
])
def test_what_the_database_cannot_take_is_refused(
    monkeypatch: pytest.MonkeyPatch, facts: Facts, full: list[str], words: str
) -> None:
    available = [*ABOUT["available"], "unaccent"]
    monkeypatch.setattr(import_target, "about", lambda _settings: {**ABOUT, "available": available})
    monkeypatch.setattr(import_target, "filled", lambda _settings, _tables: full)
    with pytest.raises(RingstandError, match=words):
        import_run._check(SETTINGS, facts, "the dump")
    with pytest.raises(RingstandError, match="no PostgreSQL database"):
        import_run._check(AppSettings("shop", {}), facts, "the dump")


@pytest.mark.parametrize(("into", "media", "expected"), [
    ("", True, "shared/media"), ("", False, "shared"), ("photos/a", True, "shared/photos/a"), (".", True, "shared"),
])
def test_where_uploads_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, into: str, media: bool, expected: str
) -> None:
    (tmp_path / "shared").mkdir()
    if media:
        (tmp_path / "shared" / "media").mkdir()
    monkeypatch.setattr(import_uploads.Layout, "shared_dir", str(tmp_path / "shared"))
    assert import_uploads.find("shop", str(tmp_path), into).target == str(tmp_path / expected)
    for bad in ("..", "../x", "/etc"):
        with pytest.raises(RingstandError, match="name a folder of"):
            import_uploads.find("shop", str(tmp_path), bad)
    for bad in ("relative", str(tmp_path / "none")):
        with pytest.raises(RingstandError, match="it is not there"):
            import_uploads.find("shop", bad, into)


@pytest.mark.parametrize(("maintenance", "problems", "said"), [
    (False, [], "if the app ran meanwhile, restart it: ringstand restart shop"),
    (True, [], "and still is. To end it: ringstand maintenance shop off"),
    (True, ["then: ringstand maintenance shop off"], "NOT GOOD: then: ringstand maintenance shop off"),
    (True, ["the table t is missing"], "To end it: ringstand maintenance shop off\nNOT GOOD: the table t is missing"),
])
def test_an_import_says_that_maintenance_goes_on(maintenance: bool, problems: list[str], said: str) -> None:
    result = {"app": "shop", "database": "shop", "tables": {}, "rows": 0, "revision": "", "uploads": "",
              "problems": problems, "maintenance": maintenance}
    text = program_import._words(result)
    assert text.endswith(said) and text.count("ringstand maintenance") == maintenance
