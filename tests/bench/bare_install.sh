#!/usr/bin/env bash
# What somebody would type on a fresh machine to get the same software: one apt transaction, and the app's locked Python
# packages by the same uv. No configuration, no users, no firewall, no app: bin/bench divides the site's seconds by this.
#   bare_install.sh UV_REQUIREMENTS APP_REQUIREMENTS PACKAGE...
set -euo pipefail
uv_requirements=$1
app_requirements=$2
shift 2

export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -y install --no-install-recommends "$@"

# The ordinary way to a pinned tool from the Python index.
python3 -m venv /opt/bench/uv
/opt/bench/uv/bin/pip --quiet --disable-pip-version-check --cert /etc/ssl/certs/ca-certificates.crt \
    install --no-deps --only-binary=:all: --require-hashes --requirement "$uv_requirements"

export UV_PYTHON_DOWNLOADS=never SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
/opt/bench/uv/bin/uv venv --quiet --python /usr/bin/python3 /opt/bench/app
VIRTUAL_ENV=/opt/bench/app /opt/bench/uv/bin/uv pip install --quiet --requirements "$app_requirements"

# A figure counts only for what is really there.
dpkg-query --show --showformat='${db:Status-Status}\n' "$@" | grep -vx installed && exit 1
/opt/bench/app/bin/gunicorn --version
