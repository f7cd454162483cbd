//! `cargo xtask scan`: what `benches/scan.rs` finds.

use super::Page;
use crate::error::Result;
use crate::workspace::Workspace;

const BEFORE: &str = "\
# Ways to score rows

Written by `cargo xtask scan`, never by hand: what `cargo bench --bench scan` finds. One query by dot product over rows \
mapped from a file; the ways take turns, and a time is the median of 15. Beside it stands how fast the rows are read, as \
a share of `read`, the plain sum of the file's bytes. Files of less than a processor's last cache stay in it.

- `plain`: 16 lanes of f32, as the compiler vectorises them for any processor of the target
- `pulp`: the same loop, compiled by the crate `pulp` for each set of vectors and chosen \
when it runs; in both, f16 is widened a number at a time by the crate half
- `simsimd`: `dot` of the crate `simsimd`, kernels written by hand, for each row; of \
f16 and i8 with a point of the same type, so with other numbers than ours
- `oneiro`: the whole search, which also keeps the best 100; of i8 with the scales and errors that it reads too; `i8, \
exact` is i8 rows beside the f32 ones that they rank as

";

const AFTER: &str = "
What is kept is the loop that pulp compiles, `src/catalog/kernel.rs`. In f32 and i8 it is about as fast as kernels \
written by hand, and its sums have one order, so that every processor finds the same scores; simsimd's differ from one \
set of vectors to the next. What `oneiro` gains over the bare loop: rows are asked for ahead of their use, and the lanes \
of four are summed before those of any are added up; f16 is widened without a branch or a call; products of i8 in whole \
numbers rule most rows out (`src/catalog/bound.rs`).
";

pub fn run(workspace: &Workspace) -> Result<()> {
    let page = Page {
        bench: "scan",
        arguments: &[],
        before: BEFORE,
        with: &[],
        takes: |line| line.starts_with('|'),
        after: AFTER,
    };
    page.write(workspace)
}
