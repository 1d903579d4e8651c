"""Model packs on a disk: folders of ONNX files that an operator installed, and their digests.

For the embedding service, which runs them, and for the command line, which installs them: neither
brings what the other needs. Weights have licences of their own, which are the operator's matter;
nothing is fetched that nobody asked for, and nothing from the net without its digest.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from platformdirs import user_data_path

from homeward.core import pack_manifest
from homeward.core.pack_manifest import Manifest

MANIFEST = "homeward-pack.json"
"""Not `manifest.json`, which InsightFace gives a meaning."""
MAX_BYTES = 2 * 1024**3
"""Of a pack and of its archive; the largest public one, antelopev2, has 0.4 GB."""
MAX_ENTRIES = 1000
"""Of an archive."""
_MIN_FILES = 2
"""A detector and a recogniser."""
_CHUNK_BYTES = 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FILE_NAME = re.compile(r"\w[\w. -]*\.onnx", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")

Show = Callable[[float, float], None]
"""Takes how many bytes are done, and of how many; 0 of those when that is not known."""
Fetch = Callable[[str], AbstractContextManager[IO[bytes]]]
"""Opens a URL."""


class PackError(Exception):
    """A model pack cannot be used or installed.

    Args:
        message: What is wrong.
        remedy: What to do.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}: {remedy}")
        self.message = message
        self.remedy = remedy


class PackExistsError(PackError):
    """A pack of this name is installed."""


@dataclass(frozen=True, slots=True)
class PackFile:
    """One model of a pack."""

    name: str
    sha256: str
    """Hexadecimal."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Pack:
    """A folder of models."""

    folder: Path
    files: tuple[PackFile, ...]
    """As they were when they were installed, or are now in a folder that was not installed."""
    source: str = ""
    """Where they were installed from."""
    licence: str = ""
    """What the operator stated when installing them."""
    manifest: Manifest = pack_manifest.DEFAULT
    """Which pictures its recogniser takes, and what trained it."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def read(self, file: PackFile) -> bytes:
        """Return a model, checked against its digest.

        Raises:
            PackError: It is missing or another one.
        """
        path = self.folder / file.name
        remedy = f"install the pack {self.name} again"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise PackError(f"{path} cannot be read ({error.strerror})", remedy) from error
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise PackError(f"{path} is not the file that was installed", remedy)
        return data


def default_folder() -> Path:
    """Return where packs are installed unless HOMEWARD_MODEL_DIR says otherwise."""
    return user_data_path("homeward") / "packs"


def find(name: str, folder: Path) -> Pack:
    """Return an installed pack; its files are not read yet.

    Raises:
        PackError: There is none of this name, or its manifest cannot be read.
    """
    if not _NAME.fullmatch(name) or not (folder / name).is_dir():
        raise PackError(
            f"model pack {name} is not installed in {folder}",
            "install it there; Homeward downloads no weights by itself",
        )
    if not (folder / name / MANIFEST).is_file():
        raise PackError(
            f"{folder / name} has no {MANIFEST}, so nothing says what its files should be",
            f"install it again, which writes one; or use insightface:{folder / name} as it is",
        )
    return _read_manifest(folder / name)


def at(folder: Path, *, alone: bool = False) -> Pack:
    """Return the pack that a folder is, whether it was installed or not.

    Args:
        folder: Has the models.
        alone: Whether a recogniser without a detector will do.

    Raises:
        PackError: There is no folder, no model in it, or its manifest cannot be read.
    """
    if not folder.is_dir():
        raise PackError(f"{folder} is not a folder", "name the folder that holds the *.onnx files")
    if (folder / MANIFEST).is_file():
        return _read_manifest(folder)
    paths = _models_in(folder, alone=alone)
    return Pack(folder, tuple(_described(path) for path in paths))


