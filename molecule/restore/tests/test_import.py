"""The arrival of an app: from a source that is a cluster of its own, reached over TLS, and from what pg_dump wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from remote import Remote

# An app as the roles leave it before its first deploy, and a source with what makes arrivals fail: an extension in a
# schema of its own, quoted names, another owner, a function, types.
SETUP = r"""
V=$(ls /usr/lib/postgresql); D=/var/lib/postgresql/$V/source
useradd --system arrival
mkdir -p /srv/arrival/shared/media /etc/ringstand/apps /etc/ringstand/environment
chown -R arrival: /srv/arrival/shared
cd /etc/ringstand
(umask 077; echo 'DATABASE_URL=postgresql://arrival@/arrival?host=/run/postgresql' > environment/arrival.env)
echo '{"name": "arrival", "health": {"path": "/health"}, "local_database": true, "database_url_scheme": "postgresql"}' \
  > apps/arrival.json
runuser -u postgres -- psql -XAtq -h /run/postgresql -c 'CREATE ROLE arrival LOGIN' \
  -c 'CREATE DATABASE arrival OWNER arrival'
pg_createcluster $V source -p 5599 -- -A scram-sha-256 --auth-local=peer >/dev/null
openssl req -new -x509 -days 2 -nodes -subj /CN=localhost -keyout $D/k -out $D/c 2>/dev/null
chown postgres: $D/k $D/c
C=/etc/postgresql/$V/source
printf "ssl = on\nssl_cert_file = '$D/c'\nssl_key_file = '$D/k'\nfsync = off\n" > $C/conf.d/t.conf
printf 'hostssl all all 127.0.0.1/32 scram-sha-256\nlocal all postgres peer\n' > $C/pg_hba.conf
pg_ctlcluster $V source start
S="runuser -u postgres -- psql -XAtq -p 5599 -v ON_ERROR_STOP=1"
$S -c "CREATE ROLE heroku LOGIN PASSWORD 'a secret: of 20'" -c "CREATE DATABASE d OWNER heroku"
$S -d d <<X
CREATE SCHEMA ext;
CREATE EXTENSION citext SCHEMA ext;
GRANT USAGE ON SCHEMA ext TO heroku;
SET ROLE heroku;
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('a', 'b');
CREATE TABLE app.products (id serial PRIMARY KEY, name ext.citext, m app.mood DEFAULT 'a');
CREATE TABLE app.orders (id serial PRIMARY KEY, p int REFERENCES app.products);
CREATE TABLE "Odd ""name" (id int, t text);
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('abc123');
INSERT INTO app.products (name) SELECT 'p' || n FROM generate_series(1, 1000) n;
INSERT INTO app.orders (p) SELECT n FROM generate_series(1, 1000) n;
INSERT INTO "Odd ""name" VALUES (1, E'tab\tnewline\n\\\\.'), (2, NULL);
CREATE VIEW v AS SELECT * FROM app.products;
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS \$\$ BEGIN
RETURN 1; END \$\$;
X
(umask 077; echo 'postgres://heroku:a%20secret%3A%20of%2020@127.0.0.1:5599/d' > /root/source-url)
cd /root; P="runuser -u postgres -- pg_dump -p 5599 d"
$P -Fc > d.dump; $P -Ft > d.tar; $P > d.sql; gzip -k d.sql d.tar
$P -Fd -f /tmp/d.dir; head -c 3000 d.sql > d.cut.sql; head -c 3000 d.dump > d.cut.dump
mkdir -p /root/old/2024; echo one > /root/old/2024/a; tar -C /root/old -czf /root/old.tar.gz .
"""
RESET = """runuser -u postgres -- dropdb --force -h /run/postgresql arrival
runuser -u postgres -- createdb -h /run/postgresql -O arrival arrival"""
WHOLE = "1000|1000|2|abc123|arrival"


@pytest.fixture(scope="module")
def remote(host: Any) -> Iterator[Remote]:
    found = Remote(host.backend.get_hostname())
    found.must(SETUP)
    yield found
    found.must("V=$(ls /usr/lib/postgresql); pg_dropcluster --stop $V source; rm -rf /tmp/d.dir /root/d.*\n"
               "runuser -u postgres -- dropdb --force -h /run/postgresql arrival\n"
               "rm /etc/ringstand/apps/arrival.json /etc/ringstand/environment/arrival.env; userdel arrival")


def content(remote: Remote) -> str:
    """Rows, revision and the one owner of all."""
    return remote.must("""runuser -u postgres -- psql -XAtq -h /run/postgresql -d arrival -c "SELECT
        (SELECT count(*) FROM app.products), (SELECT count(*) FROM app.orders),
        (SELECT count(*) FROM \\"Odd \\"\\"name\\"), (SELECT version_num FROM alembic_version),
        (SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class
         WHERE relnamespace IN ('app'::regnamespace, 'public'::regnamespace))" """)


