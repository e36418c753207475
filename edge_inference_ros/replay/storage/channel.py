"""What every kind of storage answers, whatever its format."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Channel:
    """One topic as one writer described it, in the writer's words: nothing is checked.

    Attributes:
        key: names it in the file it stands in.
        encoding: of the messages: ``cdr``, ``json``, ``protobuf``, …
        definition: text that defines the type, in ``language``; empty if there is none.
        language: ``ros2msg``, ``ros2idl``, ``protobuf``, …
        type_hash: RIHS01 of the type, or empty.
        qos: the profiles the publishers offered, as YAML; or empty.
        count: messages, as the file says.
    """

    key: int
    topic: str
    msgtype: str
    encoding: str = 'cdr'
    definition: str = ''
    language: str = 'ros2msg'
    type_hash: str = ''
    qos: str = ''
    count: int = 0


class Storage(Protocol):
    """One open file.

    Attributes:
        lost: what is missing, as a sentence; empty if the file is whole.
    """

    channels: tuple[Channel, ...]
    lost: str

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """When the first and the last message were received; ``None`` without messages."""

    def last_ns(self, keys: Collection[int]) -> int:
        """When the last message of these channels was received; 0 without any.

        Raises:
            Exception: of any kind, where the file is damaged.
        """

    def messages(self, keys: Collection[int]) -> Iterator[tuple[int, int, bytes]]:
        """Key of the channel, time of reception, and bytes of each message, in order of time.

        Raises:
            Exception: of any kind, where the file is damaged.
        """

    def close(self) -> None:
        """Close the file."""
