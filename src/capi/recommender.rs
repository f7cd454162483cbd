//! Recommender: one user's history

use std::ffi::{CString, c_char};
use std::ptr::null;

use super::boundary::{Guarded, ask, free, hand_out, handle, on, on_mut};
use super::catalog::ONEIRO_NO_VALUE;
use super::checks::{Out, array, c_string, optional_text, texts};
use super::engine::oneiro_engine;
use super::error::{oneiro_error, oneiro_status};
use super::growing::{growing, init, read_array};
use super::text::{c_strings, oneiro_texts, start};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::recommender::{Event, Recommender};

/// One user's history and what was computed from it. Cheap; one thread at a time. Yours; free with
/// oneiro_recommender_free.
pub struct oneiro_recommender(Guarded<Recommender>);
handle!(oneiro_recommender holds Recommender as "recommender");

/// A new user with an empty history.
///
/// engine:  borrowed for the call; the recommender keeps what it needs.
/// out:     yours; free with oneiro_recommender_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once on one engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_new(
    engine: *const oneiro_engine,
    out: *mut *mut oneiro_recommender,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.put(hand_out(engine.recommender()));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// Adds items, by their ids, to the end of the history. All of them or, on an error, none.
///
/// ids:     borrowed for the call; `count` strings.
/// Errors:  ONEIRO_UNKNOWN_ITEM (naming the first id that no item has), ONEIRO_INVALID_ARGUMENT, ONEIRO_BAD_BUNDLE.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_observe(
    recommender: *mut oneiro_recommender,
    ids: *const *const c_char,
    count: usize,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        // SAFETY: the header's promise.
        user.observe(&unsafe { texts(ids, count, "ids") }?)
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}

/// Adds the items whose ids the catalog knows to the end of the history, and gives back the other ids.
///
/// ids:     borrowed for the call; `count` strings.
/// out_unknown: yours; free with oneiro_texts_free. NULL if you do not want to know.
/// Errors:  ONEIRO_INVALID_ARGUMENT, ONEIRO_BAD_BUNDLE.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_observe_known(
    recommender: *mut oneiro_recommender,
    ids: *const *const c_char,
    count: usize,
    out_unknown: *mut *mut oneiro_texts,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        // SAFETY: the header's promise.
        let ids = unsafe { texts(ids, count, "ids") }?;
        let unknown = user.observe_known(&ids)?;
        if !out_unknown.is_null() {
            // SAFETY: the header's promise.
            let out = unsafe { Out::new(out_unknown, "out_unknown") }?;
            out.put(hand_out(c_strings(unknown)));
        }
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}

/// Adds items, by number, to the end of the history. All of them or, on an error, none.
///
/// items:   borrowed for the call; `count` numbers.
/// Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_observe_items(
    recommender: *mut oneiro_recommender,
    items: *const u32,
    count: usize,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        // SAFETY: the header's promise.
        user.observe_items(unsafe { array(items, count, "items") }?)
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}

/// Something the user did with an item. Fill it with oneiro_event_init first. Yours; borrowed for the call.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct oneiro_event {
    /// sizeof(oneiro_event).
    pub size: usize,
    /// What was done, in the app's words; NULL, for nothing said, by default.
    pub kind: *const c_char,
    /// When, in seconds since 1970; ONEIRO_NO_VALUE by default. Kept as given: the order of observation counts.
    pub time: i64,
    /// The item's number.
    pub item: u32,
    /// Must be 0; for a field to come.
    pub reserved: u32,
}

growing!(oneiro_event { kind, time, item, reserved } by default Self {
    size: size_of::<Self>(),
    kind: null(),
    time: ONEIRO_NO_VALUE,
    item: 0,
    reserved: 0,
});

/// Fills `event` with defaults; `size` is sizeof(oneiro_event). NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_event_init(event: *mut oneiro_event, size: usize) {
    // SAFETY: the header's promise.
    unsafe { init(event, size) }
}

/// Adds events to the end of the history. All of them or, on an error, none.
///
/// events:  borrowed for the call; `count` structs, one after the other.
/// Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_observe_events(
    recommender: *mut oneiro_recommender,
    events: *const oneiro_event,
    count: usize,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        // SAFETY: the header's promise.
        let events = unsafe { read_array(events, count, "events") }?;
        // SAFETY: the header's promise.
        let events = events
            .iter()
            .map(|event| unsafe { event_of(event) })
            .collect::<Result<Vec<_>>>()?;
        user.observe_events(&events)
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}

