//! Something to look at, on a terminal, while work takes longer than a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const PATIENCE: Duration = Duration::from_secs(1);
const FRAME: Duration = Duration::from_millis(100);

const SPINNER: &str = "{spinner} {msg}, {elapsed}";
const BAR: &str = "{bar:40} {bytes} of {total_bytes}, {msg}";
const ROWS: &str = "{bar:40} {human_pos} of {human_len} rows, {eta} left";

/// How many bytes were read, of how many.
#[derive(Default)]
pub struct Read {
    done: AtomicU64,
    total: AtomicU64,
}

impl Read {
    pub fn set(&self, done: u64, total: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    fn show(&self, bar: &ProgressBar) {
        let (done, total) = (
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        );
        bar.set_message(if done < total {
            "reading"
        } else {
            "checking the tables"
        });
        bar.set_length(total);
        bar.set_position(done);
        bar.tick();
    }
}

/// Does `work` behind a spinner.
pub fn on<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    behind(
        SPINNER,
        |spinner| spinner.with_message(what),
        ProgressBar::tick,
        work,
    )
}

/// Does `work` behind a bar, whose state it sets.
pub fn reading<T>(work: impl FnOnce(&Read) -> T) -> T {
    let read = Read::default();
    behind(BAR, |bar| bar, |bar| read.show(bar), || work(&read))
}

/// Does `work` on so many rows behind a bar; it counts those that are done.
pub fn rows<T>(total: u64, work: impl FnOnce(&AtomicU64) -> T) -> T {
    let done = AtomicU64::new(0);
    let show = |bar: &ProgressBar| {
        bar.set_length(total);
        bar.set_position(done.load(Ordering::Relaxed));
        bar.tick();
    };
    behind(ROWS, |bar| bar, show, || work(&done))
}

fn behind<T>(
    template: &'static str,
    prepare: impl FnOnce(ProgressBar) -> ProgressBar + Send,
    show: impl Fn(&ProgressBar) + Send,
    work: impl FnOnce() -> T,
) -> T {
    let (done, waiting) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            // indicatif draws nothing unless stderr is a terminal.
            let bar = prepare(ProgressBar::new(0));
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            while waiting.recv_timeout(FRAME) == Err(RecvTimeoutError::Timeout) {
                show(&bar);
            }
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}
