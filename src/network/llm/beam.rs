//! Beam search: the likeliest continuations of a prompt, several followed at once.
//!
//! As the transformers library does it (`num_beams`, `early_stopping` off), which BIGRec generates with: of the next
//! tokens of all hypotheses, those with the greatest sums of log-probabilities go on; one that ends is kept with its sum
//! over its length, the token that ended it counted, to the power of the length penalty; and the search ends when the best
//! that goes on cannot, at its present length, displace the worst that was kept.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::Model;
use super::branches::{Branch, Branches, check_beams};
use super::cache::{Cache, Row};
use super::tokens::{Tokens, Utf8};
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// How a beam search goes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BeamOptions {
    /// How many hypotheses are followed at once, and continuations found at most; 4 by default, 1 to 256.
    pub beams: usize,
    /// How many tokens a continuation has at most; 128 by default, at least 1.
    pub tokens: usize,
    /// The power of the length that sums of log-probabilities are divided by; 1 by default, 0 for the sums themselves.
    pub length_penalty: f32,
    /// Stops the call when requested.
    pub cancel: Cancel,
    /// How long the call may take, from its start; for ever by default. If a continuation has ended when it strikes, those
    /// that have are the answer.
    pub deadline: Option<Duration>,
}

impl Default for BeamOptions {
    fn default() -> Self {
        Self {
            beams: 4,
            tokens: 128,
            length_penalty: 1.0,
            cancel: Cancel::new(),
            deadline: None,
        }
    }
}

/// A continuation that a beam search has found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Beam {
    /// The text.
    pub text: String,
    /// The tokens, without one that ended it.
    pub tokens: Vec<u32>,
    /// The sum of the tokens' log-probabilities, that of the one that ended it too, over the length to the power of the
    /// length penalty.
    pub score: f32,
}

/// A continuation that goes on.
struct Hypothesis {
    branch: Branch,
    sum: f32,
}

/// A token that a hypothesis may go on with.
#[derive(Clone, Copy)]
struct Candidate {
    hypothesis: usize,
    token: u32,
    sum: f32,
}

/// What is told of the best continuation while it is searched.
#[derive(Default)]
struct Told {
    tokens: usize,
    utf8: Utf8,
}

impl Told {
    /// Tells as much as all contenders have in common.
    fn tell<'a>(
        &mut self,
        tokenizer: &Tokens,
        mut contenders: impl Iterator<Item = &'a [u32]>,
        on_text: &mut dyn FnMut(&str),
    ) {
        let Some(first) = contenders.next() else {
            return;
        };
        let same = |length: usize, other: &[u32]| {
            let pairs = first[..length].iter().zip(other);
            pairs.take_while(|(one, other)| one == other).count()
        };
        let common = contenders.fold(first.len(), same);
        self.add(tokenizer, &first[..common], on_text);
    }

    /// Tells the rest of the best.
    fn finish(&mut self, tokenizer: &Tokens, best: &[u32], on_text: &mut dyn FnMut(&str)) {
        self.add(tokenizer, best, on_text);
        let mut text = String::new();
        self.utf8.finish(&mut text);
        if !text.is_empty() {
            on_text(&text);
        }
    }

    fn add(&mut self, tokenizer: &Tokens, known: &[u32], on_text: &mut dyn FnMut(&str)) {
        let mut text = String::new();
        for &token in known.iter().skip(self.tokens) {
            self.utf8.push(tokenizer.bytes(token), &mut text);
        }
        self.tokens = self.tokens.max(known.len());
        if !text.is_empty() {
            on_text(&text);
        }
    }
}

impl BeamOptions {
    fn check(&self) -> Result<()> {
        let wrong = |reason: &str| Err(Error::argument("options", reason));
        check_beams(self.beams)?;
        if self.tokens == 0 {
            return wrong("`tokens` is 0, expected at least 1");
        }
        match self.length_penalty.is_finite() {
            true => Ok(()),
            false => wrong("`length_penalty` is not finite"),
        }
    }
}

