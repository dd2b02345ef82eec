"""Another PostgreSQL server, on the host of the tests but reached as a provider's is: by TLS and password alone, and
also through a pooler that lends its connections for a transaction each."""

from __future__ import annotations

import shlex

PORT, POOLER_PORT = 5599, 5598
CERTIFICATE, KEY = "/etc/ssl/certs/elsewhere.pem", "/etc/ssl/elsewhere-redis.key"
PASSWORD = "of-the-provider-7Hq2"
# An app's database that is empty, and one that has been in use: of examples/shop, two revisions ago.
SETUP = f"""
set -eu
version=$(ls /usr/lib/postgresql)
configuration=/etc/postgresql/$version/elsewhere
pg_createcluster $version elsewhere -p {PORT} -- -A scram-sha-256 --auth-local=peer > /dev/null
openssl req -new -x509 -days 2 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \\
  -keyout $configuration/key.pem -out {CERTIFICATE} 2> /dev/null
install -o redis -m 0600 $configuration/key.pem {KEY}
chown postgres: $configuration/key.pem
printf "ssl_cert_file = '{CERTIFICATE}'\\nssl_key_file = '$configuration/key.pem'\\nfsync = off\\n" \\
  > $configuration/conf.d/tls.conf
printf 'hostssl all all samehost scram-sha-256\\nlocal all postgres peer\\n' > $configuration/pg_hba.conf
pg_ctlcluster $version elsewhere start
psql="runuser -u postgres -- psql -XAtq -p {PORT} -v ON_ERROR_STOP=1"
for role in away departed; do
  $psql -c "CREATE ROLE $role LOGIN PASSWORD '{PASSWORD}'" -c "CREATE DATABASE $role OWNER $role"
done
DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends pgbouncer < /dev/null > /dev/null 2>&1
install -o postgres -m 0600 $configuration/key.pem /etc/pgbouncer/key.pem
install -o postgres -m 0600 /dev/stdin /etc/pgbouncer/users.txt << 'END'
"away" "{PASSWORD}"
END
cat > /etc/pgbouncer/pgbouncer.ini << 'END'
[databases]
away = host=127.0.0.1 port={PORT}
[pgbouncer]
listen_addr = localhost
listen_port = {POOLER_PORT}
auth_type = scram-sha-256
auth_file = /etc/pgbouncer/users.txt
pool_mode = transaction
client_tls_sslmode = require
client_tls_cert_file = {CERTIFICATE}
client_tls_key_file = /etc/pgbouncer/key.pem
server_tls_sslmode = verify-ca
server_tls_ca_file = {CERTIFICATE}
END
systemctl restart pgbouncer
$psql -d departed << 'END'
SET ROLE departed;
CREATE TABLE products (id serial PRIMARY KEY, slug varchar(60) NOT NULL UNIQUE, name varchar(120) NOT NULL,
  price_cents integer NOT NULL);
CREATE TABLE visits (page varchar(60) PRIMARY KEY, count bigint NOT NULL DEFAULT 0);
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO products (slug, name, price_cents) VALUES ('socks', 'Socks from elsewhere', 900);
INSERT INTO visits VALUES ('index', 41);
INSERT INTO alembic_version VALUES ('8c5e91f3a6d2');
END
"""


def url(name: str, port: int = PORT, **parameters: str) -> str:
    """The address of a role's database, whose server's certificate and name are looked at."""
    wanted = {"sslmode": "verify-full", "sslrootcert": CERTIFICATE, **parameters}
    query = "&".join(f"{key}={value}" for key, value in wanted.items())
    return f"postgresql://{name}:{PASSWORD}@localhost:{port}/{name}?{query}"


def sql(statement: str, database: str) -> str:
    """A command that asks that server as its superuser."""
    return f"runuser -u postgres -- psql -XAtq -p {PORT} -d {database} -c {shlex.quote(statement)}"
