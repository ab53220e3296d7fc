"""One session of imitune against the server at an address: `session.py NAME PFX PASSWORD URL`, in a folder that holds NAME/managementTree.json.

Prints what was heard, as JSON on the last line: each command with its target and data, in order. The tree is written back as imitune does.
"""

import json
import pathlib
import sys

from imitune import oma_dm_client

ROUNDS = 30


def main(name, pfx, password, url):
    oma_dm_client.INTUNE_TARGET = url
    oma_dm_client.INTUNE_ENDPOINT = f"{url}?mode=Maintenance&Platform=WoA"
    client = oma_dm_client.OMADMClient(name, pfx, password, name)
    # By itself it goes on as if nothing had come where the server refuses.
    client.mtls_session.hooks["response"].append(lambda reply, *_, **__: reply.raise_for_status())
    client.newSession()
    client.prepInitialCommands()
    client.sendRequest()
    heard = []
    while client.current_session.commands:
        assert len(heard) < ROUNDS * 20, f"no end of commands: {heard[-5:]}"
        heard += [(each.command, each.target, each._command.get("Item", {}).get("Data")) for each in client.current_session.commands]
        client.executeCommands()
        client.sendRequest()
    pathlib.Path(name, "managementTree.json").write_text(json.dumps(dict(client.managementTree.items())))
    print("\n" + json.dumps(heard))


main(*sys.argv[1:])
