# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an nginx on a host is, and what others have configured in it."""

from __future__ import annotations

import glob
import os
import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import commands

OWN_MARK = "ringstand"  # in the name of each file and folder that is ours
TOKEN = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|(?:\\.|\$\{\w*\}|[^\s{};])+""", re.DOTALL)
PUBLIC_PORTS = ("80", "443")
# The first version with ssl_reject_handshake; any before shows a certificate to whoever names none of the sites.
REJECTS_SINCE = (1, 19, 4)
# Of each of its processes, as Debian and Ubuntu set it; 512 is nginx's own value.
DISTRIBUTION_CONNECTIONS, DEFAULT_CONNECTIONS = 768, 512
LOADED_MODULE = re.compile(r"ngx_(\w+)_module\.so$")
PASSWORD_SALT = re.compile(r"([^:]+):\$6\$([./0-9A-Za-z]{1,16})\$")


@dataclass
class Directive:
    """One directive; ``block`` holds what is between its braces and is None when it has none."""

    name: str
    arguments: list[str] = field(default_factory=list)
    block: list[Directive] | None = None

    def walk(self) -> Iterator[Directive]:
        """This directive and all below it."""
        yield self
        for inner in self.block or []:
            yield from inner.walk()


def parse(text: str) -> list[Directive]:
    """The directives of a configuration file. Raises ValueError when braces or semicolons do not fit."""
    stack: list[list[Directive]] = [[]]
    words: list[str] = []
    for match in TOKEN.finditer(text):
        word = match.group()
        if word.startswith("#"):
            continue
        if word == "}":
            if words or len(stack) == 1:
                raise ValueError("unexpected }")
            stack.pop()
        elif word in (";", "{"):
            if not words:
                raise ValueError(f"unexpected {word}")
            directive = Directive(words[0], words[1:], [] if word == "{" else None)
            stack[-1].append(directive)
            if directive.block is not None:
                stack.append(directive.block)
            words = []
        else:
            is_quoted = word[0] in "\"'"
            if is_quoted and (len(word) == 1 or word[-1] != word[0]):
                raise ValueError(f"unexpected {word[0]}")
            words.append(word[1:-1] if is_quoted else word)
    if words or len(stack) > 1:
        raise ValueError("unexpected end of file")
    return stack[0]


def describe(root: str = "/etc/nginx") -> dict[str, Any]:
    """What the role has to know: the version, whether IPv6 sockets work, and what is there that is not ours.

    ``openssl`` is the version of the library, ``modules`` those that are built in (``http_v3``) or loaded
    (``http_brotli_filter``). ``directives`` are the names that others set for the whole server: those may not be set
    twice. ``servers`` are the foreign server blocks with their ``path``, ``listen`` and ``names``; ``sites`` are our
    own sites with their ``name``, ``domains`` and ``certificate_dir``. ``salts`` are those of the users' passwords, by
    file and name. ``connections`` is how many its processes can have together, to clients and to apps.
    """
    build = describe_build()
    main = _read(os.path.join(root, "nginx.conf"))
    http = [inner for directive in main if directive.name == "http" for inner in directive.block or []]
    shared = [(os.path.join(root, "nginx.conf"), [*main, *http])]
    for pattern in ("modules-enabled/*.conf", "conf.d/*.conf", "sites-enabled/*"):
        paths = [path for path in sorted(glob.glob(os.path.join(root, pattern))) if OWN_MARK not in path]
        shared += [(path, _read(path)) for path in paths]
    names = {directive.name for _path, directives in shared for directive in directives}
    loaded = {
        match.group(1)
        for path, directives in shared
        for directive in directives
        if directive.name == "load_module"
        for match in [LOADED_MODULE.search(" ".join(directive.arguments))]
        if match
    }
    own = sorted(glob.glob(os.path.join(root, OWN_MARK, "sites", "*.conf")))
    return {
        "version": build["version"],
        "openssl": build["openssl"],
        "modules": sorted(loaded.union(build["modules"])),
        "ipv6": has_ipv6(),
        "directives": sorted(names),
        "servers": [
            _server(path, directive)
            for path, directives in shared
            for directive in directives
            if directive.name == "server" and directive.block is not None
        ],
        "sites": [_site(path) for path in own],
        "salts": read_salts(os.path.join(root, OWN_MARK, "users")),
        "connections": _connections([directive for _path, directives in shared for directive in directives]),
    }


def conflicts(servers: Iterable[dict[str, Any]], domains: Iterable[str]) -> list[dict[str, Any]]:
    """The foreign servers that answer for one of ``domains`` on a public port: nginx would ignore ours."""
    wanted = set(domains)
    found = []
    for server in servers:
        ports = {re.sub(r"^.*:", "", listen.split()[0]) for listen in server["listen"]}
        same = sorted(wanted.intersection(server["names"]))
        if same and (not ports or ports.intersection(PUBLIC_PORTS)):
            found.append({"path": server["path"], "domains": same})
    return found


def describe_for(domains: Iterable[str]) -> dict[str, Any]:
    """What :func:`describe` finds, with the ``conflicts`` over ``domains``."""
    found = describe()
    return {**found, "conflicts": conflicts(found["servers"], domains)}


def rejects_handshakes(version: str | None) -> bool:
    """Whether nginx needs no certificate for names that it does not serve; of a version that is unknown the newest."""
    return version is None or tuple(map(int, version.split("."))) >= REJECTS_SINCE


def describe_build() -> dict[str, Any]:
    """Versions of nginx and of the OpenSSL that it runs with (None where there is none), and the built-in modules."""
    text = commands.run(["nginx", "-V"]).stderr
    version = re.search(r"nginx/(\d+(?:\.\d+)+)", text)
    openssl = re.search(r"running with OpenSSL (\d+(?:\.\d+)+)", text) or re.search(r"OpenSSL (\d+(?:\.\d+)+)", text)
    return {
        "version": version.group(1) if version else None,
        "openssl": openssl.group(1) if openssl else None,
        "modules": sorted(set(re.findall(r"--with-(\w+)_module(?=\s|$)", text))),
    }


def read_salts(directory: str) -> dict[str, dict[str, str]]:
    """The salts in the files of users and passwords, so that an unchanged password keeps its hash. No secret."""
    found = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(directory), "*"))):
        try:
            with open(path, encoding="utf-8") as handle:
                lines = handle.read().splitlines()
        except (OSError, ValueError):
            lines = []  # it is written anew
        entries = (PASSWORD_SALT.match(line) for line in lines)
        found[os.path.basename(path)] = {entry.group(1): entry.group(2) for entry in entries if entry}
    return found


def has_ipv6() -> bool:
    """Whether a socket that listens on ``[::]`` can be made."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def _connections(directives: list[Directive]) -> int:
    found = {directive.name: directive for directive in directives}
    if "events" not in found:  # not installed yet
        return DISTRIBUTION_CONNECTIONS * (os.cpu_count() or 1)
    each = next((inner for inner in found["events"].block or [] if inner.name == "worker_connections"), None)
    processes = _number(found.get("worker_processes"), 1) or os.cpu_count() or 1
    return processes * (_number(each, DEFAULT_CONNECTIONS) or DEFAULT_CONNECTIONS)


def _number(directive: Directive | None, default: int) -> int | None:
    """The value of a directive; None when it is no number, as ``auto``."""
    if directive is None:
        return default
    return int(directive.arguments[0]) if directive.arguments and directive.arguments[0].isdigit() else None


def _server(path: str, server: Directive) -> dict[str, Any]:
    block = server.block or []
    return {
        "path": path,
        "listen": [" ".join(inner.arguments) for inner in block if inner.name == "listen" and inner.arguments],
        "names": [name for inner in block if inner.name == "server_name" for name in inner.arguments],
    }


def _site(path: str) -> dict[str, Any]:
    found = [directive for directive in _read(path) if directive.name == "server"]
    servers = [_server(path, directive) for directive in found]
    domains = {name for server in servers for name in server["names"]}
    site = {"name": os.path.basename(path)[: -len(".conf")], "domains": sorted(domains)}
    chains = [one.arguments[0] for server in found for one in server.walk() if one.name == "ssl_certificate"]
    return {**site, "certificate_dir": os.path.dirname(chains[0])} if chains else site


def _read(path: str) -> list[Directive]:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return parse(handle.read())
    except (OSError, ValueError):
        return []  # missing, or broken: nginx -t names it better
