"""The hook of the documentation site (mkdocs.yml): generated pages, and links to files outside docs/.

Pages link to source files relative to themselves, so that they can be read in a checkout, too. The site does
not contain these files: the link leads to the repository where ``repo_url`` is set, and becomes plain text
otherwise. A link to a missing file is a warning, which ``mkdocs build --strict`` turns into an error.
"""

from __future__ import annotations

import logging
import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
ROOT_PAGES = {"CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security_policy.md"}
"""Pages that lie in the repository's root because code hosts look for them there."""

sys.path.insert(0, str(ROOT / "tools"))
try:
    import docs_reference
except ImportError as error:
    raise PluginError(f"the reference needs ROS 2 and the built messages (. ./env.sh): {error}") from error

_LINK = re.compile(r"(?<!!)\[([^]]+)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_logger = logging.getLogger("mkdocs.hooks.docs")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, name in ROOT_PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=_LINK.sub(_from_root, text)))
    for name, text in docs_reference.pages().items():
        files.append(File.generated(config, name, content=text))
    for _, target, _ in _LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        if not (ROOT / target).exists():
            _logger.warning("README.md links to %s, which does not exist", target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    def replaced(match: re.Match[str]) -> str:
        return _in_site(match, page, config, files)

    return _LINK.sub(replaced, markdown)


def _from_root(match: re.Match[str]) -> str:
    """A link of a page in the root, as a page in docs/ would have it."""
    text, target, anchor = match.groups()
    inside = target.removeprefix("docs/") if target.startswith("docs/") else f"../{target}"
    return f"[{text}]({inside}{anchor or ''})"


def _in_site(match: re.Match[str], page: Page, config: MkDocsConfig, files: Files) -> str:
    text, target, anchor = match.groups()
    here = posixpath.dirname(page.file.src_uri)
    path = posixpath.normpath(posixpath.join("docs", here, target))
    if path.startswith("docs/"):
        return match.group()  # MkDocs checks it
    if not (ROOT / path).exists():
        _logger.warning("%s links to %s, which does not exist", page.file.src_uri, path)
    if path in ROOT_PAGES:
        return f"[{text}]({posixpath.relpath(ROOT_PAGES[path], here or '.')}{anchor or ''})"
    return f"[{text}]({config.repo_url}/blob/main/{path})" if config.repo_url else f"`{text.strip('`')}`"