impl Model {
    /// The likeliest continuations of a prompt, best first. The cache then holds the prompt.
    ///
    /// `on_text` is given the text of the best, piece by piece, as far as all that may still become the best agree on it.
    ///
    /// # Errors
    /// [`Error::TooLong`] and [`Error::InvalidArgument`] before anything is computed; what [`read`](Self::read) gives.
    pub(crate) fn search(
        &self,
        cache: &mut Cache,
        prompt: &[Row],
        options: &BeamOptions,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Vec<Beam>> {
        options.check()?;
        self.check_length(prompt.len())?;
        self.read(cache, prompt, cancel)?;
        // The last token is not read.
        let most = options.tokens.min(self.context - prompt.len() + 1);
        let mut branches = Branches::new(self, cache);
        let mut going = vec![Hypothesis {
            branch: Branch::default(),
            sum: 0.0,
        }];
        let mut ended: Vec<(f32, Vec<u32>)> = Vec::new();
        let mut told = Told::default();
        for length in 1..=most {
            let candidates = match self.candidates(&mut branches, &mut going, options, cancel) {
                Err(Error::DeadlineExceeded) if !ended.is_empty() => break,
                candidates => candidates?,
            };
            let over = (length as f32).powf(options.length_penalty);
            let mut next = Vec::with_capacity(options.beams);
            for (rank, candidate) in candidates.into_iter().enumerate() {
                let branch = &going[candidate.hypothesis].branch;
                let stops = self.stop.contains(&candidate.token);
                if stops || length == most {
                    // What is further down is there so that enough go on.
                    if rank < options.beams {
                        let mut tokens = branch.tokens.clone();
                        tokens.extend((!stops).then_some(candidate.token));
                        ended.push((candidate.sum / over, tokens));
                    }
                } else if next.len() < options.beams {
                    next.push(Hypothesis {
                        branch: branch.with(candidate.token),
                        sum: candidate.sum,
                    });
                }
            }
            // Stable: of equals, the one that ended first.
            ended.sort_by(|a, b| b.0.total_cmp(&a.0));
            ended.truncate(options.beams);
            going = next;
            let best = ended.first().map(|(_, tokens)| &**tokens);
            let contenders = going.iter().map(|one| &*one.branch.tokens);
            told.tell(&self.tokenizer, contenders.chain(best), on_text);
            let worst = ended.get(options.beams - 1).map(|(score, _)| *score);
            let best = going.first().map(|best| best.sum / over);
            match (best, worst) {
                (None, _) => break,
                (Some(best), Some(worst)) if best <= worst => break,
                _ => {}
            }
        }
        told.finish(
            &self.tokenizer,
            ended.first().map_or(&[], |(_, tokens)| tokens),
            on_text,
        );
        Ok(ended
            .into_iter()
            .map(|(score, tokens)| self.beam(score, tokens))
            .collect())
    }

    fn beam(&self, score: f32, tokens: Vec<u32>) -> Beam {
        let (mut utf8, mut text) = (Utf8::default(), String::new());
        for &token in &tokens {
            utf8.push(self.tokenizer.bytes(token), &mut text);
        }
        utf8.finish(&mut text);
        Beam {
            text,
            tokens,
            score,
        }
    }

    /// The likeliest that could come next, the greatest sum first: enough that as many as there are beams go on, whichever
    /// of them end.
    fn candidates(
        &self,
        branches: &mut Branches,
        going: &mut [Hypothesis],
        options: &BeamOptions,
        cancel: &Cancel,
    ) -> Result<Vec<Candidate>> {
        let count = options.beams * (1 + self.stop.len()).max(2);
        let own = going.iter_mut().map(|one| &mut one.branch).collect();
        let states = branches.read(own, cancel)?;
        let mut best: Vec<Candidate> = Vec::with_capacity(count + 1);
        self.logits_of(&states, cancel, &mut |hypothesis, logits| {
            let above = self.normaliser(logits)?;
            let before = going[hypothesis].sum;
            for (&logit, token) in logits.iter().zip(0..) {
                let sum = before + (f64::from(logit) - above) as f32;
                if best.len() == count && best.last().is_some_and(|last| sum <= last.sum) {
                    continue;
                }
                let place = best.partition_point(|other| other.sum >= sum);
                best.insert(
                    place,
                    Candidate {
                        hypothesis,
                        token,
                        sum,
                    },
                );
                best.truncate(count);
            }
            Ok(())
        })?;
        Ok(best)
    }
}
