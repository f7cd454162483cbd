//! Choosing from a pool: dislikes, diversity and caps.

#![forbid(unsafe_code)]

use super::caps::Caps;
use crate::cancel::Cancel;
use crate::catalog::{Likeness, Space};
use crate::error::{Error, Result};

/// An item that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) item: u32,
    /// Its way's own score.
    pub(super) own: f32,
    /// The same after boosts and dislikes.
    pub(super) score: f32,
}

/// What is to be compared, and how much it counts.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    pub(super) space: &'a Space,
    pub(super) disliked: Vec<u32>,
    pub(super) dislike_weight: f64,
    /// 1 without diversity.
    pub(super) lambda: f64,
}

/// What was chosen, in its order.
#[derive(Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) list: Vec<Candidate>,
    /// Whether there was time for all of it; if not, scores decided what likeness should have.
    pub(super) whole: bool,
}

/// Whether a call may go on with what it can also do without.
pub(super) fn time_is_left(cancel: &Cancel) -> Result<bool> {
    match cancel.check() {
        Ok(()) => Ok(true),
        Err(Error::DeadlineExceeded) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Best first: the higher score, then the lower item.
pub(super) fn sort(pool: &mut [Candidate]) {
    pool.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
}

/// The `count` of `pool` that are shown beside `pinned`. Caps hold whatever the clock says.
pub(super) fn choose(
    mut pool: Vec<Candidate>,
    pinned: &[u32],
    count: usize,
    caps: &Caps,
    comparison: Option<&Comparison>,
    cancel: &Cancel,
) -> Result<Choice> {
    let mut chosen = Chosen {
        list: Vec::with_capacity(count.min(pool.len())),
        taken: vec![false; pool.len()],
        shown: caps.shown(),
    };
    pinned.iter().for_each(|&item| chosen.shown.add(item));
    let mut whole = true;
    if let Some(comparison) = comparison {
        let scale = Scale::of(&pool);
        whole = comparison.lower(&mut pool, &scale, cancel)?;
        sort(&mut pool);
        if whole && comparison.lambda < 1.0 {
            whole = chosen.by_relevance(&pool, pinned, count, comparison, &scale, cancel)?;
        }
    }
    chosen.by_score(&pool, count);
    Ok(Choice {
        list: chosen.list,
        whole,
    })
}

struct Chosen<'a> {
    list: Vec<Candidate>,
    /// Which of the pool are in the list.
    taken: Vec<bool>,
    shown: super::caps::Shown<'a>,
}

impl Chosen<'_> {
    fn may_take(&self, index: usize, item: u32) -> bool {
        !self.taken[index] && self.shown.has_room_for(item)
    }

    fn take(&mut self, index: usize, candidate: Candidate) {
        self.taken[index] = true;
        self.shown.add(candidate.item);
        self.list.push(candidate);
    }

    /// Fills the list up to `count`, best first.
    fn by_score(&mut self, pool: &[Candidate], count: usize) {
        for (index, &candidate) in pool.iter().enumerate() {
            if self.list.len() >= count {
                break;
            }
            if self.may_take(index, candidate.item) {
                self.take(index, candidate);
            }
        }
    }

    /// Fills the list up to `count` by maximal marginal relevance; says whether there was time for it.
    fn by_relevance(
        &mut self,
        pool: &[Candidate],
        pinned: &[u32],
        count: usize,
        comparison: &Comparison,
        scale: &Scale,
        cancel: &Cancel,
    ) -> Result<bool> {
        let lambda = comparison.lambda;
        let items: Vec<u32> = pool.iter().map(|candidate| candidate.item).collect();
        let likeness = Likeness::gather(comparison.space, &[&items, pinned].concat())?;
        let mut nearest: Option<Vec<f32>> = None;
        let meet = |nearest: &mut Option<Vec<f32>>, index: usize| {
            let cosines = likeness.to(index);
            match nearest {
                None => *nearest = Some(cosines),
                Some(nearest) => nearest
                    .iter_mut()
                    .zip(cosines)
                    .for_each(|(nearest, cosine)| *nearest = nearest.max(cosine)),
            }
        };
        for index in items.len()..items.len() + pinned.len() {
            if !time_is_left(cancel)? {
                return Ok(false);
            }
            meet(&mut nearest, index);
        }
        while self.list.len() < count {
            if !time_is_left(cancel)? {
                return Ok(false);
            }
            let mut best: Option<(usize, f64)> = None;
            for (index, candidate) in pool.iter().enumerate() {
                if !self.may_take(index, candidate.item) {
                    continue;
                }
                let likeness = nearest.as_ref().map_or(0.0, |nearest| nearest[index]);
                let value =
                    lambda * scale.share(candidate.score) - (1.0 - lambda) * f64::from(likeness);
                if best.is_none_or(|(_, most)| value > most) {
                    best = Some((index, value));
                }
            }
            let Some((index, _)) = best else {
                break;
            };
            self.take(index, pool[index]);
            meet(&mut nearest, index);
        }
        Ok(true)
    }
}

impl Comparison<'_> {
    /// Lowers the scores of what is like a disliked item, all of them or, if there is no time, none; says which.
    fn lower(&self, pool: &mut [Candidate], scale: &Scale, cancel: &Cancel) -> Result<bool> {
        if !time_is_left(cancel)? {
            return Ok(false);
        }
        if self.disliked.is_empty() || self.dislike_weight == 0.0 {
            return Ok(true);
        }
        let items = pool.iter().map(|candidate| candidate.item);
        let items: Vec<u32> = items.chain(self.disliked.iter().copied()).collect();
        let likeness = Likeness::gather(self.space, &items)?;
        let mut most = vec![0f32; items.len()];
        for index in pool.len()..items.len() {
            if !time_is_left(cancel)? {
                return Ok(false);
            }
            for (most, cosine) in most.iter_mut().zip(likeness.to(index)) {
                *most = most.max(cosine);
            }
        }
        for (candidate, most) in pool.iter_mut().zip(most) {
            let fall = self.dislike_weight * scale.spread * f64::from(most);
            #[allow(clippy::cast_possible_truncation, reason = "scores are f32")]
            let score = (f64::from(candidate.score) - fall) as f32;
            candidate.score = score;
        }
        Ok(true)
    }
}

/// The unit in which a pool's scores are compared with likeness.
struct Scale {
    least: f64,
    spread: f64,
}

impl Scale {
    /// From the least own score of the pool to the greatest; 1 where they are equal.
    fn of(pool: &[Candidate]) -> Self {
        let own = pool.iter().map(|candidate| f64::from(candidate.own));
        let least = own.clone().fold(f64::INFINITY, f64::min);
        let spread = own.fold(f64::NEG_INFINITY, f64::max) - least;
        if spread.is_finite() && spread > 0.0 {
            Self { least, spread }
        } else {
            Self {
                least: 0.0,
                spread: 1.0,
            }
        }
    }

    fn share(&self, score: f32) -> f64 {
        (f64::from(score) - self.least) / self.spread
    }
}
