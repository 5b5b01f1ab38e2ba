//! Log lines go to stdout without waiting for its reader.
//!
//! ```text
//! log call ─▶ bounded buffer ─▶ thread ─▶ stdout
//! ```
//!
//! A pipe that is full because its reader hangs would otherwise block every thread that logs, and with them the service
//! and its stop. Lines that do not fit into the buffer, and lines that the output refuses (a closed pipe, a full disk),
//! are dropped and counted. A line is written as a whole or not at all, except where the output fails within it.
//!
//! Own code: `tracing-appender` bounds the number of lines, not their bytes, does not count lines that the output
//! refuses, and at its end may wait for stderr without a limit.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that wait for the output: thousands of lines, more than the pauses of a reader that works. As many again can be
/// in the write that is going on.
const MAX_WAITING: usize = 4 * 1024 * 1024;

/// Between two attempts at an output that another process has made non-blocking.
const WOULD_BLOCK_PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub(super) struct LogWriter {
    queue: Mutex<Queue>,
    has_lines: Condvar,
    is_idle: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whole lines.
    waiting: Vec<u8>,
    is_writing: bool,
    dropped: u64,
}

impl LogWriter {
    /// Starts the thread that writes to stdout.
    ///
    /// # Errors
    /// No file descriptor or no thread is available.
    pub(super) fn stdout() -> io::Result<Arc<Self>> {
        // Without the lock of `io::stdout()`, which a blocked write would hold.
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Self::to(output)
    }

    fn to(output: impl Write + Send + 'static) -> io::Result<Arc<Self>> {
        let writer = Arc::<Self>::default();
        let of_thread = Arc::clone(&writer);
        let thread = thread::Builder::new().name("log-writer".to_owned());
        thread.spawn(move || of_thread.write_to(output))?;
        Ok(writer)
    }

    /// Lines dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Waits until all lines are written, at most this long.
    pub(super) fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut queue = self.lock();
        while queue.is_writing || !queue.waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.is_idle.wait_timeout(queue, left);
            (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn submit(&self, line: &[u8]) {
        let mut queue = self.lock();
        if queue.waiting.len() + line.len() > MAX_WAITING {
            queue.dropped += 1;
            return;
        }
        queue.waiting.extend_from_slice(line);
        self.has_lines.notify_one();
    }

    /// Writes until the process ends.
    fn write_to(&self, mut output: impl Write) {
        let mut lines = Vec::new();
        let (mut reported, mut is_torn) = (0, false);
        loop {
            self.take(&mut lines);
            let written = write_all(&mut output, &mut is_torn, &lines);
            let dropped = self.finish(count_lines(&lines[written..]));
            lines.clear();
            if dropped > reported && written > 0 {
                tracing::warn!(lines = dropped - reported, "log lines dropped");
                reported = dropped;
            }
        }
    }

    /// Waits for lines and takes all of them.
    fn take(&self, lines: &mut Vec<u8>) {
        let mut queue = self.lock();
        while queue.waiting.is_empty() {
            let woken = self.has_lines.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
        }
        mem::swap(lines, &mut queue.waiting);
        queue.is_writing = true;
    }

    /// Counts the lines that could not be written. Returns all dropped lines.
    fn finish(&self, refused: u64) -> u64 {
        let mut queue = self.lock();
        queue.is_writing = false;
        queue.dropped += refused;
        self.is_idle.notify_all();
        queue.dropped
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call per line, as the log format writes it.
impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.submit(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the lines until the output fails; returns the bytes written. `is_torn`: the output ends within a line, so the
/// next one must not continue it.
fn write_all(output: &mut impl Write, is_torn: &mut bool, lines: &[u8]) -> usize {
    if *is_torn && write_bytes(output, b"\n") == 0 {
        return 0;
    }
    *is_torn = false;
    let written = write_bytes(output, lines);
    *is_torn = !matches!(lines[..written].last(), None | Some(b'\n'));
    written
}

fn write_bytes(output: &mut impl Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match output.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(WOULD_BLOCK_PAUSE),
            Err(_) => break,
        }
    }
    written
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::{BufRead as _, BufReader};
    use std::sync::mpsc;

    use super::*;

    /// More than a pipe and the buffer hold.
    const FLOOD: usize = 3 * MAX_WAITING;

    const LONG: Duration = Duration::from_secs(30);

    fn line(number: usize) -> Vec<u8> {
        format!("{number:01000}\n").into_bytes()
    }

    fn flood(writer: &LogWriter) -> u64 {
        let count = FLOOD / line(0).len();
        (0..count).for_each(|number| writer.submit(&line(number)));
        count as u64
    }

    #[test]
    fn a_pipe_that_is_not_read_blocks_no_log_call_and_no_stop() {
        let (_unread, output) = io::pipe().unwrap();
        let writer = LogWriter::to(output).unwrap();
        let (done, ended) = mpsc::channel();
        let logging = Arc::clone(&writer);
        thread::spawn(move || {
            flood(&logging);
            logging.flush(Duration::from_millis(10));
            done.send(()).unwrap();
        });

        ended
            .recv_timeout(LONG)
            .expect("a log call or the flush hangs");

        assert!(writer.dropped() > 0);
    }

    #[test]
    fn a_reader_that_comes_back_gets_whole_lines_and_the_others_are_counted() {
        let (input, output) = io::pipe().unwrap();
        let writer = LogWriter::to(output).unwrap();
        let sent = flood(&writer);
        let dropped = writer.dropped();

        let read: Vec<_> = BufReader::new(input)
            .lines()
            .take((sent - dropped) as usize)
            .collect();

        assert!(dropped > 0);
        assert!(read.into_iter().all(|line| line.unwrap().len() == 1_000));
        writer.flush(LONG);
        assert_eq!(writer.dropped(), dropped);
    }

    #[test]
    fn lines_for_a_closed_pipe_are_counted() {
        let (input, output) = io::pipe().unwrap();
        drop(input);

        assert_eq!(refused_by(output), 3);
    }

    #[test]
    fn lines_for_a_full_disk_are_counted() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();

        assert_eq!(refused_by(full), 3);
    }

    fn refused_by(output: impl Write + Send + 'static) -> u64 {
        let writer = LogWriter::to(output).unwrap();
        (0..3).for_each(|number| writer.submit(&line(number)));
        writer.flush(LONG);
        writer.dropped()
    }

    #[test]
    fn the_flush_waits_for_the_last_line() {
        let (input, output) = io::pipe().unwrap();
        let writer = LogWriter::to(output).unwrap();
        writer.submit(&line(7));

        writer.flush(LONG);

        let mut read = String::new();
        BufReader::new(input).read_line(&mut read).unwrap();
        assert_eq!(read.into_bytes(), line(7));
    }

    /// A disk that takes so many bytes at first, and everything once there is space again.
    struct FullDisk {
        contents: Vec<u8>,
        space: usize,
    }

    impl Write for FullDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.space);
            if count == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.contents.extend_from_slice(&bytes[..count]);
            self.space -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_not_continued_by_the_next_one() {
        let mut disk = FullDisk {
            contents: Vec::new(),
            space: 8,
        };
        let mut is_torn = false;

        let written = write_all(&mut disk, &mut is_torn, b"first\nsecond\nthird\n");
        disk.space = usize::MAX;
        write_all(&mut disk, &mut is_torn, b"fourth\n");

        assert_eq!(written, 8);
        assert_eq!(disk.contents, b"first\nse\nfourth\n");
    }
}
