//! How an oracle is to be sampled, as a caller says it.

#![forbid(unsafe_code)]

/// How an oracle is sampled.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OracleOptions {
    /// Its name in the manifest; the recipe's by default, or the first.
    pub name: Option<String>,
    /// w ≥ 0 of classifier-free guidance, `(1 + w)·f(x, h) − w·f(x, φ)`: how much more the history counts than it does by
    /// itself; the bundle's by default.
    pub guidance: Option<f32>,
    /// What the noise is made from; 0 by default. The same seed gives the same noise on every machine, and to every user
    /// of a batch.
    pub seed: u64,
    /// The way from noise to the ideal item.
    pub sampler: Sampler,
    /// Goes in so many steps through the chain, 1 to T, instead of all of them, without noise on the way (DDIM): quicker,
    /// and only near to the whole chain. For [`Sampler::Auto`], which then is [`Sampler::Chain`], `Chain`, `Graph` and
    /// `Mean`.
    pub steps: Option<usize>,
    /// How many ideal items are drawn: 1 by default, at most 64. Of several, each in turn names its best item that is not
    /// named yet, so that the ranking has something of all, and an item's score is 1 / its place.
    pub draws: usize,
}

impl Default for OracleOptions {
    fn default() -> Self {
        Self {
            name: None,
            guidance: None,
            seed: 0,
            sampler: Sampler::Auto,
            steps: None,
            draws: 1,
        }
    }
}

/// The way from noise to an ideal item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum Sampler {
    /// [`Collapsed`](Self::Collapsed) where the denoiser is affine, [`Graph`](Self::Graph) otherwise.
    #[default]
    Auto = 0,
    /// The whole chain at once, by what an affine denoiser makes of it: another draw from the same distribution.
    Collapsed = 1,
    /// Step by step: by the matrices of an affine denoiser, by the graph otherwise.
    Chain = 2,
    /// Step by step by the graph, even where the denoiser is affine.
    Graph = 3,
    /// As `Auto`, without any noise. By an affine denoiser that is the mean of all draws, and the same for every seed.
    Mean = 4,
}
