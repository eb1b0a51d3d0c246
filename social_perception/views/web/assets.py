"""The page's files, read once: a request is looked up by name and never reaches the disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from social_perception.core.errors import WebError

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
# The machine's own table of types may lack .js, and then a browser does not run it.
_TEXTS = ("text/", "application/json", "image/svg")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page."""

    body: bytes
    content_type: str
    tag: str

    def response(self, request: web.Request) -> web.Response:
        """The file, or word that the browser has it already."""
        headers = {"ETag": f'"{self.tag}"', "Cache-Control": "no-cache"}
        if any(each.value in (self.tag, "*") for each in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        charset = "utf-8" if self.content_type.startswith(_TEXTS) else None
        return web.Response(body=self.body, content_type=self.content_type, charset=charset, headers=headers)


def read_assets(folder: Path = FOLDER) -> dict[str, Asset]:
    """All files of a folder, by their path in it.

    Raises:
        WebError: the page itself is not among them.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in _TYPES]
    assets = {path.relative_to(folder).as_posix(): _asset(path) for path in files}
    if INDEX not in assets:
        raise WebError(f"the web page is not installed: {folder / INDEX} is missing")
    return assets


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:16])
