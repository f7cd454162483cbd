//! Catalog: what an engine knows of its items

use std::ffi::c_char;

use super::boundary::{ask, hand_out, on};
use super::checks::{Out, OutArray, c_string, text, texts};
use super::engine::oneiro_engine;
use super::error::{oneiro_error, oneiro_status};
use super::text::{c_strings, oneiro_items, oneiro_text, oneiro_texts};
use crate::bundle::AttributeKind;
use crate::engine::Engine;
use crate::error::Error;

/// Stands for an integer that is not there: an item without a value, an event without a time.
/// cbindgen:ignore
pub const ONEIRO_NO_VALUE: i64 = i64::MIN;

/// Any number of names per item, such as genres.
pub const ONEIRO_ATTRIBUTE_TAGS: i32 = 1;
/// One whole number per item, or none.
pub const ONEIRO_ATTRIBUTE_INTEGER: i32 = 2;

/// How many items the catalog has; they are numbered from 0. 0 for NULL.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_item_count(engine: *const oneiro_engine) -> usize {
    // SAFETY: the header's promise.
    unsafe { ask(engine, 0, |engine| Some(engine.catalog().len() as usize)) }
}

/// The app's own id of an item.
///
/// out:     yours; free with oneiro_text_free.
/// Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_BAD_BUNDLE, ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_item_id(
    engine: *const oneiro_engine,
    item: u32,
    out: *mut *mut oneiro_text,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.put(hand_out(c_string(engine.catalog().id(item)?)));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// The title of an item as a person should see it.
///
/// out:     yours; free with oneiro_text_free.
/// Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_UNSUPPORTED (the bundle has no titles), ONEIRO_BAD_BUNDLE,
///          ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_item_title(
    engine: *const oneiro_engine,
    item: u32,
    out: *mut *mut oneiro_text,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let out = unsafe { Out::new(out, "out") }?;
        let title = engine.catalog().title(item)?;
        out.put(hand_out(c_string(title.ok_or_else(|| {
            Error::Unsupported {
                what: "titles".into(),
            }
        })?)));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// How often an item occurs in the training data.
///
/// out:     written on success.
/// Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_UNSUPPORTED (the bundle has no counts), ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_item_popularity(
    engine: *const oneiro_engine,
    item: u32,
    out: *mut u32,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.put(engine.catalog().count(item)?);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// The tags of an item, of an attribute of the kind ONEIRO_ATTRIBUTE_TAGS.
///
/// attribute: borrowed for the call.
/// out:     yours; free with oneiro_texts_free.
/// Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_UNSUPPORTED (no such attribute), ONEIRO_INVALID_ARGUMENT (of another kind),
///          ONEIRO_BAD_BUNDLE.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_item_tags(
    engine: *const oneiro_engine,
    item: u32,
    attribute: *const c_char,
    out: *mut *mut oneiro_texts,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let (attribute, out) = unsafe { (text(attribute, "attribute")?, Out::new(out, "out")?) };
        out.put(hand_out(c_strings(engine.catalog().tags(attribute, item)?)));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// The integer of an item, of an attribute of the kind ONEIRO_ATTRIBUTE_INTEGER; ONEIRO_NO_VALUE if it has none.
///
/// attribute: borrowed for the call.
/// out:     written on success.
/// Errors:  as oneiro_engine_item_tags.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_item_integer(
    engine: *const oneiro_engine,
    item: u32,
    attribute: *const c_char,
    out: *mut i64,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let (attribute, out) = unsafe { (text(attribute, "attribute")?, Out::new(out, "out")?) };
        out.put(
            engine
                .catalog()
                .integer(attribute, item)?
                .unwrap_or(ONEIRO_NO_VALUE),
        );
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// The names of the catalog's attributes.
///
/// out:     yours; free with oneiro_texts_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_attributes(
    engine: *const oneiro_engine,
    out: *mut *mut oneiro_texts,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.put(hand_out(c_strings(
            engine.catalog().attributes().map(|(name, _)| name),
        )));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// The kind of an attribute, ONEIRO_ATTRIBUTE_….
///
/// attribute: borrowed for the call.
/// out:     written on success.
/// Errors:  ONEIRO_UNSUPPORTED (no such attribute), ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_attribute_kind(
    engine: *const oneiro_engine,
    attribute: *const c_char,
    out: *mut i32,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let (attribute, out) = unsafe { (text(attribute, "attribute")?, Out::new(out, "out")?) };
        let kind = engine
            .catalog()
            .attributes()
            .find(|(name, _)| *name == attribute);
        match kind {
            Some((_, AttributeKind::Tags)) => out.put(ONEIRO_ATTRIBUTE_TAGS),
            Some((_, AttributeKind::Integer)) => out.put(ONEIRO_ATTRIBUTE_INTEGER),
            None => {
                return Err(Error::Unsupported {
                    what: format!("attribute `{attribute}`"),
                });
            }
        }
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// The item with an id.
///
/// id:      borrowed for the call.
/// out:     written on success.
/// Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_BAD_BUNDLE, ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_find_item(
    engine: *const oneiro_engine,
    id: *const c_char,
    out: *mut u32,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let (id, out) = unsafe { (text(id, "id")?, Out::new(out, "out")?) };
        out.put(engine.catalog().item(id)?);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// The items with some ids, in their order. All of them or, on an error, none.
///
/// ids:     borrowed for the call; `count` strings.
/// out:     yours; written on success: `count` numbers.
/// Errors:  ONEIRO_UNKNOWN_ITEM (naming the first id that no item has), ONEIRO_BAD_BUNDLE, ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_find_items(
    engine: *const oneiro_engine,
    ids: *const *const c_char,
    count: usize,
    out: *mut u32,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let (ids, out) = unsafe { (texts(ids, count, "ids")?, OutArray::new(out, count, "out")?) };
        out.put(&engine.catalog().items(&ids)?);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// The items whose title a text means, the most popular first; none is no error. Case, accents, punctuation and
/// articles do not matter; without a year every year's title is found, and then titles that begin so.
///
/// title:   borrowed for the call.
/// out:     yours; free with oneiro_items_free.
/// Errors:  ONEIRO_UNSUPPORTED (the bundle has no titles), ONEIRO_BAD_BUNDLE, ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_find_title(
    engine: *const oneiro_engine,
    title: *const c_char,
    out: *mut *mut oneiro_items,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let (title, out) = unsafe { (text(title, "title")?, Out::new(out, "out")?) };
        out.put(hand_out(engine.catalog().find_title(title)?));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// The one item that a text means: its id, or else its title as in oneiro_engine_find_title.
///
/// id_or_title: borrowed for the call.
/// out:     written on success.
/// Errors:  ONEIRO_UNKNOWN_ITEM (none; or several, which the message lists), ONEIRO_BAD_BUNDLE,
///          ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_resolve(
    engine: *const oneiro_engine,
    id_or_title: *const c_char,
    out: *mut u32,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let (id_or_title, out) =
            unsafe { (text(id_or_title, "id_or_title")?, Out::new(out, "out")?) };
        out.put(engine.catalog().resolve(id_or_title)?);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}
