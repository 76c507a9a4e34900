"""Changes to TFRecords, pictures and tar archives; see `mutators`."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import re
import struct
import tarfile
import zlib

from tests.fuzz import array_mutators, mutators


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _fields(data: bytes) -> list[tuple[bytes, bytes]] | None:
    """(tag, content) of a message of length-delimited fields with tags of one byte; None for anything else."""
    found, at = [], 0
    while at < len(data):
        tag = data[at]
        if tag & 7 != 2:
            return None
        length, shift, at = 0, 0, at + 1
        while at < len(data) and shift < 36:
            length |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 0x80:
                break
        if at + length > len(data):
            return None
        found.append((bytes((tag,)), data[at : at + length]))
        at += length
    return found


def mutate_message(data: bytes, rng: random.Random, depth: int = 0) -> bytes:
    """Fields of a message, and of the messages in it."""
    fields = _fields(data)
    if not fields or depth > 5 or rng.random() < 0.1:
        return rng.choice(
            (
                mutators.mutate_bytes(data, rng),
                array_mutators.numbers(data, rng),
                rng.choice(mutators.TEXTS).encode("utf-8", "surrogatepass"),
            )
        )
    i, kind = rng.randrange(len(fields)), rng.randrange(8)
    tag, content = fields[i]
    if kind == 0:
        del fields[i]
    elif kind == 1:
        fields.insert(i, fields[rng.randrange(len(fields))])
    elif kind == 2:
        fields[i] = bytes((rng.choice((0x0A, 0x12, 0x1A, 0x08, 0x0D, tag[0] ^ 8)),)), content
    else:
        fields[i] = tag, mutate_message(content, rng, depth + 1)
    lie = rng.randrange(len(fields)) if fields and rng.random() < 0.1 else -1
    return b"".join(
        tag + _varint(rng.choice((len(content) + 1, 0, 1 << 40)) if n == lie else len(content)) + content
        for n, (tag, content) in enumerate(fields)
    )


def _crc(data: bytes) -> bytes:
    from tfrecords.storage.crc32c import masked_crc32c

    return struct.pack("<I", masked_crc32c(data))


def frames_of(data: bytes) -> list[bytes] | None:
    """The records of a TFRecord file, None when it is none."""
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        if at + length + 16 > len(data):
            return None
        found.append(data[at + 12 : at + 12 + length])
        at += length + 16
    return found


def mutate_tfrecord(data: bytes, rng: random.Random) -> bytes:
    """A record in a TFRecord file, with checksums that fit; or lengths that don't."""
    frames = frames_of(data)
    if not frames or rng.random() < 0.1:
        return mutators.mutate_bytes(data, rng)
    i, kind = rng.randrange(len(frames)), rng.randrange(10)
    if kind == 0:
        del frames[i]
    elif kind == 1:
        frames.insert(i, rng.choice((b"", b"\x0a\0", rng.randbytes(30), frames[i])))
    else:
        frames[i] = mutate_message(frames[i], rng)
    parts = []
    for n, frame in enumerate(frames):
        length = len(frame)
        if n == len(frames) - 1 and rng.random() < 0.08:
            length = rng.choice((1 << 40, length + 1, 1 << 63, 0, (1 << 64) - 1))
        header = struct.pack("<Q", length)
        parts += [header, _crc(header), frame, _crc(frame)]
    return b"".join(parts)


