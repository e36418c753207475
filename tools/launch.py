"""``python -m tools.launch [--write]``: what docs/launch.md shows of the files it is about."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_inference_ros.bringup import arguments

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs/launch.md'
SERVICE = 'config/systemd/edge_inference.service'
OFFERED = {
    'bringup': arguments.BRINGUP,
    'perception': arguments.PERCEPTION,
    'watchdog': arguments.WATCHDOG,
    'multi_camera': arguments.MULTI_CAMERA,
}


def table() -> str:
    """Every argument once, and which launch files take it."""
    rows = ['| argument | default | of | meaning |', '|---|---|---|---|']
    seen: dict[str, arguments.Argument] = {}
    for offers in OFFERED.values():
        for argument in offers:
            seen.setdefault(argument.name, argument)
    for name, argument in seen.items():
        takes = [file for file, offers in OFFERED.items() if name in {a.name for a in offers}]
        where = 'all' if len(takes) == len(OFFERED) else ', '.join(takes)
        default = 'must be given' if argument.default is None else f'`{argument.default}`'
        shown = '' if argument.default == '' else default
        rows.append(f'| `{name}` | {shown} | {where} | {argument.description} |')
    return '\n'.join(rows)


def service() -> str:
    """The systemd unit that ships."""
    return f'```ini\n{(ROOT / SERVICE).read_text(encoding="utf-8").rstrip()}\n```'


def page(text: str) -> str:
    """``text`` with what is generated in its places."""
    parts = {'edge_inference_ros.bringup.arguments': table(), SERVICE: service()}
    for source, content in parts.items():
        before, mark, rest = text.partition(f'<!-- from {source} -->\n')
        _, end, after = rest.partition('<!-- to here -->')
        text = f'{before}{mark}{content}\n{end}{after}'
    return text


def main() -> int:
    """Write the page, or say whether it is as it should be."""
    text = PAGE.read_text(encoding='utf-8')
    if '--write' in sys.argv:
        PAGE.write_text(page(text), encoding='utf-8')
    return int(page(text) != text and '--write' not in sys.argv)


if __name__ == '__main__':
    sys.exit(main())
