# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mail through somebody's server. Its password is in no argument, message or log."""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

from .errors import RingstandError

TIMEOUT_SECONDS = 20
STARTTLS, TLS, NONE = "starttls", "tls", "none"
# RFC 6409 and RFC 8314; 25 for a server on this host.
PORTS = {STARTTLS: 587, TLS: 465, NONE: 25}


@dataclass(frozen=True)
class Server:
    """Where mail is handed in, from whom and to whom. ``ca_path`` is a file of authorities beside the system's."""

    host: str
    sender: str
    recipients: list[str]
    security: str = STARTTLS
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    ca_path: str = ""


def load(path: str) -> Server | None:
    """The server in a file; None when there is no such file. Raises :class:`RingstandError` for a damaged one."""
    try:
        with open(path, encoding="utf-8") as stream:
            return parse(json.load(stream))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # The text of the exception may quote the file.
        raise RingstandError(f"Failed to read {path}: it is damaged. Run the role that wrote it") from None


def parse(data: Mapping[str, Any]) -> Server:
    """A server from what the file holds."""
    security = str(data.get("security") or STARTTLS)
    return Server(
        host=str(data["host"]), sender=str(data["from"]), recipients=[str(item) for item in data["to"]],
        security=security, port=int(data.get("port") or PORTS[security]), user=str(data.get("user") or ""),
        password=str(data.get("password") or ""), ca_path=str(data.get("ca_path") or ""),
    )


def send(server: Server, subject: str, text: str) -> str:
    """Send a mail. Returns why it was not taken, without the password; empty when it was. It never raises."""
    try:
        message = EmailMessage()
        message["Subject"] = " ".join(subject.split())
        message["From"] = server.sender
        message["To"] = ", ".join(server.recipients)
        message["Date"] = formatdate(localtime=False)
        message["Message-ID"] = make_msgid(domain=socket.getfqdn() or "localhost")
        message["Auto-Submitted"] = "auto-generated"  # no answer of an absent recipient, please
        message.set_content(text)
        _hand_in(server, message)
        return ""
    except smtplib.SMTPRecipientsRefused as error:
        said = "; ".join(_said(*answer) for answer in error.recipients.values())
        return f"it refused the recipients: {said}"
    except smtplib.SMTPResponseException as error:
        return f"it answered {_said(error.smtp_code, error.smtp_error)}"
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}"
    except Exception as error:  # whatever it is, it must not fail a backup
        return str(error) if isinstance(error, (OSError, smtplib.SMTPNotSupportedError)) else type(error).__name__


def _hand_in(server: Server, message: EmailMessage) -> None:
    context = ssl.create_default_context()
    if server.ca_path:
        context.load_verify_locations(server.ca_path)
    if server.security == TLS:
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, timeout=TIMEOUT_SECONDS, context=context
        )
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
    with connection:
        if server.security == STARTTLS:
            connection.starttls(context=context)  # raises when the server offers none: never in the clear
        if server.user:
            connection.login(server.user, server.password)
        connection.send_message(message)


def _said(code: int, text: bytes | str) -> str:
    # The answer to a login may repeat what was sent; its code says enough.
    if code in (334, 535, 538):
        return f"{code} (login)"
    words = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return f"{code} {' '.join(words.split())[:200]}"
