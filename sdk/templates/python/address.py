"""Says where a node's kubelet is asked. This one dials the internal DNS names of the node.

Each class answers one interface of the contract. Every call finds a fresh instance, so nothing is remembered.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.address import Choice, Choice_Dial, Choice_Pass
from wit_world.exports.plugin import Info
from wit_world.imports.types import Candidate, Node, NodeAddress


class Plugin(exports.Plugin):
    def describe(self) -> Info:
        return Info(
            name="my-plugin",
            version="0.1.0",
            description="What it does, in one sentence for operators",
            settings_schema=json.dumps({"type": "object", "additionalProperties": False}),
        )

    def configure(self, settings: str) -> None:
        """The gateway hands over {} where the operator set nothing."""
        if settings != "{}":
            raise Err("there are no settings")


class Address(exports.Address):
    def candidates(self, node: Node) -> Choice:
        wanted = [Candidate(a.address, None, None, None) for a in node.addresses if is_wanted(a)]
        return Choice_Dial(wanted[:16]) if wanted else Choice_Pass()


def is_wanted(address: NodeAddress) -> bool:
    return address.kind == "InternalDNS" and 1 <= len(address.address) <= 253
