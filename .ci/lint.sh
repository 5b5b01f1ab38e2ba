#!/usr/bin/env bash
# Cargo calls this instead of rustc for the crates of this workspace: Clippy lints each while it compiles it. Linted apart,
# the workspace and all that it depends on would be checked once and compiled once more, for minutes.
#
# Not for sh, which would drop the variables with a hyphen in their names that Cargo sets for tests of programs.
exec clippy-driver "$@" -D warnings
