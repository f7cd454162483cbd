//! Making an index: rows are put into lists by k-means (Lloyd, IEEE Transactions on Information Theory 1982).
//!
//! Centroids start as rows drawn at random, are moved to the means of their rows in a few rounds over a sample, and then
//! every row goes to the list of the centroid nearest to it by ‖row − centroid‖₂. For the metric `cosine`, rows have
//! length 1 first. The same seed gives the same lists.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, TensorView};

use super::kernel::{Block, Query};
use super::space::Space;
use crate::bundle::Metric;
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// Rounds of k-means; later ones change little.
const ROUNDS: usize = 10;

/// Rows of the sample per list.
const SAMPLED: usize = 64;

/// Rows between two looks at `cancel`.
const STRETCH: usize = 256;

impl Space {
    /// Makes an index of the space with so many lists: the bytes of an index part, as `models/README.md` describes it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless `lists` is 1 to the number of rows, and if the space has exact rows beside its
    /// i8 ones; [`Error::Tensor`] if a row is damaged; [`Error::Cancelled`].
    pub fn index(&self, lists: usize, seed: u64, cancel: &Cancel) -> Result<Vec<u8>> {
        if self.has_twins() {
            let reason = format!("`{}` has exact rows, with which no index goes", self.name());
            return Err(Error::argument("space", reason));
        }
        let len = self.len();
        if lists == 0 || lists > len as usize {
            let reason = format!("is {lists}, expected 1 to {len}");
            return Err(Error::argument("lists", reason));
        }
        let mut random = Random(seed);
        let sample = random.sample(len, lists.saturating_mul(SAMPLED));
        let mut clusters = Clusters::new(self, &sample[..lists])?;
        for _ in 0..ROUNDS {
            let homes = clusters.homes(&sample, cancel)?;
            clusters.move_to_means(&sample, &homes)?;
        }
        let all: Vec<u32> = (0..len).collect();
        let homes = clusters.homes(&all, cancel)?;
        clusters.move_to_means(&all, &homes)?;
        clusters.part(&homes)
    }
}

/// The lists while they are made.
struct Clusters<'a> {
    space: &'a Space,
    /// `[lists, width]`.
    centroids: Vec<f32>,
}

impl<'a> Clusters<'a> {
    /// Centroids that are the rows of these items.
    fn new(space: &'a Space, items: &[u32]) -> Result<Self> {
        let mut centroids = vec![0.0; items.len() * space.width()];
        for (centroid, &item) in centroids.chunks_exact_mut(space.width()).zip(items) {
            point(space, item, centroid)?;
        }
        Ok(Self { space, centroids })
    }

    /// The list of each of some items: that of the nearest centroid, of equally near ones the first.
    fn homes(&self, items: &[u32], cancel: &Cancel) -> Result<Vec<usize>> {
        // The nearest by ‖x − c‖² is the one of the largest ⟨x, c⟩ − ‖c‖²/2.
        let width = self.space.width();
        let halves: Vec<f32> = self
            .centroids
            .chunks_exact(width)
            .map(|centroid| -centroid.iter().map(|x| x * x).sum::<f32>() / 2.0)
            .collect();
        let mut scores = vec![0.0; halves.len()];
        let mut row = vec![0.0; width];
        let mut homes = Vec::with_capacity(items.len());
        for stretch in items.chunks(STRETCH) {
            cancel.check()?;
            for &item in stretch {
                point(self.space, item, &mut row)?;
                Block {
                    query: Query::new(Metric::Dot, &row),
                    rows: &self.centroids,
                    chosen: None,
                    scales: None,
                    biases: Some(&halves),
                    scores: &mut scores,
                }
                .score();
                let mut home = 0;
                for (list, &score) in scores.iter().enumerate() {
                    if score > scores[home] {
                        home = list;
                    }
                }
                homes.push(home);
            }
        }
        Ok(homes)
    }

