use std::env;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use crate::error::{Error, Result, While};
use crate::terminal;

/// How a command ended, and everything it said.
pub struct Finished {
    pub status: ExitStatus,
    pub output: String,
}

/// Runs to the end with both output streams taken in the order written; `shown` copies them to the terminal meanwhile.
pub fn capture(command: &mut Command, shown: bool) -> Result<Finished> {
    let line = line(command);
    let (mut reader, writer) = io::pipe().while_doing(|| format!("run `{line}`"))?;
    let second = writer.try_clone().while_doing(|| format!("run `{line}`"))?;
    command.stdin(Stdio::null()).stdout(writer).stderr(second);
    let child = command.spawn();
    // The command holds our ends of the pipe: without this the reader would wait for ever.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.while_doing(|| format!("run `{line}`"))?;

    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let read = reader
            .read(&mut buffer)
            .while_doing(|| format!("read what `{line}` says"))?;
        if read == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..read]);
        if shown {
            terminal::print(String::from_utf8_lossy(&buffer[..read]));
        }
    }
    let status = child.wait().while_doing(|| format!("wait for `{line}`"))?;
    Ok(Finished {
        status,
        output: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// Runs with the terminal's own streams; anything but success is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command.status().while_doing(|| format!("run `{line}`"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new(format!("`{line}` failed ({status})")))
    }
}

/// What the command prints on its standard output, if it is there and succeeds.
pub fn answer(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let quoted = |word: &std::ffi::OsStr| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_alphanumeric() || "-_=+./:,@".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("{word:?}")
        }
    };
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted)
        .collect();
    words.join(" ")
}

pub fn find_program(name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(&file))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_as_typed() {
        let mut command = Command::new("oneiro");
        command.args(["recommend", "models/demo", "--seen", "The Matrix"]);
        assert_eq!(
            line(&command),
            r#"oneiro recommend models/demo --seen "The Matrix""#
        );
    }

    #[cfg(unix)]
    #[test]
    fn both_streams_arrive_in_order() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; echo three; exit 3"]);
        let finished = capture(&mut command, false).unwrap();
        assert_eq!(finished.output, "one\ntwo\nthree\n");
        assert_eq!(finished.status.code(), Some(3));
    }

    #[test]
    fn a_missing_program_is_a_sentence() {
        let error = capture(&mut Command::new("no-such-program-here"), false)
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .starts_with("cannot run `no-such-program-here`: ")
        );
    }
}
