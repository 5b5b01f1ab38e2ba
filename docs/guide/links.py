#!/usr/bin/env python3
"""A preprocessor of mdBook: links that leave the guide lead to the repository.

The book has the chapters of this folder alone. A relative link to another file of the repository would lead to nothing in it, so
it becomes a link to that file on this disk, or below GUIDE_REPOSITORY_URL if that is set, for a book that is published.
"""

import json
import os
import re
import sys
from pathlib import Path

GUIDE = Path(__file__).resolve().parent
ROOT = GUIDE.parents[1]
BASE = os.environ.get("GUIDE_REPOSITORY_URL", ROOT.as_uri())


def rewritten(link):
    """The target of a link, `](…)`, as the book needs it."""
    target, _, anchor = link[1].partition("#")
    if "://" in target or not target:
        return link[0]
    path = Path(os.path.normpath(GUIDE / target))
    if path.is_relative_to(GUIDE) and path.suffix == ".md":
        return link[0]
    return f"]({BASE}/{path.relative_to(ROOT)}{'#' if anchor else ''}{anchor})"


def rewrite(items):
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter:
            chapter["content"] = re.sub(r"\]\(([^)\s]+)\)", rewritten, chapter["content"])
            rewrite(chapter["sub_items"])


def main():
    if sys.argv[1:2] == ["supports"]:
        return
    _, book = json.load(sys.stdin)
    # mdBook 0.5 calls the chapters `items`, earlier ones `sections`.
    rewrite(book.get("items") or book.get("sections") or [])
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    main()