def mutate_picture(data: bytes, rng: random.Random) -> bytes:
    """Segments of a JPEG, chunks of a PNG with checksums that fit, sizes of a GIF or BMP; or bytes."""
    kind = rng.random()
    if kind < 0.25:
        return mutators.mutate_bytes(data, rng)
    out = bytearray(data)
    side = rng.choice((0, 1, 2, 16, 255, 4000, 16_000, 65_000, 65_535))
    if data[:2] == b"\xff\xd8":
        segments = [found.start() for found in re.finditer(rb"\xff[\xc0-\xfe]", data)] or [0]
        at = rng.choice(segments)
        if kind < 0.5:
            frames = [found.start() for found in re.finditer(rb"\xff[\xc0-\xc2]\x00", data)]
            if frames and frames[0] + 9 <= len(out):
                struct.pack_into(">H", out, frames[0] + rng.choice((5, 7)), side)
        elif kind < 0.6:
            out[at + 1] = rng.randrange(0xC0, 0xFF)
        elif kind < 0.7:
            exif = b"Exif\0\0" + mutators.mutate_bytes(
                b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0", rng
            )
            out[2:2] = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
        elif kind < 0.85 and at + 4 <= len(out):
            struct.pack_into(">H", out, at + 2, rng.choice((0, 1, 2, 3, 65_535, side)))
        else:
            out[at:at] = out[at : at + rng.randrange(2, 60)]
    elif data[:4] == b"\x89PNG":
        at, chunks = 8, []
        while at + 12 <= len(data):
            length = int.from_bytes(data[at : at + 4], "big")
            chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + length]])
            at += 12 + length
        if not chunks:
            return mutators.mutate_bytes(data, rng)
        chunk = rng.choice(chunks)
        if kind < 0.45 and len(chunks[0][1]) == 13:
            head = bytearray(chunks[0][1])
            if rng.random() < 0.6:
                struct.pack_into(">I", head, rng.choice((0, 4)), rng.choice((side, 1 << 30, (1 << 32) - 1)))
            else:
                head[rng.randrange(8, 13)] = rng.randrange(20)
            chunks[0][1] = bytes(head)
        elif kind < 0.6:
            chunks.insert(
                rng.randrange(len(chunks)),
                [rng.choice((b"eXIf", b"tEXt", b"zTXt", b"iCCP", b"PLTE")), rng.randbytes(20)],
            )
        elif kind < 0.7:
            chunks.remove(chunk)
        elif kind < 0.8:
            bomb = zlib.compress(bytes(3_000_000), 9)
            chunks.insert(1, [rng.choice((b"zTXt", b"iCCP")), b"a\0\0" + bomb])
        else:
            chunk[1] = mutators.mutate_bytes(chunk[1], rng)
        parts = [struct.pack(">I", len(c)) + t + c + struct.pack(">I", zlib.crc32(t + c)) for t, c in chunks]
        return data[:8] + b"".join(parts)
    elif data[:3] == b"GIF" and len(out) > 10:
        struct.pack_into("<H", out, rng.choice((6, 8)), side)
    elif data[:2] == b"BM" and len(out) > 26:
        struct.pack_into("<i", out, rng.choice((18, 22)), rng.choice((side, -side, 1 << 30)))
    else:
        return array_mutators.mutate_words(data, rng)
    return bytes(out)


def mutate_tar(data: bytes, rng: random.Random) -> bytes:
    """Members of a tar of JSON files, and what its headers say of them."""
    if rng.random() < 0.2:
        return mutators.mutate_bytes(data, rng)
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = [(m.name, archive.extractfile(m).read()) for m in archive if m.isreg()]  # type: ignore[union-attr]
    except Exception:
        return mutators.mutate_bytes(data, rng)
    if not members:
        return mutators.mutate_bytes(data, rng)
    i = rng.randrange(len(members))
    members[i] = members[i][0], mutators.mutate_json(members[i][1], rng)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for n, (name, content) in enumerate(members):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if n == i and rng.random() < 0.5:
                kind = rng.randrange(5)
                if kind == 0:
                    info.name = rng.choice(("../../x.json", "/etc/x.json", "a\ud800.json", "x" * 300 + ".json"))
                elif kind == 1:
                    info.type, info.linkname = rng.choice(((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, name)))
                elif kind == 2:
                    info.type = rng.choice((tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE))
                elif kind == 3:
                    header = bytearray(info.tobuf(errors="surrogateescape"))
                    header[124:136] = rng.choice(
                        (b"\x80" + b"\0" * 3 + (1 << 60).to_bytes(8, "big"), b"77777777777\0", b"x" * 12)
                    )
                    header[148:156] = b" " * 8
                    header[148:156] = b"%06o\0 " % sum(header)
                    out.write(bytes(header) + content + b"\0" * (-len(content) % 512))
                    archive.offset = out.tell()
                    continue
            with contextlib.suppress(ValueError, UnicodeError):
                archive.addfile(info, io.BytesIO(content))
    made = out.getvalue()
    return gzip.compress(made, 1) if data[:2] == b"\x1f\x8b" else made
