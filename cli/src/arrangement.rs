//! The options that say how the best candidates become the list that is shown, and by when.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use oneiro::{Arrangement, CallOptions, Error, Recommender, Result};

use crate::lookup::Lookup;

/// What the list looks like.
#[derive(Args)]
#[command(next_help_heading = "What the list looks like")]
pub struct Arranging {
    /// Add to the score of an item, an id or a title; may be repeated
    #[arg(long, value_name = "ITEM=AMOUNT", value_parser = boost)]
    boost: Vec<(String, f32)>,
    /// Show an item at this place, from 1, whatever its score; may be repeated
    #[arg(long, value_name = "ITEM@PLACE", value_parser = pin)]
    pin: Vec<(String, usize)>,
    /// At most so many items of each tag or number, genres=2, or of one tag, genres=Drama=1; may be repeated
    #[arg(long, value_name = "ATTRIBUTE[=TAG]=MOST", value_parser = cap)]
    cap: Vec<Cap>,
    /// Choose different items, by maximal marginal relevance: 1 looks at scores only, 0 at differences; 0.7 is usual
    #[arg(long, value_name = "LAMBDA")]
    diversity: Option<f32>,
    /// Never show this item to this user; may be repeated
    #[arg(long, value_name = "ITEM")]
    hide: Vec<String>,
    /// Hide this item, leave it out of the history, and lower what is like it; may be repeated
    #[arg(long, value_name = "ITEM")]
    dislike: Vec<String>,
    /// How far a disliked item pulls down one that is just like it, as a share of the scores' spread; 1 by default
    #[arg(long, value_name = "WEIGHT")]
    dislike_weight: Option<f32>,
    /// How many of the best candidates --diversity and --dislike look at; 200 by default
    #[arg(long, value_name = "N")]
    pool: Option<usize>,
    /// The space that says how alike items are for --diversity and --dislike, instead of the one that the bundle names
    #[arg(long, value_name = "NAME")]
    space: Option<String>,
    /// Take no longer than this, in milliseconds from the call to the library
    #[arg(long, value_name = "MS", help_heading = None::<&str>)]
    deadline_ms: Option<u64>,
}

impl Arranging {
    /// Tells the user and the call, and gives back what was boosted by how much.
    pub fn apply(
        &self,
        lookup: &mut Lookup,
        user: &mut Recommender,
        options: &mut CallOptions,
    ) -> Result<BTreeMap<u32, f32>> {
        let mut arrangement = Arrangement::new();
        let mut boosts = BTreeMap::new();
        for (text, amount) in &self.boost {
            for item in lookup.items(std::slice::from_ref(text))? {
                arrangement = arrangement.boost(item, *amount);
                let sum: &mut f32 = boosts.entry(item).or_default();
                *sum += amount;
                // The library refuses these too, but knows items by their numbers only.
                if !sum.is_finite() {
                    return Err(wrong("boost", format!("{sum} for `{text}`")));
                }
            }
        }
        let mut pins: Vec<(u32, &str, usize)> = Vec::new();
        for (text, place) in &self.pin {
            for item in lookup.items(std::slice::from_ref(text))? {
                if let Some((_, other, _)) = pins.iter().find(|pin| pin.2 == *place) {
                    let reason = format!("`{other}` and `{text}` at place {place}");
                    return Err(wrong("pin", reason));
                }
                if pins.iter().any(|pin| pin.0 == item) {
                    return Err(wrong("pin", format!("`{text}` at two places")));
                }
                pins.push((item, text, *place));
                arrangement = arrangement.pin(item, *place);
            }
        }
        for Cap {
            attribute,
            tag,
            most,
        } in &self.cap
        {
            arrangement = match tag {
                None => arrangement.cap(attribute, *most),
                Some(tag) => arrangement.cap_tag(attribute, tag, *most),
            };
        }
        if let Some(lambda) = self.diversity {
            arrangement = arrangement.diversity(lambda);
        }
        if let Some(weight) = self.dislike_weight {
            arrangement = arrangement.dislike_weight(weight);
        }
        if let Some(size) = self.pool {
            arrangement = arrangement.pool(size);
        }
        if let Some(name) = &self.space {
            arrangement = arrangement.space(name);
        }
        user.hide(&lookup.items(&self.hide)?)?;
        user.dislike(&lookup.items(&self.dislike)?)?;
        options.arrangement = arrangement;
        options.deadline = self.deadline_ms.map(Duration::from_millis);
        Ok(boosts)
    }
}

fn wrong(parameter: &'static str, reason: String) -> Error {
    Error::InvalidArgument { parameter, reason }
}

#[derive(Clone, Debug, PartialEq)]
struct Cap {
    attribute: String,
    tag: Option<String>,
    most: usize,
}

fn boost(text: &str) -> Result<(String, f32), String> {
    let (item, amount) = split(text, '=', "ITEM=AMOUNT, for example tt0137523=0.5")?;
    let amount = amount
        .parse()
        .map_err(|_| format!("`{amount}` is not a number"))?;
    Ok((item.into(), amount))
}

fn pin(text: &str) -> Result<(String, usize), String> {
    let (item, place) = split(text, '@', "ITEM@PLACE, for example tt0137523@1")?;
    Ok((item.into(), whole(place)?))
}

fn cap(text: &str) -> Result<Cap, String> {
    let expected = "ATTRIBUTE=MOST or ATTRIBUTE=TAG=MOST, for example genres=2";
    let (kind, most) = split(text, '=', expected)?;
    let (attribute, tag) = match kind.split_once('=') {
        None => (kind, None),
        Some(("", _) | (_, "")) => return Err(format!("expected {expected}")),
        Some((attribute, tag)) => (attribute, Some(tag.into())),
    };
    Ok(Cap {
        attribute: attribute.into(),
        tag,
        most: whole(most)?,
    })
}

/// A number from 1.
fn whole(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{text}` is not a whole number from 1")),
    }
}

/// What stands before and after the last `mark`, which titles may hold too.
fn split<'a>(text: &'a str, mark: char, expected: &str) -> Result<(&'a str, &'a str), String> {
    match text.rsplit_once(mark) {
        Some((before, after)) if !before.is_empty() && !after.is_empty() => Ok((before, after)),
        _ => Err(format!("expected {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_may_hold_the_marks() {
        assert_eq!(boost("E=mc2=-0.5"), Ok(("E=mc2".into(), -0.5)));
        assert_eq!(pin("@home@2"), Ok(("@home".into(), 2)));
        for wrong in ["film", "film=", "=1", "film=much"] {
            assert!(boost(wrong).is_err(), "{wrong}");
        }
        for wrong in ["film", "film@", "@1", "film@0", "film@-1", "film@first"] {
            assert!(pin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn caps_are_for_an_attribute_or_for_one_tag() {
        let found = |text| cap(text).map(|cap| (cap.attribute, cap.tag, cap.most));
        assert_eq!(found("genres=2"), Ok(("genres".into(), None, 2)));
        let tag = Some("Sci-Fi".into());
        assert_eq!(found("genres=Sci-Fi=1"), Ok(("genres".into(), tag, 1)));
        for wrong in [
            "genres",
            "genres=0",
            "genres==1",
            "=Drama=1",
            "genres=Drama",
        ] {
            assert!(cap(wrong).is_err(), "{wrong}");
        }
    }
}
