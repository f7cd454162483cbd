//! Log

use std::ffi::{c_char, c_void};
use std::sync::OnceLock;

use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::RwLock;

use super::boundary::boundary;
use super::checks::{c_string, unknown};
use super::error::{oneiro_error, oneiro_status};
use crate::error::{Error, Result};

/// Nothing.
pub const ONEIRO_LOG_OFF: i32 = 0;
/// A bug of the library.
pub const ONEIRO_LOG_ERROR: i32 = 1;
/// Something that the program should know of.
pub const ONEIRO_LOG_WARN: i32 = 2;
/// What happens once: libraries and bundles that are opened.
pub const ONEIRO_LOG_INFO: i32 = 3;
/// What happens in a call; may name items and titles.
pub const ONEIRO_LOG_DEBUG: i32 = 4;
/// Everything.
pub const ONEIRO_LOG_TRACE: i32 = 5;

/// Takes one message of a level (ONEIRO_LOG_ERROR and up). The message is borrowed for the call. The one callback that
/// may come from any thread; it must not unwind or longjmp, nor call the library, and should return soon.
pub type oneiro_log_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>;

/// Sends messages up to `level` to `callback`; NULL or ONEIRO_LOG_OFF stops that. The library is silent otherwise.
/// Histories and titles never occur above ONEIRO_LOG_DEBUG.
///
/// callback, user_data: kept until the next oneiro_log_set returns; a message that is under way on another thread may
///          still arrive shortly after that, so let user_data live as long as the process.
/// Errors:  ONEIRO_INVALID_ARGUMENT (an unknown level; a logger of the program's own Rust code is in the way).
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_log_set(
    callback: oneiro_log_fn,
    user_data: *mut c_void,
    level: i32,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = || {
        let level = filter(level)?;
        install()?;
        *RECEIVER.write() = callback.map(|callback| Receiver {
            callback,
            user_data,
        });
        log::set_max_level(if callback.is_some() {
            level
        } else {
            LevelFilter::Off
        });
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { boundary(error, body) }
}

fn filter(level: i32) -> Result<LevelFilter> {
    Ok(match level {
        ONEIRO_LOG_OFF => LevelFilter::Off,
        ONEIRO_LOG_ERROR => LevelFilter::Error,
        ONEIRO_LOG_WARN => LevelFilter::Warn,
        ONEIRO_LOG_INFO => LevelFilter::Info,
        ONEIRO_LOG_DEBUG => LevelFilter::Debug,
        ONEIRO_LOG_TRACE => LevelFilter::Trace,
        other => return Err(unknown("level", other)),
    })
}

/// Becomes the process's logger, once; in the shared library there is no other.
fn install() -> Result<()> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    match INSTALLED.get_or_init(|| log::set_logger(&Forwarder).is_ok()) {
        true => Ok(()),
        false => Err(Error::argument(
            "callback",
            "cannot be called: the process has a Rust logger already",
        )),
    }
}

#[derive(Clone, Copy)]
struct Receiver {
    callback: unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char),
    user_data: *mut c_void,
}

// SAFETY: the pointer is only handed back to the callback, which by the header's promise takes calls from any thread.
unsafe impl Send for Receiver {}
// SAFETY: as above.
unsafe impl Sync for Receiver {}

static RECEIVER: RwLock<Option<Receiver>> = RwLock::new(None);

struct Forwarder;

impl Log for Forwarder {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("oneiro")
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // Copied out: no lock is held during the call, which may set another callback.
        let receiver = *RECEIVER.read();
        if let Some(Receiver {
            callback,
            user_data,
        }) = receiver
        {
            let message = c_string(&record.args().to_string());
            // SAFETY: the header's promise; the message lives until the call returns.
            unsafe { callback(user_data, record.level() as i32, message.as_ptr()) }
        }
    }

    fn flush(&self) {}
}
