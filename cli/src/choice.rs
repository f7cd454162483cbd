//! The options that say which items may come, as a [`Filter`].

use clap::Args;
use oneiro::{Filter, Result};

use crate::lookup::Lookup;

/// Which items may come: those that meet every condition.
#[derive(Args)]
#[command(next_help_heading = "Which items may come")]
pub struct Choice {
    /// Not this item, an id or a title; may be repeated
    #[arg(long, value_name = "ITEM")]
    exclude: Vec<String>,
    /// No items but this one, an id or a title; repeated: candidates of your own
    #[arg(long, value_name = "ITEM")]
    only: Vec<String>,
    /// Only items with this tag, for example genres=Comedy; repeated: with all of them
    #[arg(long, value_name = "ATTRIBUTE=TAG", value_parser = tag)]
    tag: Vec<Tag>,
    /// Only items without this tag; may be repeated
    #[arg(long, value_name = "ATTRIBUTE=TAG", value_parser = tag)]
    without_tag: Vec<Tag>,
    /// Only items with a number in this range, ends included: year=1990..1999, year=2000.., year=1999
    #[arg(long, value_name = "ATTRIBUTE=RANGE", value_parser = between)]
    between: Vec<Between>,
}

impl Choice {
    /// The conditions as a filter.
    pub fn filter(&self, lookup: &mut Lookup) -> Result<Filter> {
        let mut filter = Filter::new().exclude(lookup.items(&self.exclude)?);
        if !self.only.is_empty() {
            filter = filter.allow(lookup.items(&self.only)?);
        }
        for Tag { attribute, tag } in &self.tag {
            filter = filter.with_tag(attribute, tag);
        }
        for Tag { attribute, tag } in &self.without_tag {
            filter = filter.without_tag(attribute, tag);
        }
        for Between {
            attribute,
            least,
            greatest,
        } in &self.between
        {
            filter = filter.between(attribute, *least..=*greatest);
        }
        Ok(filter)
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Tag {
    attribute: String,
    tag: String,
}

fn tag(text: &str) -> Result<Tag, String> {
    let (attribute, tag) = split(text, "ATTRIBUTE=TAG, for example genres=Comedy")?;
    Ok(Tag {
        attribute: attribute.into(),
        tag: tag.into(),
    })
}

#[derive(Clone, Debug, PartialEq)]
struct Between {
    attribute: String,
    least: i64,
    greatest: i64,
}

fn between(text: &str) -> Result<Between, String> {
    let (attribute, range) = split(text, "ATTRIBUTE=RANGE, for example year=1990..1999")?;
    let (least, greatest) = range.split_once("..").unwrap_or((range, range));
    let number = |text: &str, open: i64| match text.trim() {
        "" => Ok(open),
        digits => digits
            .parse()
            .map_err(|_| format!("`{digits}` is not a whole number")),
    };
    let (least, greatest) = (number(least, i64::MIN)?, number(greatest, i64::MAX)?);
    if least > greatest {
        return Err(format!("the range from {least} to {greatest} is empty"));
    }
    Ok(Between {
        attribute: attribute.into(),
        least,
        greatest,
    })
}

fn split<'a>(text: &'a str, expected: &str) -> Result<(&'a str, &'a str), String> {
    match text.split_once('=') {
        Some((attribute, value)) if !attribute.is_empty() && !value.is_empty() => {
            Ok((attribute, value))
        }
        _ => Err(format!("expected {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_may_hold_an_equals_sign() {
        let found = tag("mood=a=b").unwrap();
        assert_eq!(
            (found.attribute.as_str(), found.tag.as_str()),
            ("mood", "a=b")
        );
        assert!(tag("Comedy").is_err() && tag("=Comedy").is_err() && tag("genres=").is_err());
    }

    #[test]
    fn ranges_include_their_ends_and_may_be_open() {
        let range = |text| between(text).map(|found| (found.least, found.greatest));
        assert_eq!(range("year=1990..1999"), Ok((1990, 1999)));
        assert_eq!(range("year=1999"), Ok((1999, 1999)));
        assert_eq!(range("year=1999.."), Ok((1999, i64::MAX)));
        assert_eq!(range("year=..-5"), Ok((i64::MIN, -5)));
        assert!(range("year=1999..1990").is_err());
        assert!(range("year=soon").is_err());
        assert!(range("year").is_err());
    }
}
