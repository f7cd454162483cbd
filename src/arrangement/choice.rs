//! Choosing from a pool: dislikes, diversity and caps.

#![forbid(unsafe_code)]

use std::cmp::Ordering;

use super::caps::{Caps, Shown};
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

/// Whether there was time for what a call can also do without.
pub(super) fn in_time(outcome: Result<()>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(Error::DeadlineExceeded) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Best first: the higher score, then the lower item.
fn best_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.score.total_cmp(&a.score).then(a.item.cmp(&b.item))
}

pub(super) fn sort(pool: &mut [Candidate]) {
    pool.sort_unstable_by(best_first);
}

/// The `count` of `pool`, best first, that are shown beside `pinned`. Caps hold whatever the clock says.
pub(super) fn choose(
    pool: Vec<Candidate>,
    pinned: &[u32],
    count: usize,
    caps: &Caps,
    comparison: Option<&Comparison>,
    cancel: &Cancel,
) -> Result<Choice> {
    let mut choosing = Choosing {
        count,
        list: Vec::with_capacity(count.min(pool.len())),
        taken: vec![false; pool.len()],
        order: (0..pool.len()).collect(),
        pool,
        shown: caps.shown(),
    };
    pinned.iter().for_each(|&item| choosing.shown.add(item));
    let whole = match comparison {
        Some(comparison) => in_time(choosing.by_likeness(pinned, comparison, cancel))?,
        None => true,
    };
    choosing.by_score();
    Ok(Choice {
        list: choosing.list,
        whole,
    })
}

struct Choosing<'a> {
    pool: Vec<Candidate>,
    /// The indices of the pool, best first.
    order: Vec<usize>,
    /// Which of the pool are in the list.
    taken: Vec<bool>,
    list: Vec<Candidate>,
    /// How long the list is to be.
    count: usize,
    shown: Shown<'a>,
}

impl Choosing<'_> {
    fn may_take(&self, index: usize) -> bool {
        !self.taken[index] && self.shown.has_room_for(self.pool[index].item)
    }

    fn take(&mut self, index: usize) {
        let candidate = self.pool[index];
        self.taken[index] = true;
        self.shown.add(candidate.item);
        self.list.push(candidate);
    }

    /// Fills the list, best first.
    fn by_score(&mut self) {
        for place in 0..self.order.len() {
            if self.list.len() >= self.count {
                break;
            }
            let index = self.order[place];
            if self.may_take(index) {
                self.take(index);
            }
        }
    }

    /// Lowers the scores of what is like a disliked item, and fills the list if diversity is asked for; as far as there
    /// is time.
    fn by_likeness(
        &mut self,
        pinned: &[u32],
        comparison: &Comparison,
        cancel: &Cancel,
    ) -> Result<()> {
        let gather = |items: &[u32]| Likeness::gather(comparison.space, items, cancel);
        let scale = Scale::of(&self.pool);
        let items: Vec<u32> = self.pool.iter().map(|candidate| candidate.item).collect();
        let pool = gather(&items)?;
        if !comparison.disliked.is_empty() {
            let mut nearest = Nearest::new(&pool);
            nearest.meet_all(&gather(&comparison.disliked)?, cancel)?;
            self.lower(&nearest, comparison.dislike_weight * scale.spread);
        }
        if comparison.lambda < 1.0 {
            let mut nearest = Nearest::new(&pool);
            nearest.meet_all(&gather(pinned)?, cancel)?;
            self.by_relevance(nearest, comparison.lambda, &scale, cancel)?;
        }
        Ok(())
    }

    /// Lowers each score by `most` times the largest cosine, none below 0.
    fn lower(&mut self, nearest: &Nearest, most: f64) {
        for (index, candidate) in self.pool.iter_mut().enumerate() {
            let fall = most * f64::from(nearest.to(index).max(0.0));
            #[allow(clippy::cast_possible_truncation, reason = "scores are f32")]
            let score = (f64::from(candidate.score) - fall) as f32;
            candidate.score = score;
        }
        let pool = &self.pool;
        self.order
            .sort_unstable_by(|&a, &b| best_first(&pool[a], &pool[b]));
    }

    /// Fills the list by maximal marginal relevance, beside what was met before.
    fn by_relevance(
        &mut self,
        mut nearest: Nearest,
        lambda: f64,
        scale: &Scale,
        cancel: &Cancel,
    ) -> Result<()> {
        while self.list.len() < self.count {
            cancel.check()?;
            let mut best: Option<(usize, f64)> = None;
            for &index in &self.order {
                if !self.may_take(index) {
                    continue;
                }
                let share = scale.share(self.pool[index].score);
                let value = lambda * share - (1.0 - lambda) * f64::from(nearest.to(index));
                if best.is_none_or(|(_, most)| value > most) {
                    best = Some((index, value));
                }
            }
            let Some((index, _)) = best else {
                break;
            };
            self.take(index);
            nearest.meet(nearest.pool.row(index));
        }
        Ok(())
    }
}

/// The largest cosine of each of the pool with any row met so far.
struct Nearest<'a> {
    pool: &'a Likeness,
    /// Nothing before the first.
    cosines: Option<Vec<f32>>,
}

impl<'a> Nearest<'a> {
    fn new(pool: &'a Likeness) -> Self {
        Self {
            pool,
            cosines: None,
        }
    }

    fn meet(&mut self, row: &[f32]) {
        let cosines = self.pool.to(row);
        match &mut self.cosines {
            None => self.cosines = Some(cosines),
            Some(largest) => largest
                .iter_mut()
                .zip(cosines)
                .for_each(|(largest, cosine)| *largest = largest.max(cosine)),
        }
    }

    fn meet_all(&mut self, others: &Likeness, cancel: &Cancel) -> Result<()> {
        for row in others.rows() {
            cancel.check()?;
            self.meet(row);
        }
        Ok(())
    }

    /// 0 if none was met.
    fn to(&self, index: usize) -> f32 {
        self.cosines.as_ref().map_or(0.0, |cosines| cosines[index])
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