    /// Moves each centroid to the mean of its rows; one without rows stays.
    fn move_to_means(&mut self, items: &[u32], homes: &[usize]) -> Result<()> {
        let width = self.space.width();
        let mut sums = vec![0.0f64; self.centroids.len()];
        let mut counts = vec![0u32; self.centroids.len() / width];
        let mut row = vec![0.0; width];
        for (&item, &home) in items.iter().zip(homes) {
            point(self.space, item, &mut row)?;
            counts[home] += 1;
            let sum = &mut sums[home * width..][..width];
            sum.iter_mut()
                .zip(&row)
                .for_each(|(sum, x)| *sum += f64::from(*x));
        }
        let lists = self.centroids.chunks_exact_mut(width).zip(counts);
        for ((centroid, count), sum) in lists.zip(sums.chunks_exact(width)) {
            if count > 0 {
                for (x, sum) in centroid.iter_mut().zip(sum) {
                    *x = (sum / f64::from(count)) as f32;
                }
            }
        }
        Ok(())
    }

    /// The bytes of the part, for the list of every item.
    fn part(&self, homes: &[usize]) -> Result<Vec<u8>> {
        let (width, lists) = (
            self.space.width(),
            self.centroids.len() / self.space.width(),
        );
        let mut items: Vec<u32> = (0..self.space.len()).collect();
        items.sort_by_key(|&item| homes[item as usize]);
        let mut counts = vec![0u32; lists];
        homes.iter().for_each(|&home| counts[home] += 1);
        let mut offsets = vec![0];
        offsets.extend(counts.iter().scan(0, |end, count| {
            *end += count;
            Some(*end)
        }));
        let mut tensors = self.space.tensors_of(&items)?;
        if let Some(bias) = self.space.biases(0..homes.len())? {
            let mut sums = vec![0.0f64; lists];
            for (&home, &bias) in homes.iter().zip(bias) {
                sums[home] += f64::from(bias);
            }
            let means: Vec<f32> = sums
                .iter()
                .zip(&counts)
                .map(|(sum, &count)| (sum / f64::from(count.max(1))) as f32)
                .collect();
            let bytes = bytemuck::cast_slice(&means).to_vec();
            tensors.insert("centroid_bias", (Dtype::F32, vec![lists], bytes));
        }
        let centroids = bytemuck::cast_slice(&self.centroids).to_vec();
        tensors.insert("centroids", (Dtype::F32, vec![lists, width], centroids));
        for (name, values) in [("list.offsets", &offsets), ("list.items", &items)] {
            let bytes = bytemuck::cast_slice(values).to_vec();
            tensors.insert(name, (Dtype::U32, vec![values.len()], bytes));
        }
        serialize(&tensors)
    }
}

/// What is clustered: an item's row, of length 1 for the metric `cosine`.
fn point(space: &Space, item: u32, out: &mut [f32]) -> Result<()> {
    space.row(item, out)?;
    if space.metric() == Metric::Cosine {
        let norm = out.iter().map(|x| x * x).sum::<f32>().sqrt();
        if norm > 0.0 {
            out.iter_mut().for_each(|x| *x /= norm);
        }
    }
    Ok(())
}

/// Tensors by name: their type, shape and bytes.
pub(super) type TensorBytes = BTreeMap<&'static str, (Dtype, Vec<usize>, Vec<u8>)>;

fn serialize(tensors: &TensorBytes) -> Result<Vec<u8>> {
    let failed = |error: safetensors::SafeTensorError| Error::Internal {
        reason: format!("an index could not be written: {error}"),
    };
    let mut views = Vec::new();
    for (name, (dtype, shape, bytes)) in tensors {
        let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(failed)?;
        views.push((*name, view));
    }
    safetensors::serialize(views, None).map_err(failed)
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// So many of the items below `len`, each once, in random order; all of them if `count` is more.
    fn sample(&mut self, len: u32, count: usize) -> Vec<u32> {
        let mut items: Vec<u32> = (0..len).collect();
        let count = count.min(items.len());
        for place in 0..count {
            let rest = (items.len() - place) as u64;
            items.swap(place, place + (self.next() % rest) as usize);
        }
        items.truncate(count);
        items
    }
}