/// # Safety
/// The header's promise.
unsafe fn event_of(event: &oneiro_event) -> Result<Event> {
    let mut observed = Event::new(event.item);
    // SAFETY: the caller's promise.
    observed.kind = unsafe { optional_text(event.kind, "kind") }?.map(Into::into);
    observed.time = (event.time != ONEIRO_NO_VALUE).then_some(event.time);
    match event.reserved {
        0 => Ok(observed),
        other => Err(Error::argument("reserved", format!("is {other}"))),
    }
}

/// What the keys and values of what a language model has read for this user take, in bytes: kept after a call by
/// ONEIRO_JUDGE_LANGUAGE_MODEL for the next, which reads only what differs. 0 for NULL.
///
/// Threads: alone on this recommender, or beside others that do not change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_cached_bytes(
    recommender: *const oneiro_recommender,
) -> usize {
    // SAFETY: the header's promise.
    unsafe {
        ask(recommender, 0, |user: &Recommender| {
            Some(user.cached_bytes())
        })
    }
}

/// Gives back what a language model keeps of what it has read for this user; nothing else changes.
///
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_trim(
    recommender: *mut oneiro_recommender,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        user.trim();
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}

/// Empties the history, and gives back what a language model keeps of it.
///
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_forget(
    recommender: *mut oneiro_recommender,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        user.forget();
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}

/// Removes every event of an item from the history; none is no error.
///
/// out_removed: how many there were; NULL if you do not want to know.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_forget_item(
    recommender: *mut oneiro_recommender,
    item: u32,
    out_removed: *mut usize,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        let removed = user.forget_item(item);
        if !out_removed.is_null() {
            // SAFETY: the header's promise.
            unsafe { Out::new(out_removed, "out_removed") }?.put(removed);
        }
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}

/// Frees a recommender. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_free(recommender: *mut oneiro_recommender) {
    // SAFETY: the header's promise.
    unsafe { free(recommender) }
}

/// What was observed, at one moment, oldest first. Yours; free with oneiro_history_free.
pub struct oneiro_history(Guarded<Columns>);
handle!(oneiro_history holds Columns as "history");

/// A history, laid out as C reads it.
pub struct Columns {
    items: Vec<u32>,
    times: Vec<i64>,
    kinds: Vec<Option<CString>>,
}

/// What was observed so far.
///
/// out:     yours; free with oneiro_history_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender, or beside others that do not change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_history(
    recommender: *const oneiro_recommender,
    out: *mut *mut oneiro_history,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &Recommender| {
        // SAFETY: the header's promise.
        let out = unsafe { Out::new(out, "out") }?;
        let history = user.history();
        out.put(hand_out(Columns {
            items: history.iter().map(|event| event.item).collect(),
            times: history
                .iter()
                .map(|event| event.time.unwrap_or(ONEIRO_NO_VALUE))
                .collect(),
            kinds: history
                .iter()
                .map(|event| event.kind.as_deref().map(c_string))
                .collect(),
        }));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(recommender, error, body) }
}

/// How many events there are; 0 for NULL.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_history_len(history: *const oneiro_history) -> usize {
    // SAFETY: the header's promise.
    unsafe { ask(history, 0, |history| Some(history.items.len())) }
}

/// Their items, oneiro_history_len of them; NULL if there are none.
///
/// Returns: borrowed until `history` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_history_items(history: *const oneiro_history) -> *const u32 {
    // SAFETY: the header's promise.
    unsafe { ask(history, null(), |history| start(&history.items)) }
}

/// Their times, ONEIRO_NO_VALUE for none, oneiro_history_len of them; NULL if there are none.
///
/// Returns: borrowed until `history` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_history_times(history: *const oneiro_history) -> *const i64 {
    // SAFETY: the header's promise.
    unsafe { ask(history, null(), |history| start(&history.times)) }
}

/// The kind of the event at `index`; NULL if it has none, and at the end of the list and beyond.
///
/// Returns: borrowed until `history` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_history_kind(
    history: *const oneiro_history,
    index: usize,
) -> *const c_char {
    // SAFETY: the header's promise.
    unsafe {
        ask(history, null(), |history| {
            history.kinds.get(index)?.as_ref().map(|kind| kind.as_ptr())
        })
    }
}

/// Frees a history. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_history_free(history: *mut oneiro_history) {
    // SAFETY: the header's promise.
    unsafe { free(history) }
}
