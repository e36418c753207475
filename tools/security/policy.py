"""What nodes may do on the graph, as an SROS2 policy file says it.

The form is that of ``sros2/policy/schemas/policy.xsd``, version 0.2.0, which
``ros2 security create_permission`` reads. Names are written in full, so that the file can be read
without knowing how relative names are put together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

VERSION = '0.2.0'
RIGHTS = {
    'reply': 'services',
    'request': 'services',
    'publish': 'topics',
    'subscribe': 'topics',
}
"""Each right a policy may grant, with the element that lists what it is granted for."""


@dataclass(frozen=True)
class Profile:
    """What one node does, or may do: for each right the names, absolute."""

    enclave: str
    namespace: str
    node: str
    reply: frozenset[str] = frozenset()
    request: frozenset[str] = frozenset()
    publish: frozenset[str] = frozenset()
    subscribe: frozenset[str] = frozenset()


def write(profiles: Iterable[Profile]) -> str:
    """The policy file that grants each node exactly its profile."""
    policy = ET.Element('policy', version=VERSION)
    enclaves = ET.SubElement(policy, 'enclaves')
    for profile in sorted(profiles, key=lambda p: p.enclave):
        enclave = ET.SubElement(enclaves, 'enclave', path=profile.enclave)
        inside = ET.SubElement(
            ET.SubElement(enclave, 'profiles'),
            'profile',
            ns=profile.namespace,
            node=profile.node,
        )
        for right, kind in RIGHTS.items():
            if names := getattr(profile, right):
                rules = ET.SubElement(inside, kind, {right: 'ALLOW'})
                for name in sorted(names):
                    ET.SubElement(rules, kind.removesuffix('s')).text = name
    ET.indent(policy)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(policy, "unicode")}\n'


def read(path: Path) -> list[Profile]:
    """The profiles of a policy file that we wrote ourselves.

    Raises:
        ValueError: another version, a rule other than ALLOW, or a name that is not absolute.
    """
    policy = ET.fromstring(path.read_text(encoding='utf-8'))  # noqa: S314 - our own file
    if policy.tag != 'policy' or policy.get('version') != VERSION:
        raise ValueError(f'{path}: expected a policy of version {VERSION}')
    return list(_profiles(policy, path))


def _profiles(policy: ET.Element, path: Path) -> Iterator[Profile]:
    for enclave in policy.iterfind('enclaves/enclave'):
        for profile in enclave.iterfind('profiles/profile'):
            names: dict[str, set[str]] = {right: set() for right in RIGHTS}
            for rules in profile:
                ((right, word),) = rules.items()
                said = [(rule.text or '').strip() for rule in rules]
                if word != 'ALLOW' or not all(name.startswith('/') for name in said):
                    raise ValueError(f'{path}: {rules.tag} {right}={word} of {said}')
                names[right].update(said)
            yield Profile(
                enclave.get('path', ''),
                profile.get('ns', ''),
                profile.get('node', ''),
                **{right: frozenset(said) for right, said in names.items()},
            )


def differences(used: Iterable[Profile], granted: Iterable[Profile]) -> list[str]:
    """How a policy fails to be exactly what the nodes use, a sentence each; empty when it is."""
    theirs = {profile.enclave: profile for profile in granted}
    found = []
    for ours in used:
        policy = theirs.pop(ours.enclave, None)
        if policy is None:
            found.append(f'{ours.enclave}: no such enclave in the policy')
            continue
        if (policy.namespace, policy.node) != (ours.namespace, ours.node):
            found.append(f'{ours.enclave}: is for {policy.namespace} {policy.node}')
        for right in RIGHTS:
            uses, may = getattr(ours, right), getattr(policy, right)
            found += [f'{ours.enclave}: may not {right} {name}' for name in sorted(uses - may)]
            found += [
                f'{ours.enclave}: may {right} {name}, but does not' for name in sorted(may - uses)
            ]
    return [*found, *(f'{enclave}: no node of ours' for enclave in sorted(theirs))]
