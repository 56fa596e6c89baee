"""Records on their way to a database that may be gone: frames in files of this machine, in order, within a bound of bytes.

A file ("segment") is named by when it was begun and by chance. A frame is four bytes of length, four of CRC-32 (both
little-endian), and MessagePack: the name of a table and rows of it. Whoever has a segment's lock works on it; the
segments of processes that are gone are taken over.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from equipoise.stores.database import Row, StoreError

PREFIX, SUFFIX = "waiting-", ".records"
SEGMENT_BYTES = 16 * 1024 * 1024
FRAME_ROWS = 250
HEAD = 8


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one table, put down together."""

    table: str
    rows: list[tuple[object, ...]]


_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Frame).decode


class Segment:
    """One file of frames; `done` bytes of it are in the database, as far as is known here."""

    def __init__(self, path: Path, descriptor: int, *, own: bool) -> None:
        self.path, self._descriptor, self.own = path, descriptor, own
        self.size = self.done = self.torn = 0
        self.certain = False
        """Whether `done` is what the database says."""

    @property
    def name(self) -> str:
        """What the database knows it by."""
        return self.path.name.removeprefix(PREFIX).removesuffix(SUFFIX)

    def append(self, data: bytes) -> None:
        """Add frames and have them on the disk; all or none. Raises OSError."""
        try:
            written = os.pwrite(self._descriptor, data, self.size)
            if written != len(data):
                raise OSError("the disk took a part only")  # noqa: TRY301 - taken back like any other failure
            os.fdatasync(self._descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)

    def frames(self, at: int) -> Iterator[tuple[Frame, int]]:
        """The whole frames from there on, each with the place where it ends."""
        while (frame := self._frame(at)) is not None:
            yield frame
            at = frame[1]

    def measure(self) -> int:
        """Find out how far it is whole; gives the number of rows. What is behind that was never said to be durable."""
        whole = self.size = os.fstat(self._descriptor).st_size
        rows, end = 0, 0
        for frame, end in self.frames(0):  # noqa: B007 - the last end is wanted
            rows += len(frame.rows)
        self.size, self.torn = end, whole - end
        return rows

    def close(self, *, remove: bool) -> None:
        """Let go of it, and of the file if there is nothing more in it that anybody wants."""
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _frame(self, at: int) -> tuple[Frame, int] | None:
        head = os.pread(self._descriptor, HEAD, at)
        length, crc = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:], "little")
        if len(head) < HEAD or at + HEAD + length > self.size:
            return None
        data = os.pread(self._descriptor, length, at + HEAD)
        return (_decode(data), at + HEAD + length) if zlib.crc32(data) == crc else None


def _sync(folder: Path) -> None:
    """A name is on the disk when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def framed(table: str, rows: Sequence[Row]) -> bytes:
    """Rows as frames. Raises what UNWRITABLE names for a value that has no place in one."""
    parts = []
    for start in range(0, len(rows), FRAME_ROWS):
        data = _encode(Frame(table, list(rows[start : start + FRAME_ROWS])))
        parts += [len(data).to_bytes(4, "little"), zlib.crc32(data).to_bytes(4, "little"), data]
    return b"".join(parts)


class Journal:
    """The segments of one process, oldest first, those it took over before its own. For one thread at a time.

    `most_bytes` bounds all of them together. Raises StoreError when no file can be made in the folder.
    """

    def __init__(self, folder: Path, most_bytes: int, on_error: Callable[[str], None] = lambda message: None) -> None:
        self._folder, self.most_bytes, self._on_error = folder, most_bytes, on_error
        self.segments: list[Segment] = []
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._refused(error) from error
        self._follow()

    @property
    def size(self) -> int:
        """What all segments take of the disk."""
        return sum(segment.size for segment in self.segments)

    @property
    def waiting_bytes(self) -> int:
        """What of it is not in the database, as far as is known."""
        return sum(segment.size - segment.done for segment in self.segments)

    def append(self, data: bytes) -> None:
        """Keep frames. Raises StoreError when the bound is reached or the disk refuses; then nothing of it is kept."""
        if self.size + len(data) > self.most_bytes:
            raise StoreError(
                f"{self.size} bytes of records wait in {self._folder}, and no more than {self.most_bytes} may"
            )
        if self.segments[-1].size >= min(SEGMENT_BYTES, self.most_bytes // 4):
            self._follow()
        try:
            self.segments[-1].append(data)
        except OSError as error:
            raise self._refused(error) from error

    def take_over(self) -> int:
        """Segments of processes that are gone; gives the number of rows in them."""
        found = [taken for path in sorted(self._folder.glob(f"{PREFIX}*{SUFFIX}")) if (taken := self._taken(path))]
        self.segments[:0] = [segment for segment, _ in found]
        return sum(rows for _, rows in found)

    def finish(self, segment: Segment) -> None:
        """All of a segment is in the database: its file goes. Raises StoreError where the next one cannot be begun."""
        if segment is self.segments[-1]:
            self._follow()
        self.segments.remove(segment)
        segment.close(remove=True)

    def close(self) -> None:
        """Let go of everything; what still waits stays for the next process."""
        for segment in self.segments:
            segment.close(remove=(segment.certain and segment.done == segment.size) or not segment.size)
        self.segments = []

    def _follow(self) -> None:
        """Begin another segment, and write there from now on."""
        try:
            self.segments.append(self._begin())
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> StoreError:
        return StoreError(f"records cannot be kept in {self._folder}: {error.strerror or error}")

    def _begin(self) -> Segment:
        path = self._folder / f"{PREFIX}{time.time_ns():020d}-{secrets.token_hex(6)}{SUFFIX}"
        unnamed = path.with_name(f".{path.name}")  # until it is locked nobody may find it
        descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        unnamed.rename(path)
        _sync(self._folder)
        return Segment(path, descriptor, own=True)

    def _taken(self, path: Path) -> tuple[Segment, int] | None:
        """None while its process lives: the lock is the kernel's and ends with it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        segment = Segment(path, descriptor, own=False)
        if not os.fstat(descriptor).st_nlink:  # its process has just finished it
            segment.close(remove=False)
            return None
        rows = segment.measure()
        if segment.torn:
            self._on_error(f"{path}: the last {segment.torn} bytes are no whole batch, and were never said to be kept")
        return segment, rows
