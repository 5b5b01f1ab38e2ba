#!/usr/bin/env python3
"""Gives the pair a name of your own, once: make rename NAME=bookings [ORG=com.acme]

NAME takes the place of `orders` where that is the name of the product: crates, binaries, images, topics, types of events,
metrics, proto packages, namespace, databases, manifests. It is one word, because it is spelled alike in all of these. The
nouns of the domain stay (the message Order, the table orders, PlaceOrder); they go with the domain: docs/own-it.md. Hosts at
example.com stay too; they are placeholders that an overlay replaces.

A name that would clash, and a tree with changes that are not committed, are refused before anything is changed. Afterwards
this program is gone, with its test and its section of the page. Nothing is committed: `git reset --hard` undoes it.
"""

import argparse
import pathlib
import re
import subprocess
import sys

# {n} is NAME, {N} with a capital, {U} in capitals, {org} is ORG, {it} what was found. Read from the top; the first one wins.
EVERYWHERE = [
    # Crates, binaries, images, roles, consumer groups, Secrets, policies; the gRPC services and the code generated from them.
    (r"order-service", "{n}-service"),
    (r"order_service", "{n}_service"),
    (r"OrderService", "{N}Service"),
    (r"processing-service", "{n}-processing-service"),
    (r"processing_service", "{n}_processing_service"),
    (r"ProcessingService", "{N}ProcessingService"),
    # Tools.
    (r"orderctl", "{n}ctl"),
    (r"Orderctl", "{N}ctl"),
    (r"ORDERCTL", "{U}CTL"),
    (r"orders(?=[-_]load)", "{n}"),
    (r"Orders(?=Load)", "{N}"),
    (r"ORDERS(?=_LOAD)", "{U}"),
    # Types of events, topics, and proto packages with their folders and Rust modules.
    (r"com\.example\.orders(?=\.)", "{org}.{n}"),
    (r"com\.example\.processing(?=\.)", "{org}.{n}-processing"),
    (r"com\.example(?=\.)", "{org}"),
    (r"\borders(?=\.order\.events)", "{n}"),
    (r"\bprocessing(?=\.order\.events)", "{n}-processing"),
    (r"\borders(?=(?:\.|::|/)v\d)", "{n}"),
    (r"\b(?:inventory|processing)(?=(?:\.|::|/)v\d)", "{n}_{it}"),
    # Metrics as OpenTelemetry and as Prometheus spells them, and their constants.
    (r"\borders(?=[._](?:accepted|completion[._]duration|open[._]oldest[._]age)(?![a-z]))", "{n}"),
    (r"\bORDERS(?=_(?:ACCEPTED|COMPLETION_DURATION|OPEN_OLDEST_AGE)\b)", "{U}"),
    # Names in manifests: ConfigMap, Issuer, releases, dashboards, services of the compose file.
    (r"(?<!--)\borders(?=-(?:settings|ca|servers|jobs|async|database|kafka|runtime|slo|staging|sync)\b)", "{n}"),
    (r"(?<=\bmigrate-)orders\b|(?<=\btopics-)orders\b", "{n}"),
    (r"(?<=part-of=)orders\b|(?<=part-of: )orders\b", "{n}"),
    # The namespace: in host names, commands, paths of Secrets and images.
    (r"(?<=-service\.)orders\b|(?<=\bnamespace.)orders\b|(?<=\bnamespace: )orders\b|(?<=-n )orders\b", "{n}"),
    (r"\borders(?=\.(?:svc|git|yaml|example)\b)", "{n}"),
    (r"\borders(?=[./](?:order|processing)-service)|\borders(?=/(?:(?:postgres|kafka)-ca|NAME)\b)", "{n}"),
    (r"(?<=registry\.example\.com/)orders\b|(?<=SecretStore named `)orders\b|(?<=SecretStore` named `)orders\b", "{n}"),
    # An annotation of our own, and a quota.
    (r"\borders(?=\\?/wait-for)|(?<=quota: )orders\b", "{n}"),
    # The databases.
    (r"(?<=DATABASE )orders\b", "{n}"),
    (r"(?<=DATABASE )processing\b", "{n}_processing"),
    (r"(?<=:5432/)orders\b|(?<=@postgres/)orders\b|(?<=datname = ')orders\b", "{n}"),
    (r"(?<=:5432/)processing\b|(?<=@postgres/)processing\b", "{n}_processing"),
]