def tables(remote: Remote) -> str:
    query = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    return remote.must(f'runuser -u postgres -- psql -XAtq -h /run/postgresql -d arrival -c "{query}"')


REFUSED = [
    ("--dump /root/d.cut.sql", "cut short"),
    ("--dump /root/d.cut.dump", "Failed to read /root/d.cut.dump"),
    ("--dump /etc/passwd", "pg_dump has not written it"),
    ("--dump /root/none", "Failed to read /root/none"),
    ("--dump /root/d.gis.sql", "needs the extensions gis"),
    ("--dump /root/d.newer.sql", "is of PostgreSQL 99"),
    ("--dump /root/d.dump --url-file /root/source-url", "exclude each other"),
    ("--url-file - <<< 'postgres://a:hidden@h/d?sslmode=disable'", "sslmode=disable would let"),
    ("--url-file - <<< 'postgres://heroku:hidden@127.0.0.1:5599/d'", "password authentication failed"),
    ("", "nothing: give"),
    ("--uploads /root/none", "it is not there"),
]


def test_what_is_refused_loads_nothing(remote: Remote) -> None:
    remote.must("cd /root; sed -e 's/^CREATE EXTENSION IF NOT EXISTS citext/CREATE EXTENSION gis/' d.sql > d.gis.sql\n"
                "sed -e 's/^\\(-- Dumped from database version\\) .*/\\1 99.1/' d.sql > d.newer.sql")
    commands = "\n".join(f"ringstand import arrival {arguments}; echo \"ended $?\"" for arguments, _words in REFUSED)
    answers = remote.run(commands).output.split("ended 1\n")
    assert len(answers) == len(REFUSED) + 1 and "hidden" not in "".join(answers)
    assert [words for (_arguments, words), answer in zip(REFUSED, answers) if words not in answer] == []
    assert tables(remote) == "0"


def test_a_source_by_its_url(remote: Remote) -> None:
    remote.must(RESET)
    foreseen = remote.must("ringstand import arrival --url-file /root/source-url --check")
    assert "would load the source's 4 tables" in foreseen
    assert tables(remote) == "0"
    # What a first deploy's migrations leave makes way: tables without rows.
    remote.must("runuser -u arrival -- psql -qX -h /run/postgresql -c 'CREATE TABLE orders (id int)' "
                "-c \"CREATE TABLE alembic_version AS SELECT 'new' AS version_num\"")
    seen = remote.must("(for i in $(seq 50); do ps -eo args; sleep 0.1; done > /tmp/seen) & "
                       "ringstand import arrival --url-file /root/source-url --uploads /root/old.tar.gz; wait; "
                       "! grep -q 'a secret' /tmp/seen; ! grep -q secret%3A /tmp/seen; rm /tmp/seen")
    assert "2003 rows in 4 tables are in the database arrival" in seen
    assert "at the revision abc123" in seen
    assert content(remote) == WHOLE
    left = "ls /var/tmp | grep ringstand || true"
    assert remote.must(f"stat -c %U /srv/arrival/shared/media/2024/a; {left}") == "arrival"
    again = remote.run("ringstand import arrival --url-file /root/source-url")
    assert again.code == 1
    assert "holds rows, in app.orders, app.products, public.Odd" in again.output and "dropdb --force" in again.output


@pytest.mark.parametrize("path", ["/root/d.tar.gz", "/root/d.sql.gz", "/tmp/d.dir"])
def test_forms_of_a_dump(remote: Remote, path: str) -> None:
    remote.must(RESET)
    assert "2003 rows in 4 tables" in remote.must(f"ringstand import arrival --dump {path}")
    assert content(remote) == WHOLE


def test_killed_half_way_it_is_as_empty_as_before(remote: Remote) -> None:
    remote.must(RESET)
    # In the middle of the dump it waits, and is killed while it does; the rest of it is in the pipe already.
    remote.must("sed -e 's/^CREATE VIEW/SELECT pg_sleep(5); CREATE VIEW/' /root/d.sql > /root/d.slow.sql")
    done = remote.run("ringstand import arrival --dump /root/d.slow.sql & "
                      "until pgrep -f 'postgres: .* SELECT' >/dev/null; do sleep 0.1; done; kill -KILL $!; wait $!")
    assert done.code == 137
    remote.must("while pgrep -f 'postgres: arrival' > /dev/null; do sleep 0.2; done", 60)
    assert tables(remote) == "0"
    remote.must("ringstand import arrival --dump /root/d.dump")
    assert content(remote) == WHOLE


def test_uploads_are_not_written_over(remote: Remote) -> None:
    done = remote.run("ringstand import arrival --uploads /root/old")
    assert done.code == 1
    assert "2024 is in /srv/arrival/shared/media already" in done.output
    remote.must("ringstand import arrival --uploads /root/old --uploads-into archive/old")
    assert remote.must("cat /srv/arrival/shared/archive/old/2024/a; ls -A /srv/arrival/shared").split() == [
        "one", "archive", "media"]
