//! Arrangement: how the best candidates become the list that is shown

use std::ffi::c_char;
use std::ptr::null;

use super::checks::{array, optional_text, text};
use super::growing::{growing, init, read, read_array};
use crate::arrangement::Arrangement;
use crate::error::Result;

/// At most so many items of a kind. Fill it with oneiro_cap_init first. Yours; borrowed for the call, with all that it
/// points to.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct oneiro_cap {
    /// sizeof(oneiro_cap).
    pub size: usize,
    /// The attribute's name in the manifest.
    pub attribute: *const c_char,
    /// One tag, capped in its own way; NULL, for each tag or integer of the attribute, by default.
    pub tag: *const c_char,
    /// The largest number of items; 0, which is an error, by default.
    pub most: usize,
}

growing!(oneiro_cap { attribute, tag, most } by default Self {
    size: size_of::<Self>(),
    attribute: null(),
    tag: null(),
    most: 0,
});

/// Fills `cap` with defaults; `size` is sizeof(oneiro_cap). NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_cap_init(cap: *mut oneiro_cap, size: usize) {
    // SAFETY: the header's promise.
    unsafe { init(cap, size) }
}

/// How the best candidates become the list of a ranking; the defaults show the best first. In this order:
///
/// 1. Boosts are added to the scores of items, which then compete however low they stood.
/// 2. Pins take their places. What the filter leaves out, or the user hides, is not pinned.
/// 3. The best `pool` of the other items are the pool; its spread is its greatest own score less its least.
/// 4. Scores fall by dislike_weight * spread * the largest cosine with an item that the user dislikes, if it is above 0.
/// 5. The other places go, one after the other, to the item that no cap forbids and that has the largest
///    diversity * score / spread - (1 - diversity) * its largest cosine with what was chosen (maximal marginal
///    relevance). Where caps leave the list short, more candidates are fetched.
///
/// Fill it with oneiro_arrangement_init first. Yours; borrowed for the call, with all that it points to.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct oneiro_arrangement {
    /// sizeof(oneiro_arrangement).
    pub size: usize,
    /// Items whose scores are raised, or lowered.
    pub boosted: *const u32,
    /// What is added to the score of each, in the unit of the scores.
    pub boosts: *const f32,
    /// How many boosts there are; 0 by default.
    pub boost_count: usize,
    /// Items that are shown at a place of their own, whatever their score, and at no other.
    pub pinned: *const u32,
    /// The place of each, from 1. Beyond the count asked for a pin is not shown; in a list with fewer items it is last.
    pub places: *const usize,
    /// How many pins there are; 0 by default.
    pub pin_count: usize,
    /// Caps, one after the other. Pins count, and are never left out for one.
    pub caps: *const oneiro_cap,
    /// How many caps there are; 0 by default.
    pub cap_count: usize,
    /// The space whose cosines are the likeness of items, for diversity and dislikes; NULL, for the manifest's `similar`,
    /// by default.
    pub space: *const c_char,
    /// How many of the best candidates diversity and dislikes look at, at least the count asked for; 200 by default.
    pub pool: usize,
    /// From 1, scores only, which is the default, to 0, as different as can be: the lambda of maximal marginal relevance.
    pub diversity: f32,
    /// The share of the spread by which a cosine of 1 lowers a score; 1 by default, 0 for not at all.
    pub dislike_weight: f32,
}

growing!(oneiro_arrangement {
    boosted, boosts, boost_count, pinned, places, pin_count, caps, cap_count, space, pool, diversity, dislike_weight
} by default Self {
    size: size_of::<Self>(),
    boosted: null(),
    boosts: null(),
    boost_count: 0,
    pinned: null(),
    places: null(),
    pin_count: 0,
    caps: null(),
    cap_count: 0,
    space: null(),
    pool: 200,
    diversity: 1.0,
    dislike_weight: 1.0,
});

/// Fills `arrangement` with defaults; `size` is sizeof(oneiro_arrangement). NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_arrangement_init(
    arrangement: *mut oneiro_arrangement,
    size: usize,
) {
    // SAFETY: the header's promise.
    unsafe { init(arrangement, size) }
}

/// # Safety
/// The header's promise.
pub(super) unsafe fn arrangement_of(arrangement: *const oneiro_arrangement) -> Result<Arrangement> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(arrangement, "arrangement") }?;
    // SAFETY: the caller's promise.
    let (boosted, boosts, pinned, places) = unsafe {
        (
            array(given.boosted, given.boost_count, "boosted")?,
            array(given.boosts, given.boost_count, "boosts")?,
            array(given.pinned, given.pin_count, "pinned")?,
            array(given.places, given.pin_count, "places")?,
        )
    };
    let mut arrangement = Arrangement::new()
        .pool(given.pool)
        .diversity(given.diversity)
        .dislike_weight(given.dislike_weight);
    for (&item, &amount) in boosted.iter().zip(boosts) {
        arrangement = arrangement.boost(item, amount);
    }
    for (&item, &place) in pinned.iter().zip(places) {
        arrangement = arrangement.pin(item, place);
    }
    // SAFETY: the caller's promise.
    if let Some(space) = unsafe { optional_text(given.space, "space") }? {
        arrangement = arrangement.space(space);
    }
    // SAFETY: the caller's promise.
    for cap in unsafe { read_array(given.caps, given.cap_count, "caps") }? {
        // SAFETY: the caller's promise.
        let (attribute, tag) = unsafe {
            (
                text(cap.attribute, "attribute")?,
                optional_text(cap.tag, "tag")?,
            )
        };
        arrangement = match tag {
            None => arrangement.cap(attribute, cap.most),
            Some(tag) => arrangement.cap_tag(attribute, tag, cap.most),
        };
    }
    Ok(arrangement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_rust() {
        // SAFETY: NULL is the defaults.
        let given = unsafe { arrangement_of(null()) }.unwrap();
        assert_eq!(format!("{given:?}"), format!("{:?}", Arrangement::new()));
    }
}