# Files in which a word is a name that is a noun elsewhere.
IN_FILES = [
    (r"proto/src/lib\.rs", [(r"(?<=mod )orders\b|\borders(?=, processing})", "{n}"),
                            (r"(?<=mod )(?:inventory|processing)\b|(?<={)inventory(?=,)|(?<= )processing(?=})", "{n}_{it}")]),
    (r"proto/build\.rs", [(r"(?<=changed=)orders", "{n}"), (r"(?<=changed=)(?:inventory|processing)", "{n}_{it}")]),
    (r"(?:deploy|tests/tests/deploy)/.*\.(?:ya?ml|json|rs)", [(r'(?<=")orders(?=")|(?<=: )orders(?=$|[,}])', "{n}")]),
    (r"tests/src/stack/database\.rs|tests/tests/system/failover\.rs", [(r'(?<==> ")orders(?=")', "{n}"), (r'(?<==> ")processing(?=")', "{n}_{it}")]),
    (r"deploy/.*", [(r"(?<=folder \*)Orders\b", "{N}"), (r"\borders(?=-\$)|(?<=replaces `)orders(?=`)|(?<=`)orders(?= )", "{n}")]),
    (r"deploy/observability/prometheus/tests/.*", [(r"(?<=to )orders(?= are in use)", "{n}")]),
    (r"deploy/observability/grafana/.*", [(r"(?<=folder: )Orders\b|(?<=\"title\": \")Orders\b", "{N}")]),
    (r"deploy/postgres/postgres\.sql", [(r"\borders\b", "{n}"), (r"\bprocessing(?= OWNER| FROM)", "{n}_processing")]),
    (r"README\.md", [(r"(?<=^# )orders\b", "{n}")]),
]

# What serves the renaming alone.
CUT = {
    "Makefile": r"\n# Until the pair has a name.*",
    "docs/own-it.md": r"<!-- rename -->.*?<!-- /rename -->\n",
    ".ci/run": r"step \"a copy with another name\".*?\n\n",
}
REMOVED = ["rename.py", "tests/rename.sh"]

# Strict and reserved words of Rust 2024, and crates that every crate sees.
RUST = """abstract as async await become box break const continue crate do dyn else enum extern false final fn for gen if impl
in let loop macro match mod move mut override priv pub ref return self static struct super trait true try type typeof unsafe
unsized use virtual where while yield alloc core std""".split()


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def refuse(reason):
    sys.exit(f"rename: {reason}; nothing was changed")


def tracked():
    return run("git", "ls-files", "-z").split("\0")[:-1]


def rules_for(path, names):
    """One expression for all rules of a file, and what takes the place of each."""
    own = [rule for files, rules in IN_FILES if re.fullmatch(files, path) for rule in rules]
    rules = EVERYWHERE + own
    pattern = re.compile("|".join(f"(?P<rule{at}>{rule})" for at, (rule, _) in enumerate(rules)), re.MULTILINE)
    templates = {f"rule{at}": template for at, (_, template) in enumerate(rules)}
    return pattern, lambda found: templates[found.lastgroup].format(it=found.group(), **names)


