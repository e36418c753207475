"""A keystore such as ``ros2 security`` makes, for tests: that tool has no wheel.

The files and their places are those rcl looks for (``rcl/security.h``); their contents are those
of the OMG's DDS Security 1.1, sections 9.3 and 9.4. Keys come from the openssl command.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from xml.etree import ElementTree as ET

EC = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes')
XSI = 'http://www.w3.org/2001/XMLSchema-instance'
SCHEMA = 'http://www.omg.org/spec/DDS-SECURITY/20170901/omg_shared_ca_{}.xsd'
DOMAINS = {'id_range/min': '0', 'id_range/max': '232'}  # Fast DDS takes a missing max for 0
WHOLE = {
    'allow_unauthenticated_participants': 'false',
    'enable_join_access_control': 'true',
    'discovery_protection_kind': 'ENCRYPT',
    'liveliness_protection_kind': 'ENCRYPT',
    'rtps_protection_kind': 'SIGN',
}
TOPIC = {
    'topic_expression': '*',
    'enable_discovery_protection': 'true',
    'enable_liveliness_protection': 'true',
    'enable_read_access_control': 'true',
    'enable_write_access_control': 'true',
    'metadata_protection_kind': 'ENCRYPT',
    'data_protection_kind': 'ENCRYPT',
}
OPENSSL = shutil.which('openssl')


def openssl(*words, cwd):
    subprocess.run([OPENSSL, *words], cwd=cwd, check=True, capture_output=True)  # noqa: S603


class Keystore:
    """One authority, and the enclaves it has signed.

    Attributes:
        env: the environment in which a process uses it, and refuses to start without.
    """

    def __init__(self, folder):
        self.folder = folder
        (folder / 'enclaves').mkdir(parents=True)
        openssl(
            'req', '-x509', *EC, '-keyout', 'ca.key.pem', '-out', 'ca.cert.pem', '-days', '2',
            '-subj', '/CN=test authority', cwd=folder,
        )  # fmt: skip
        self.env = {
            'ROS_SECURITY_ENABLE': 'true',
            'ROS_SECURITY_STRATEGY': 'Enforce',
            'ROS_SECURITY_KEYSTORE': str(folder),
        }

    def add(self, profile):
        """Keys and permissions for what ``profile`` says, and nothing else."""
        place = self.folder / 'enclaves' / profile.enclave.lstrip('/')
        place.mkdir(parents=True)
        for name in ('identity_ca', 'permissions_ca'):
            os.link(self.folder / 'ca.cert.pem', place / f'{name}.cert.pem')
        name = profile.enclave.replace('/', '\\/')
        openssl('req', *EC, '-keyout', 'key.pem', '-out', 'csr', '-subj', f'/CN={name}', cwd=place)
        openssl(
            'x509', '-req', '-in', 'csr', '-out', 'cert.pem', '-days', '2', '-CA',
            self.folder / 'ca.cert.pem', '-CAkey', self.folder / 'ca.key.pem', '-CAcreateserial',
            cwd=place,
        )  # fmt: skip
        self._sign(place, 'governance', governance())
        self._sign(place, 'permissions', permissions(profile))
        return place

    def _sign(self, place, name, text):
        (place / f'{name}.xml').write_text(text)
        openssl(
            'smime', '-sign', '-text', '-in', f'{name}.xml', '-out', f'{name}.p7s', '-signer',
            self.folder / 'ca.cert.pem', '-inkey', self.folder / 'ca.key.pem', cwd=place,
        )  # fmt: skip


def governance():
    """Everything is authenticated, authorised and encrypted, on every domain."""
    document, rules = _document('governance', 'domain_access_rules/domain_rule')
    _tree(rules, {f'domains/{end}': word for end, word in DOMAINS.items()} | WHOLE)
    _tree(rules, {f'topic_access_rules/topic_rule/{name}': word for name, word in TOPIC.items()})
    return ET.tostring(document, 'unicode')


def permissions(profile):
    """What ``profile`` grants, in names of DDS topics; everything else is denied."""
    document, grant = _document('permissions', 'permissions/grant')
    grant.set('name', profile.enclave)
    _tree(grant, {
        'subject_name': f'CN={profile.enclave}',
        'validity/not_before': '2020-01-01T00:00:00',
        'validity/not_after': '2099-01-01T00:00:00',
        **{f'allow_rule/domains/{end}': word for end, word in DOMAINS.items()},
    })  # fmt: skip
    asked = [f'rq{name}Request' for name in sorted(profile.reply)]
    answered = [f'rr{name}Reply' for name in sorted(profile.reply)]
    assert not profile.request, 'none of our nodes calls anybody'
    rows = {
        'publish': [*(f'rt{name}' for name in sorted(profile.publish)), *answered],
        'subscribe': [*(f'rt{name}' for name in sorted(profile.subscribe)), *asked],
    }
    for right, names in rows.items():
        topics = ET.SubElement(ET.SubElement(grant.find('allow_rule'), right), 'topics')
        for name in ('ros_discovery_info', *names):
            ET.SubElement(topics, 'topic').text = name
    ET.SubElement(grant, 'default').text = 'DENY'
    return ET.tostring(document, 'unicode')


def _document(kind, path):
    document = ET.Element('dds', {f'{{{XSI}}}noNamespaceSchemaLocation': SCHEMA.format(kind)})
    return document, _at(document, path)


def _at(element, path):
    for tag in path.split('/'):
        inner = element.find(tag)
        element = ET.SubElement(element, tag) if inner is None else inner
    return element


def _tree(element, leaves):
    for path, text in leaves.items():
        _at(element, path).text = text


def verified(place, name):
    """The signed text of ``name`` in an enclave, checked against its authority."""
    said = subprocess.run(  # noqa: S603
        [
            OPENSSL, 'smime', '-verify', '-text', '-in', f'{name}.p7s',
            '-CAfile', 'permissions_ca.cert.pem',
        ],
        cwd=place, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return said.stdout
