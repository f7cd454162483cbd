//! `examples/c/chain.c` stops within one denoising step when another of its threads asks for it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![cfg(all(feature = "capi", unix))]

mod changed;
mod shared_library;

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

#[test]
fn a_chain_is_stopped_in_the_step_that_it_is_at() {
    // The first ten steps end at once, the eleventh never: who returns was stopped before or within it.
    let bundle = changed::endless_denoiser();
    let folder = tempfile::tempdir().unwrap();
    let program = shared_library::compile("examples/c/chain.c", folder.path());
    for _ in 0..100 {
        let mut chain = Command::new(&program)
            .arg(bundle.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(500));
        assert!(chain.try_wait().unwrap().is_none());
        let interrupt = Command::new("kill")
            .args(["-INT", &chain.id().to_string()])
            .status();
        assert!(interrupt.unwrap().success());
        let ended = chain.wait_with_output().unwrap();
        // A machine so busy that the program did not wait for the signal yet, and was ended by it: once more.
        let Some(code) = ended.status.code() else {
            continue;
        };
        let errors = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((code, errors.as_str()), (1, "chain: cancelled\n"));
        assert!(ended.stdout.is_empty());
        return;
    }
    panic!("the program never waited for the signal");
}
