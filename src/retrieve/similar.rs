//! An item's neighbours, or a point's: the rows that score best against its own.

#![forbid(unsafe_code)]

use super::Scoring;
use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::ranking::Origin;

/// Scores against the row of `item` in the bundle's space for that.
pub(crate) fn similar(bundle: &Bundle, item: u32) -> Result<Scoring<'_>> {
    let space = bundle.similar_space()?;
    if space.is_cold(item) {
        return Err(Error::Unsupported {
            what: format!(
                "trained row for `{}` in the space `{}`",
                bundle.catalog().id(item)?,
                space.name()
            ),
        });
    }
    let mut point = vec![0.0; space.width()];
    space.row(item, &mut point)?;
    Ok(Scoring::rows(Origin::Similar, space, vec![point.into()]))
}

/// Scores against a point of the caller's own in that space.
pub(crate) fn similar_to<'a>(bundle: &'a Bundle, point: &[f32]) -> Result<Scoring<'a>> {
    let space = bundle.similar_space()?;
    space.check_point(point)?;
    Ok(Scoring::rows(Origin::Similar, space, vec![point.into()]))
}
