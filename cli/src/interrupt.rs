//! Ctrl-C stops the work.

use std::process;
use std::thread;
use std::time::Duration;

use oneiro::{Cancel, ErrorCode};

use crate::failure::exit_code;
use crate::output;

/// How long the work has to notice.
const GRACE: Duration = Duration::from_secs(1);

/// From now on Ctrl-C requests `cancel`, and ends the process if the work does not stop soon.
pub fn stops(cancel: &Cancel) {
    let cancel = cancel.clone();
    // Where no handler can be set, the system's own way of ending a process remains.
    let _ = ctrlc::set_handler(move || {
        cancel.request();
        thread::sleep(GRACE);
        output::note("error: cancelled");
        process::exit(i32::from(exit_code(ErrorCode::Cancelled)));
    });
}
