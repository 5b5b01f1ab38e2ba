//! A tool whose output nobody reads any more ends as it would otherwise, as in `orderctl … 2>&1 | grep -m 1 code`.

use std::process::{Command, Stdio};

use anyhow::Result;

/// Programs with arguments that make them fail at once.
const FAILURES: [(&str, &[&str]); 3] = [
    (
        env!("CARGO_BIN_EXE_orderctl"),
        &[
            "--address",
            "http://127.0.0.1:1",
            "get",
            "01a22cdd-4af4-71e6-99f5-a414cb42e73e",
        ],
    ),
    (
        env!("CARGO_BIN_EXE_local-stack"),
        &["demo", "--data-dir", "/dev/null/none"],
    ),
    (
        env!("CARGO_BIN_EXE_chaos"),
        &["--data-dir", "/dev/null/none"],
    ),
];

#[test]
fn an_error_that_nobody_reads_keeps_its_exit_code() -> Result<()> {
    for (program, arguments) in FAILURES {
        let run = |output: Stdio| {
            let mut command = Command::new(program);
            command.args(arguments).stdout(Stdio::null()).stderr(output);
            command.status()
        };
        let read = run(Stdio::null())?;
        let (reader, writer) = std::io::pipe()?;
        drop(reader);

        let unread = run(writer.into())?;

        assert!(!read.success(), "{program}");
        assert_eq!(unread.code(), read.code(), "{program}");
    }
    Ok(())
}
