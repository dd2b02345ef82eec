#!/usr/bin/env bash
# What the site is compared with, on the same host, with the same app, environment and certificate.
#   edge_rivals.sh NAME LOAD_TOOL...
set -euo pipefail
name=$1
shift

export DEBIAN_FRONTEND=noninteractive
apt-get -qq -y install --no-install-recommends "$@" >/dev/null
grep -q " $name$" /etc/hosts || echo "127.0.0.1 $name" >> /etc/hosts

certificate="ssl_certificate /etc/ringstand/certificates/shop/fullchain.pem;
    ssl_certificate_key /etc/ringstand/certificates/shop/privkey.pem;"
mkdir -p /run/bench
chown shop:shop /run/bench

as_shop() {
    unit=$1
    shift
    systemctl stop "$unit" 2>/dev/null || true
    systemd-run --quiet --collect --unit="$unit" --uid=shop --gid=shop \
        --property=EnvironmentFile=/etc/ringstand/environment/shop.env \
        --property=WorkingDirectory=/srv/shop/live/src "$@"
}

start_nginx() {
    systemctl stop "$1" 2>/dev/null || true
    nginx -t -q -c "$2"
    systemd-run --quiet --collect --unit="$1" nginx -c "$2" -g 'daemon off;'
}

# The same gunicorn, asked directly: with its own worker class, which keeps connections. Its configuration names the app,
# its workers and its threads.
as_shop bench-direct /srv/shop/live/venv/bin/gunicorn --config /etc/ringstand/gunicorn/shop.py --bind 127.0.0.1:8001 \
    --worker-class gthread --keep-alive 2

# What gunicorn's documentation says: 2n + 1 workers of the default class, behind its example for nginx.
as_shop bench-documented /srv/shop/live/venv/bin/gunicorn --workers $((2 * $(nproc) + 1)) \
    --bind unix:/run/bench/documented.sock --no-control-socket edge_app:app
cat > /run/bench/documented.conf <<END
worker_processes 1;
user www-data;
pid /run/bench/documented.pid;
error_log /run/bench/documented.error.log warn;
events {
    worker_connections 1024;
    accept_mutex off;
}
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /run/bench/documented.access.log combined;
    sendfile on;
    upstream app_server {
        server unix:/run/bench/documented.sock fail_timeout=0;
    }
    server {
        listen 8443 ssl;
        server_name $name;
        $certificate
        client_max_body_size 4G;
        keepalive_timeout 5;
        root /srv/shop/static;
        location / {
            try_files \$uri @proxy_to_app;
        }
        location @proxy_to_app {
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto \$scheme;
            proxy_set_header Host \$http_host;
            proxy_redirect off;
            proxy_pass http://app_server;
        }
    }
}
END
start_nginx bench-documented-nginx /run/bench/documented.conf

# nginx as Debian configures it, with one server that has files.
sed -e 's|^pid .*|pid /run/bench/bare.pid;|' -e 's|/var/log/nginx/|/run/bench/bare.|' \
    -e 's|include /etc/nginx/sites-enabled/.*|include /run/bench/bare.server;|' \
    -e 's|include /etc/nginx/modules-enabled/.*||' /etc/nginx/nginx.conf > /run/bench/bare.conf
cat > /run/bench/bare.server <<END
server {
    listen 9443 ssl;
    server_name $name;
    $certificate
    location /static/ {
        alias /srv/shop/static/;
    }
}
END
start_nginx bench-bare-nginx /run/bench/bare.conf
