//! Exact nearest rows of many points.

#![forbid(unsafe_code)]

use super::admission::Admission;
use super::space::Space;
use super::topk::Scored;
use crate::cancel::Cancel;
use crate::error::Result;

impl Space {
    /// The `count` best admitted items for each of some points, as [`nearest`](Self::nearest) finds them.
    ///
    /// `points`: `[admissions.len(), width]`, finite.
    pub(crate) fn nearest_many(
        &self,
        points: &[f32],
        count: usize,
        admissions: &[Admission],
        threads: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<Scored>>> {
        points
            .chunks_exact(self.width())
            .zip(admissions)
            .map(|(point, admission)| self.nearest(point, count, admission, threads, cancel))
            .collect()
    }
}
