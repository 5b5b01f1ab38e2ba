//! Runs a tool that prepares the data directory, such as `openssl`.

use std::process::Stdio;

use tokio::process::Command;

use super::StackError;

/// Runs a command to its end; an error includes its output.
pub(super) async fn run(mut command: Command) -> Result<(), StackError> {
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| StackError::Run {
            program: program.clone(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(StackError::ToolFailed {
        program,
        said: String::from_utf8_lossy(&said).trim().to_owned(),
    })
}
