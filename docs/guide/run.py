#!/usr/bin/env python3
"""Runs the experiments of the guide and compares what they print with what the chapters quote.

    docs/guide/run.py                            # all chapters and the front page, with the programs of `make release`
    docs/guide/run.py 12-outbox-and-inbox        # one chapter
    docs/guide/run.py --without 17-when-not      # all but one
    docs/guide/run.py --programs target/debug    # with other programs
    docs/guide/run.py --update                   # writes what was printed into the chapters

An experiment is a block ```sh; what it prints is quoted in the block ```text behind it. A block behind
`<!-- not run: REASON -->` is not run. The blocks of a chapter run in one bash, beside one stack (`make up` with the settings of
the introduction), as a reader would run them.

Compared is the shape: ids, times and numbers may differ, and a line `…` stands for any lines.
"""

import argparse
import difflib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GUIDE = Path(__file__).resolve().parent
ROOT = GUIDE.parents[1]
PORTS = (8080, 50051, 50052, 9092)
# As the introduction says: a failing event is given up in seconds, not in half an hour.
SETTINGS = {"RETRY_FOR": "1s", "RETRY_STORE_DELAY": "100ms"}
# The stack waits for a minute for a port that an ended connection still has.
START_LIMIT_S = 120
# The slowest experiment compares four ways for three minutes.
CHAPTER_LIMIT_S = 420

BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^\n]+ -->\n+)?"
    r"```sh\n(?P<code>.*?)```\n"
    r"(?:\n```text\n(?P<output>.*?)```\n)?",
    re.DOTALL,
)

SHAPES = [
    (r"\x1b\[[0-9;]*m", ""),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
    (r"\b[0-9a-f]{16,}\b", "HEX"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
    (r"[█▏▎▍▌▋▊▉]+", ""),
    (r"\d+([.,]\d+)*", "N"),
    (r"\s+", " "),
]


def shape(line):
    for pattern, replacement in SHAPES:
        line = re.sub(pattern, replacement, line)
    return line.strip()


def agrees(expected, printed):
    """Whether lines have the shapes that are expected, where `…` stands for any number of lines."""
    if not expected:
        return not printed
    if expected[0] == "…":
        return any(agrees(expected[1:], printed[start:]) for start in range(len(printed) + 1))
    return bool(printed) and expected[0] == printed[0] and agrees(expected[1:], printed[1:])


def pages(names, without):
    """The files of the chapters with these names, or of all and the README of the repository, but some."""
    listed = re.findall(r"\]\(([^)]+)\.md\)", (GUIDE / "SUMMARY.md").read_text())
    known = {"front-page": ROOT / "README.md"} | {name: GUIDE / f"{name}.md" for name in listed}
    unknown = {*names, *without} - set(known)
    if unknown:
        sys.exit(f"no chapter {', '.join(sorted(unknown))}")
    return [file for name, file in known.items() if (not names or name in names) and name not in without]


class Stack:
    """`make up` in a directory of its own, as long as the block of `with` lasts."""

    def __init__(self, programs):
        self.directory = tempfile.TemporaryDirectory(prefix="guide-")
        self.home = Path(self.directory.name)
        # What the targets of make would have built.
        (self.home / "release").symlink_to(programs.resolve())
        (self.home / "demo").symlink_to(programs.resolve())
        self.make = f"make CARGO=true CARGO_TARGET_DIR={self.home} "

    def here(self, code):
        """The code of a block, with the programs and the directory of this run."""
        code = code.replace("target/release/", f"{self.home}/release/").replace(".local/", f"{self.home}/")
        return re.sub(r"^make ", self.make, code, flags=re.MULTILINE)

    def __enter__(self):
        for port in PORTS:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    sys.exit(f"port {port} is in use: stop what runs there, for example make up")
        self.log = open(self.home / "up.log", "w+")
        command = [self.home / "release/local-stack", "up", "--data-dir", self.home / "up"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=os.environ | SETTINGS)
        give_up = time.monotonic() + START_LIMIT_S
        while time.monotonic() < give_up:
            text = (self.home / "up.log").read_text()
            if "The stack is up" in text:
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.__exit__()
        sys.exit(f"the stack did not start:\n{text}")

    def thaw(self):
        """Lets every process continue: an experiment that was cut off may have left one frozen, and it could not stop."""
        for file in (self.home / "up/run").glob("*.pid"):
            try:
                os.kill(int(file.read_text()), signal.SIGCONT)
            except (ValueError, ProcessLookupError):
                pass

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.thaw()
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.log.close()
        self.directory.cleanup()


def run(codes, stack):
    """Runs blocks in one shell and returns what each printed."""
    files = [stack.home / f"printed-{number}" for number in range(len(codes))]
    script = "".join(f"{{\n{stack.here(code)}}} >{file} 2>&1\n" for code, file in zip(codes, files))
    shell = subprocess.Popen(["bash", "-c", script], cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        shell.wait(CHAPTER_LIMIT_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
        stack.thaw()
    printed = [file.read_text(errors="replace") if file.exists() else "(not reached)\n" for file in files]
    return [text.replace(f"{stack.home}/up", ".local/up").replace(str(stack.home), "target") for text in printed]


def check(chapter, stack, update):
    text = chapter.read_text()
    blocks = [block for block in BLOCK.finditer(text) if not block["skip"]]
    if not blocks:
        return True
    began = time.monotonic()
    good = True
    changed = text
    for block, printed in zip(blocks, run([block["code"] for block in blocks], stack)):
        expected = block["output"] or ""
        shapes = [[shape(line) for line in lines.splitlines()] for lines in (expected, printed)]
        if agrees(*shapes):
            continue
        if update:
            quoted = f"```sh\n{block['code']}```\n\n```text\n{printed}```\n" if printed else f"```sh\n{block['code']}```\n"
            changed = changed.replace(block[0], quoted, 1)
            continue
        good = False
        line = text[: block.start()].count("\n") + 1
        print(f"{chapter.relative_to(ROOT)}:{line}: printed (+) is not of the shape that is quoted (-)")
        print("\n".join(difflib.unified_diff(*shapes, lineterm="", n=1)))
        print(f"as it was printed:\n{printed}")
    if changed != text:
        chapter.write_text(changed)
    print(f"{'ok' if good else 'FAILED':6} {chapter.relative_to(ROOT)}: {len(blocks)} blocks, {time.monotonic() - began:.0f} s", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description="Run the experiments of the guide.")
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER")
    parser.add_argument("--programs", type=Path, default=ROOT / "target/release", metavar="DIR")
    parser.add_argument("--without", action="append", default=[], metavar="CHAPTER", help="leave it out; may be repeated")
    parser.add_argument("--update", action="store_true", help="write what was printed into the chapters")
    arguments = parser.parse_args()
    if not (arguments.programs / "local-stack").exists():
        sys.exit(f"no programs in {arguments.programs}: make release builds them")
    # As after Ctrl-C: the stack is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with Stack(arguments.programs) as stack:
        results = [check(chapter, stack, arguments.update) for chapter in pages(arguments.chapters, arguments.without)]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
