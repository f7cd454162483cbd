//! `cargo xtask oracle`: what `benches/oracle` finds.

use super::Page;
use crate::error::{Error, Result};
use crate::python_env::PythonEnv;
use crate::workspace::Workspace;

const BEFORE: &str = "\
# Ways to dream

Written by `cargo xtask oracle`, never by hand: what `cargo bench --bench oracle` finds. From a history to the best 100 \
items by DreamRec's guided diffusion, with one thread and untrained weights in the shapes of two of its data sets; \
everybody is asked in turn, and first of all the best items of the chains are compared under the same noise. Times are \
in ms, ranking included: the lower quartile, and in brackets what one call in ten takes longer than. Ways are compared \
turn by turn, as in [the race](race.md): the median of the ratios.

- `affine`: the published denoiser, one affine layer; `mlp2`: the one with a hidden layer
- `collapsed`: the whole chain as one product and one Gaussian vector; `recurrence`: step by step by matrices, without a \
graph; `graph`: step by step by the denoiser's graph, its tensors bound once; `50 steps`: the same with 50 of the steps
- `torch`: a plain sampler in PyTorch; `onnxruntime`: the same graph in a loop in Python

";

pub fn run(workspace: &Workspace) -> Result<()> {
    let python = PythonEnv::locate(workspace)?;
    if !python.is_complete() {
        return Err(Error::new(
            "the peers need PyTorch: `cargo xtask setup` brings it",
        ));
    }
    let page = Page {
        bench: "oracle",
        arguments: &["--python".into(), python.python().display().to_string()],
        before: BEFORE,
        with: &[],
        takes: |_| true,
        after: "",
    };
    page.write(workspace)
}
