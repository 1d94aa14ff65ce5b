"""Leaves containers out by name, such as the proxies of a service mesh.

Each class answers one interface of the contract. Every call finds a fresh instance, so nothing is remembered.
"""

import itertools
import json
from typing import List

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.filter import Pod
from wit_world.exports.plugin import Info

KEEP, DROP = 0, 1

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "containers": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string"},
            "description": "Names of containers, or patterns of names (*, ?), that are not served.",
        },
        "namespaces": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Names or patterns of the namespaces in which that holds; all where there is none.",
        },
    },
}

settings = {"containers": ["istio-proxy", "linkerd-proxy"], "namespaces": []}


class Plugin(exports.Plugin):
    def describe(self) -> Info:
        return Info(
            name="skip-sidecars",
            version="0.1.0",
            description="Leaves out containers by name, such as the proxies of a service mesh",
            settings_schema=json.dumps(SCHEMA),
        )

    def configure(self, settings_text: str) -> None:
        try:
            # A parser would follow brackets deeper than the sandbox has stack for. These settings nest twice.
            given = json.loads(settings_text) if depth(settings_text) <= 8 else None
        except ValueError:
            given = None
        why = refusal(given)
        if why is not None:
            raise Err(why)
        settings.update(given)


def depth(text: str) -> int:
    """How deep brackets nest, those within strings included."""
    steps = ((letter in "[{") - (letter in "]}") for letter in text)
    return max(itertools.accumulate(steps), default=0)


def refusal(given: object) -> str | None:
    """Why settings are refused, if they are."""
    if not isinstance(given, dict):
        return 'the settings must be an object such as {"containers": ["istio-proxy"]}'
    for name, patterns in given.items():
        if name not in settings:
            return f"unknown field `{name}`, expected `containers` or `namespaces`"
        if not isinstance(patterns, list) or not all(isinstance(p, str) and 1 <= len(p) <= 253 for p in patterns):
            return f'"{name}" must be a list of names or patterns, such as ["istio-proxy", "linkerd-*"]'
    if given.get("containers") == []:
        return '"containers" is empty: name at least one container'
    return None


class Filter(exports.Filter):
    def classify(self, pods: List[Pod]) -> bytes:
        return bytes(verdict(pod, container) for pod in pods for container in pod.containers)


def verdict(pod: Pod, container: str) -> int:
    namespaces = settings["namespaces"]
    is_meant = not namespaces or is_one_of(pod.namespace, namespaces)
    return DROP if is_meant and is_one_of(container, settings["containers"]) else KEEP


def is_one_of(name: str, patterns: List[str]) -> bool:
    return any(matches(pattern, name) for pattern in patterns)


def matches(pattern: str, name: str) -> bool:
    """Whether all of a name is what a pattern says: * stands for any characters, ? for one."""
    at = reached = after_star = taken = 0
    while reached < len(name):
        if at < len(pattern) and pattern[at] == "*":
            at += 1
            after_star, taken = at, reached
        elif at < len(pattern) and pattern[at] in ("?", name[reached]):
            at, reached = at + 1, reached + 1
        elif after_star:
            # What follows the latest star does not fit here: the star takes one character more.
            taken += 1
            at, reached = after_star, taken
        else:
            return False
    return not pattern[at:].strip("*")
