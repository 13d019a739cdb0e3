"""The folder of MicroPython images: `tally firmware fetch` fills it, `tally flash` takes from it by the board's name.

Files keep the names that they have where they come from, `ESP32_GENERIC_C3-20250911-v1.26.1.bin`: board, date,
version. An image is taken only if its SHA-256 is the one that the person gave, or that stands in `SHA256SUMS` beside
it; of one that was fetched without either, the hash is shown and kept, and changes are noticed from then on.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from tallystick_host import files, limits
from tallystick_host.boards import Board
from tallystick_host.errors import RefusedError, UndoneError, UseError
from tallystick_host.words import shown, shown_path

__all__ = ["SUMS", "check_sum", "default", "fetch", "newest"]

SUMS: Final = "SHA256SUMS"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}\.bin")
_SUM: Final = re.compile("[0-9a-f]{64}")
_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *](\S+)")


def default() -> Path:
    """The folder of this user on this system."""
    import platformdirs

    return Path(platformdirs.user_data_dir("tallystick")) / "images"


def newest(folder: Path, board: Board) -> Path:
    """The board's newest released image in `folder`, its hash checked; `UseError` says where to get one."""
    pattern = re.compile(re.escape(board.download) + r"-([0-9]{8})-v([0-9.]+)\.bin")
    found = []
    for path in folder.glob("*.bin"):
        match = pattern.fullmatch(path.name)
        if match:
            version = tuple(int(n) for n in match[2].split(".") if n)
            found.append((version, match[1], path))
    if not found:
        raise UseError(
            f"no image {board.download}-<date>-v<version>.bin in {shown_path(folder)!r}",
            code="image.none",
            hint=f"download it at micropython.org/download/{board.download}, then: "
            "tally firmware fetch FILE --sha256 HASH",
        )
    path = max(found)[2]
    check_sum(path)
    return path


def check_sum(path: Path) -> str:
    """The file's SHA-256; `RefusedError` if the folder remembers another one."""
    actual = hashlib.sha256(files.read(path, limits.IMAGE_BYTES)).hexdigest()
    known = _sums(path.parent).get(path.name)
    if known is not None and known != actual:
        raise RefusedError(
            f"{shown_path(path)!r} is not the file that was fetched",
            code="image.sum",
            hint="delete it and fetch it again",
        )
    return actual


def fetch(source: str, folder: Path, sha256: str | None) -> tuple[Path, str, bool]:
    """Copy an image from an address or a file into `folder`: its path, its SHA-256, whether that was checked."""
    if sha256 is not None and not _SUM.fullmatch(sha256.lower()):
        raise UseError(f"{sha256!r} is no SHA-256: 64 hexadecimal digits")
    is_address = source.startswith(("http://", "https://"))
    name = unquote(urlsplit(source).path).rsplit("/", 1)[-1] if is_address else Path(source).name
    # stops an address from choosing a place outside of the folder
    if not _NAME.fullmatch(name):
        raise UseError(f"{shown(name)!r} is no name of an image: <board>-<date>-v<version>.bin")
    data = (
        _download(source, limits.IMAGE_BYTES)
        if is_address
        else files.read(Path(source), limits.IMAGE_BYTES)
    )
    actual = hashlib.sha256(data).hexdigest()
    expected = sha256.lower() if sha256 else _published(source, name, is_address)
    if expected is not None and expected != actual:
        raise RefusedError(
            f"{shown(name)!r} has the SHA-256 {actual}, not the expected {expected}; it was not kept",
            code="image.sum",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UndoneError(f"cannot make the folder {shown_path(folder)!r}") from error
    with files.locked(folder / SUMS):
        files.replace(folder / name, data)
        sums = _sums(folder) | {name: actual}
        text = "".join(f"{digest}  {file}\n" for file, digest in sorted(sums.items()))
        files.replace(folder / SUMS, text.encode())
    return folder / name, actual, expected is not None


def _published(source: str, name: str, is_address: bool) -> str | None:
    """The hash in SHA256SUMS beside the image, None if there is none."""
    if not is_address:
        return _sums(Path(source).resolve().parent).get(name)
    try:
        text = _download(source.rsplit("/", 1)[0] + f"/{SUMS}", limits.IMAGE_LIST_BYTES)
    except UndoneError:
        return None
    return _parsed(text).get(name)


def _sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    return _parsed(files.read(path, limits.IMAGE_LIST_BYTES)) if path.is_file() else {}


def _parsed(text: bytes) -> dict[str, str]:
    lines = text.decode("utf-8", "replace").splitlines()
    matches = (_LINE.fullmatch(line.strip()) for line in lines)
    return {match[2]: match[1] for match in matches if match}


def _download(address: str, limit: int) -> bytes:
    import httpx

    try:
        with httpx.stream(
            "GET", address, timeout=limits.HTTP_TIMEOUT_S, follow_redirects=True
        ) as answer:
            if answer.status_code != httpx.codes.OK:
                raise UndoneError(
                    f"{shown(address)!r} answers {answer.status_code}", code="image.unreachable"
                )
            body = bytearray()
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > limit:
                    raise UndoneError(
                        f"{shown(address)!r} sends more than {limit} bytes", code="image.too-long"
                    )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UndoneError(
            f"no answer from {shown(address)!r}: {shown(str(error)) or type(error).__name__}",
            code="image.unreachable",
            hint="download it with a browser, then: tally firmware fetch FILE",
        ) from error
    return bytes(body)