def installed(folder: Path) -> list[Path]:
    """Return the folders of the installed packs, by name."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())


def install(
    source: str,
    *,
    folder: Path,
    name: str = "",
    sha256: str = "",
    licence: str = "",
    manifest: Manifest = pack_manifest.DEFAULT,
    replace: bool = False,
    show: Show = lambda _done, _total: None,
    fetch: Fetch | None = None,
) -> Pack:
    """Copy the models of a pack into the folder of packs: all of them, or nothing.

    Args:
        source: A folder, a zip file, or the https URL of one.
        folder: Of the installed packs; made if it is not there.
        name: What the pack is called from now on; by default as its source.
        sha256: Of the zip file, hexadecimal. A URL needs it; it is checked before unpacking.
        licence: Under which the operator uses the weights, in their words.
        manifest: Which pictures its recogniser takes, and what trained it.
        replace: Whether a pack of the same name goes.
        show: Told how far it is.
        fetch: Opens a URL; by default over https alone.

    Raises:
        PackError: The source has no pack, is not what its digest says, or is not safe to unpack.
        PackExistsError: There is a pack of this name, which shall not go.
        OSError: It cannot be written.
    """
    url = "://" in source
    sha256 = sha256.lower()
    _check_request(source, url=url, sha256=sha256)
    name = name or _name_of(source, url=url)
    if not _NAME.fullmatch(name):
        raise PackError(f"{name!r} is no name for a pack", "--name gives one: a-z, 0-9, . _ -")
    target = folder / name
    if target.exists() and not replace:
        raise PackExistsError(f"model pack {name} is installed already", "--force replaces it")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".installing-") as scratch:
        staged = Path(scratch, "pack")
        staged.mkdir()
        if url:
            archive = Path(scratch, "archive.zip")
            _download(source, archive, fetch or _open_https, show)
            files = _unpack(archive, staged, sha256, source, show)
        elif Path(source).is_dir():
            files = _copy_all(Path(source), staged, show)
        else:
            files = _unpack(Path(source), staged, sha256, source, show)
        _check_names([file.name for file in files], source, alone=manifest.recogniser_alone)
        pack = Pack(target, tuple(files), source=source, licence=licence, manifest=manifest)
        _write_manifest(staged, pack)
        if target.exists():
            target.rename(Path(scratch, "replaced"))
        staged.rename(target)  # atomic: a reader sees all of it or nothing
    return pack


def _check_request(source: str, *, url: bool, sha256: str) -> None:
    if sha256 and not _SHA256.fullmatch(sha256):
        raise PackError("--sha256 is not a SHA-256", "it has 64 hexadecimal digits")
    if not url:
        if not Path(source).exists():
            raise PackError(f"{source}: no such file or folder", "check the name and the folder")
        if sha256 and Path(source).is_dir():
            raise PackError(f"{source} is a folder", "--sha256 is of a zip file; leave it out")
        return
    parts = urlsplit(source)
    if parts.scheme != "https" or not parts.hostname:
        raise PackError(f"{source} is not an https URL", "weights are fetched over https alone")
    if parts.username or parts.password or parts.query:
        raise PackError(
            "the URL carries a password or a query, which would be kept with the pack",
            "download the file yourself and install that",
        )
    if not sha256:
        raise PackError(
            "nothing is fetched without knowing what it should be",
            "--sha256 gives the file's digest, from whoever publishes it",
        )


def _name_of(source: str, *, url: bool) -> str:
    path = PurePosixPath(urlsplit(source).path) if url else Path(source).resolve()
    return path.name.removesuffix(".zip")


def _models_in(folder: Path, *, alone: bool) -> list[Path]:
    paths = sorted(path for path in folder.glob("*.onnx") if path.is_file())
    _check_names([path.name for path in paths], str(folder), alone=alone)
    return paths


def _check_names(names: Sequence[str], source: str, *, alone: bool) -> None:
    if not names:
        raise PackError(
            f"{source} has no *.onnx file", "a pack has at least a detector and a recogniser"
        )
    if len(names) < _MIN_FILES and not alone:
        raise PackError(
            f"{source} is only a part of a pack: {names[0]}",
            "a pack has at least a detector and a recogniser",
        )
    for name in names:
        if not _FILE_NAME.fullmatch(name):
            raise PackError(f"{source}: {name!r} is no name for a model", "rename it")


def _described(path: Path) -> PackFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return PackFile(path.name, digest, path.stat().st_size)


def _copy_all(source: Path, target: Path, show: Show) -> list[PackFile]:
    paths = _models_in(source, alone=True)
    total = sum(path.stat().st_size for path in paths)
    files: list[PackFile] = []
    for path in paths:
        with path.open("rb") as stream:
            files.append(_copy(stream, target / path.name, files, total, show))
    return files


def _unpack(archive: Path, target: Path, sha256: str, source: str, show: Show) -> list[PackFile]:
    import zipfile  # noqa: PLC0415 - only here; the service never unpacks
    import zlib  # noqa: PLC0415 - as above

    if sha256 and (found := _described(archive).sha256) != sha256:
        raise PackError(
            f"{source} is not the file that was asked for: its SHA-256 is {found}",
            "nothing was unpacked; get the digest and the file from whoever publishes them",
        )
    files: list[PackFile] = []
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _models_among(opened.infolist(), source)
            total = sum(entry.file_size for entry in entries)
            for entry in entries:
                path = target / PurePosixPath(entry.filename).name
                with opened.open(entry) as stream:
                    files.append(_copy(stream, path, files, total, show))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise PackError(
            f"{source} is not a zip file, or a damaged or encrypted one", "get it again"
        ) from error
    return files


def _models_among(entries: Sequence[Any], source: str) -> list[Any]:
    """Return the models of an archive, all of one folder, whose name does not matter."""
    for entry in entries:
        parts = PurePosixPath(entry.filename).parts
        outside = ".." in parts or entry.filename.startswith("/") or "\\" in entry.filename
        if outside or ":" in entry.filename or stat.S_ISLNK(entry.external_attr >> 16):
            raise PackError(
                f"{source} reaches out of its folder: {entry.filename!r}", "do not use this file"
            )
    if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise _too_large(source)
    models = [
        entry
        for entry in entries
        if entry.filename.endswith(".onnx")
        # macOS adds to each file one of the same name, with what it knows of it.
        and not PurePosixPath(entry.filename).name.startswith("._")
    ]
    if len({PurePosixPath(entry.filename).parent for entry in models}) > 1:
        raise PackError(
            f"{source} has models in several folders", "unpack it, and install one of the folders"
        )
    _check_names([PurePosixPath(entry.filename).name for entry in models], source, alone=True)
    return sorted(models, key=lambda entry: str(entry.filename))


def _copy(
    source: IO[bytes], target: Path, before: Iterable[PackFile], total: int, show: Show
) -> PackFile:
    done = sum(file.size_bytes for file in before)
    size, digest = 0, hashlib.sha256()
    with target.open("xb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            size += len(chunk)
            if done + size > MAX_BYTES:  # whatever its headers say
                raise _too_large(target.name)
            digest.update(chunk)
            file.write(chunk)
            show(done + size, total)
    return PackFile(target.name, digest.hexdigest(), size)


def _too_large(source: str) -> PackError:
    limit = f"{MAX_BYTES / 1024**3:g} GiB"
    return PackError(f"{source} is larger than a pack may be, {limit}", "is it a model pack?")


def _download(url: str, target: Path, fetch: Fetch, show: Show) -> None:
    try:
        with fetch(url) as stream:
            total = int(getattr(stream, "length", None) or 0)
            _copy(stream, target, (), total, show)
    except (OSError, HTTPException) as error:  # URLError, a time-out, a connection that ends early
        raise PackError(
            f"{url} cannot be fetched ({getattr(error, 'reason', None) or error})",
            "check the address; or download the file yourself and install that",
        ) from error


def _open_https(url: str) -> AbstractContextManager[IO[bytes]]:
    import urllib.error  # noqa: PLC0415 - slow to import, and seldom needed
    import urllib.request  # noqa: PLC0415 - as above

    class HttpsOnly(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args: Any) -> urllib.request.Request | None:  # noqa: ANN401 - urllib's
            if urlsplit(args[-1]).scheme != "https":
                args[1].close()  # the answer
                raise PackError(
                    f"{url} leads to {args[-1]}, which is not https", "do not use this address"
                )
            return super().redirect_request(*args)

    opener = urllib.request.build_opener(HttpsOnly)
    try:
        response: AbstractContextManager[IO[bytes]] = opener.open(url, timeout=60)
    except urllib.error.HTTPError as error:
        error.close()  # it is the answer, too
        raise
    return response


def _write_manifest(folder: Path, pack: Pack) -> None:
    content = {
        "version": pack_manifest.VERSION,
        "source": pack.source,
        "licence": pack.licence,
        **pack_manifest.to_fields(pack.manifest),
        "files": [asdict(file) for file in pack.files],
    }
    (folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_manifest(folder: Path) -> Pack:
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = tuple(
            PackFile(str(one["name"]), str(one["sha256"]), int(one["size_bytes"]))
            for one in content["files"]
        )
        pack = Pack(
            folder,
            files,
            str(content["source"]),
            str(content["licence"]),
            pack_manifest.from_fields(content),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise PackError(
            f"{folder / MANIFEST} cannot be read ({type(error).__name__}: {error})",
            "install the pack again",
        ) from error
    alone = pack.manifest.recogniser_alone
    _check_names([file.name for file in files], str(folder / MANIFEST), alone=alone)
    return pack