def check(name, org):
    if not re.fullmatch(r"[a-z][a-z0-9]{1,19}", name):
        refuse(f"NAME={name!r} is not one word of 2 to 20 lower-case letters and digits that begins with a letter")
    if not re.fullmatch(r"[a-z][a-z0-9]*(\.[a-z][a-z0-9-]*)+", org):
        refuse(f"ORG={org!r} is not a domain in reverse, such as com.acme")
    if name in RUST:
        refuse(f"{name} is a word of Rust")
    if name in ["orders", "default", "event", "record", "topics"]:
        refuse(f"{name} has a meaning here: the name today, a namespace of Kubernetes, or a module of proto")
    if f'\nname = "{name}"\n' in pathlib.Path("Cargo.lock").read_text():
        refuse(f"{name} is a crate in Cargo.lock")
    if re.search(rf'^ *- id: "(metric\.)?{name}\.', pathlib.Path("docs/telemetry/registry.yaml").read_text(), re.MULTILINE):
        refuse(f"names of telemetry begin with `{name}.` already")
    elsewhere = [f":!{path}" for path in [*REMOVED, *CUT]]
    for derived in [f"{name}-service", f"{name}_service", f"{name}ctl", f"{name}-load", f"{name}.v1"]:
        search = ["git", "grep", "--quiet", "--word-regexp", "--fixed-strings", "-e", derived, "--", *elsewhere]
        if subprocess.run(search).returncode == 0:
            refuse(f"{derived} is a name here already")
    if changes := run("git", "status", "--porcelain"):
        refuse("there are changes that are not committed:\n" + changes.rstrip())


def rewrite(path, names):
    """The file under its new name, with the new names in it. Bytes that are no text stay; tests generate them anew."""
    pattern, replacement = rules_for(path, names)
    file = pathlib.Path(path)
    try:
        text = file.read_text()
    except UnicodeDecodeError:
        text = None
    if text is not None and path != "Cargo.lock":
        text = re.sub(CUT[path], "", text, flags=re.DOTALL) if path in CUT else text
        text = pattern.sub(replacement, text)
        if path.endswith(".proto"):
            text = sorted_imports(text)
        file.write_text(text)
    renamed = pattern.sub(replacement, path)
    if renamed != path:
        pathlib.Path(renamed).parent.mkdir(parents=True, exist_ok=True)
        run("git", "mv", path, renamed)


def sorted_imports(text):
    """`buf format` wants them in order, which another name changes."""
    return re.sub(r'(?:^import ".*";\n)+', lambda block: "".join(sorted(block.group().splitlines(True))), text, flags=re.MULTILINE)


def regenerate(build):
    run("cargo", "fmt", "--all")
    run("cargo", "update", "--workspace", "--offline", "--quiet")
    # With the features of the whole workspace, as `make test` builds it: what is built here is not built twice.
    generated = {
        "UPDATE_PAGES=1": "cargo test --workspace --test pages --test telemetry_pages",
        "UPDATE_CORPUS=1": "cargo test --workspace --lib corpus",
    }
    for setting, command in generated.items():
        print(f"{setting} {command}", flush=True)
        if build:
            subprocess.run(["env", setting, *command.split()], check=True)
    if not build:
        print("run these two to write the generated pages and the fuzz corpus anew")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("name", help="in place of `orders`, such as bookings")
    arguments.add_argument("org", nargs="?", default="com.example", help="in place of `com.example`, such as com.acme")
    arguments.add_argument("--no-build", action="store_true", help="leave the generated pages and the fuzz corpus to you")
    given = arguments.parse_args()

    check(given.name, given.org)
    names = {"n": given.name, "N": given.name.capitalize(), "U": given.name.upper(), "org": given.org}
    run("git", "rm", "--quiet", *REMOVED)
    files = [path for path in tracked() if not pathlib.Path(path).is_symlink()]
    for path in files:
        rewrite(path, names)
    run("git", "add", "--all")
    regenerate(not given.no_build)
    run("git", "add", "--all")
    print(f"the pair is called {given.name}: {len(files)} files; git diff --cached --stat shows what changed, nothing is committed")


if __name__ == "__main__":
    main()
