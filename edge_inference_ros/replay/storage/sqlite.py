"""An SQLite file of rosbag2, what its recorder had not yet merged into it included.

SQLite writes into a second file first (``-wal``), or keeps there what it was about to change
(``-journal``). A recorder that was killed leaves one of them, and the messages of its last
minutes with it. Both files are then copied, SQLite mends the copy, and that is read: a recording
is not changed by reading it.

Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/lockingv3.html;
rosbag2_storage_sqlite3 (tables by version of the schema).
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from edge_inference_ros.errors import BagError
from edge_inference_ros.replay.containers import SizeLimits, check_sqlite
from edge_inference_ros.replay.storage.channel import Channel

_BESIDE = ('-wal', '-journal')


class Sqlite:
    """One open file.

    Raises:
        BagError: not a recording, or truncated.
    """

    lost = ''

    def __init__(self, path: Path) -> None:
        check_sqlite(path)
        uri = f'{path.absolute().as_uri()}?mode=ro&immutable=1'
        self._name = path.name
        self._db = sqlite3.connect(uri, uri=True)
        try:
            self._db.text_factory = lambda raw: raw.decode(errors='replace')
            self.channels = tuple(self._channels())
            self.span_ns = self._span()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def last_ns(self, keys: Collection[int]) -> int:
        """When the last message of these channels was received; 0 without any.

        Raises:
            sqlite3.Error: the file is damaged.
        """
        marks = ','.join('?' * len(keys))
        query = f'SELECT max(timestamp) FROM messages WHERE topic_id IN ({marks})'  # noqa: S608 - question marks only
        newest_ns = self._db.execute(query, tuple(keys)).fetchone()[0]
        return newest_ns if isinstance(newest_ns, int) else 0

    def messages(self, keys: Collection[int]) -> Iterator[tuple[int, int, bytes]]:
        """Key of the channel, time of reception, and bytes of each message, in order of time.

        Raises:
            BagError: a row is not a message.
            sqlite3.Error: the file is damaged.
        """
        marks = ','.join('?' * len(keys))
        query = (
            'SELECT topic_id, timestamp, data FROM messages'  # noqa: S608 - question marks only
            f' WHERE topic_id IN ({marks}) ORDER BY timestamp'
        )
        for key, time_ns, data in self._db.execute(query, tuple(keys)):
            if not isinstance(time_ns, int) or not isinstance(data, bytes):
                raise BagError(f'{self._name}: a row of messages is not a message')
            yield key, time_ns, data

    def _channels(self) -> Iterator[Channel]:
        tables = dict(self._db.execute('SELECT name, type FROM sqlite_master').fetchall())
        if {tables.get('messages'), tables.get('topics')} != {'table'}:
            raise BagError(f'{self._name} has no tables of topics and messages: not a recording')
        counts = dict(self._db.execute('SELECT topic_id, count(*) FROM messages GROUP BY 1'))
        definitions = self._definitions() if 'message_definitions' in tables else {}
        for row in self._rows('topics'):
            msgtype = str(row.get('type', ''))
            definition, language = definitions.get(msgtype, ('', ''))
            yield Channel(
                key=int(str(row['id'])),
                topic=str(row.get('name', '')),
                msgtype=msgtype,
                encoding=str(row.get('serialization_format', 'cdr')),
                definition=definition,
                language=language,
                type_hash=str(row.get('type_description_hash') or ''),
                qos=str(row.get('offered_qos_profiles') or ''),
                count=counts.get(row['id'], 0),
            )

    def _definitions(self) -> dict[str, tuple[str, str]]:
        return {
            str(row.get('topic_type')): (
                str(row.get('encoded_message_definition', '')),
                str(row.get('encoding', '')),
            )
            for row in self._rows('message_definitions')
        }

    def _rows(self, table: str) -> Iterator[dict[str, object]]:
        """The rows of ``table`` by the columns it has: they differ by version."""
        cursor = self._db.execute(f'SELECT * FROM {table} ORDER BY id')  # noqa: S608 - our own names
        names = [column[0] for column in cursor.description]
        return (dict(zip(names, row, strict=True)) for row in cursor)

    def _span(self) -> tuple[int, int] | None:
        query = 'SELECT min(timestamp), max(timestamp) FROM messages'
        first_ns, last_ns = self._db.execute(query).fetchone()
        if not isinstance(first_ns, int) or not isinstance(last_ns, int):
            return None
        return first_ns, last_ns


def mended(path: Path, folder: Path, limits: SizeLimits) -> Path:
    """``path``, or a copy in ``folder`` with what its recorder had not yet merged into it.

    Raises:
        BagError: no room for the copy, or the two files do not belong together.
    """
    beside = [
        side
        for side in (path.with_name(path.name + end) for end in _BESIDE)
        if side.is_file() and side.stat().st_size
    ]
    if not beside:
        return path
    needed = sum(file.stat().st_size for file in (path, *beside))
    room_bytes = min(limits.total_bytes, shutil.disk_usage(folder).free)
    if needed > room_bytes:
        raise BagError(
            f'{beside[0].name} holds messages that are not in {path.name} yet; a copy of both to'
            f' merge them needs {needed} bytes, {room_bytes} may be used: merge them in place with'
            f" `sqlite3 {path.name} 'PRAGMA wal_checkpoint(TRUNCATE)'`"
        )
    for file in (path, *beside):
        shutil.copyfile(file, folder / file.name)
    copy = folder / path.name
    try:
        with closing(sqlite3.connect(copy)) as db:
            db.execute('PRAGMA trusted_schema = OFF')
            db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            db.execute('PRAGMA journal_mode = DELETE')
    except sqlite3.Error as error:
        raise BagError(
            f'{beside[0].name} holds messages that cannot be merged into {path.name}: {error}'
        ) from error
    return copy
