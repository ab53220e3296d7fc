"""One mail app by pyactivesync: `session.py HOST:PORT USER PASSWORD DEVICE`, which reads one call a line and answers each with a line, both JSON.

A call is the name of a method of `pyactivesync.Client` and what it takes; `mail` makes the message that `send_mail` takes. An answer is
`{"done": …}`, or `{"refused": the exception's name, "status": of HTTP or of the command, "words": …}`.
"""

import dataclasses
import json
import sys
from email.message import EmailMessage

import requests
from pyactivesync import Client
from pyactivesync.exceptions import EASError


def message(sender, to, subject, text):
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, to, subject
    made.set_content(text)
    return made


def plain(value):
    """What JSON can say of an answer."""
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def call(client, name, given):
    if mail := given.pop("mail", None):
        given["message"] = message(**mail)
    try:
        return {"done": getattr(client, name)(**given)}
    except EASError as error:
        return {"refused": type(error).__name__, "status": getattr(error, "code", None), "words": str(error)}
    except requests.HTTPError as error:
        return {"refused": "HTTPError", "status": error.response.status_code, "words": str(error)}


def main(server, user, password, device):
    with Client(server, user, password, device_id=device) as client:
        for line in sys.stdin:
            name, given = json.loads(line)
            print(json.dumps(call(client, name, given), default=plain), flush=True)


main(*sys.argv[1:])
