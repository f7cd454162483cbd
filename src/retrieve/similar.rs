//! An item's neighbours: the rows that score best against its own.

#![forbid(unsafe_code)]

use std::time::Instant;

use super::stage;
use crate::call::CallOptions;
use crate::catalog::{Admission, Catalog, Space};
use crate::error::{Error, Result};
use crate::ranking::{Origin, Ranking};

/// The `count` items nearest to `item` in `space`.
pub(crate) fn similar(
    catalog: &Catalog,
    space: &Space,
    item: u32,
    count: usize,
    admission: &Admission,
    options: &CallOptions,
) -> Result<Ranking> {
    if space.is_cold(item) {
        return Err(Error::Unsupported {
            what: format!(
                "trained row for `{}` in the space `{}`",
                catalog.id(item)?,
                space.name()
            ),
        });
    }
    let started = Instant::now();
    let mut point = vec![0.0; space.width()];
    space.row(item, &mut point)?;
    let scored = space.nearest(&point, count, admission, options.threads, &options.cancel)?;
    let scanned = stage(format!("scan {}", space.name()), scored.len(), started);
    Ok(Ranking::new(scored, Origin::Similar, vec![scanned]))
}
