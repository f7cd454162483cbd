//! The likeliest titles of a whole catalog after a prompt: a beam search that writes nothing but titles.
//!
//! The search goes down the tree of the catalog's titles. Sums of log-probabilities only fall, so it ends when the best
//! that goes on is no better than the last that was found: what it finds is exact if there were no more hypotheses at any
//! step than beams.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::Model;
use super::branches::{Branch, Branches, check_beams};
use super::cache::{Cache, Row};
use super::score::Among;
use crate::cancel::Cancel;
use crate::catalog::TitleTrie;
use crate::error::{Error, Result};

/// How titles are found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TitleOptions {
    /// How many titles are found at most; 10 by default, at least 1.
    pub count: usize,
    /// How many hypotheses are followed at once; 16 by default, 1 to 256. The more, the less is missed.
    pub beams: usize,
    /// What the probability of a token is one of.
    pub among: Among,
    /// Stops the call when requested.
    pub cancel: Cancel,
    /// How long the call may take, from its start; for ever by default. If there are titles when it strikes, they are the
    /// answer.
    pub deadline: Option<Duration>,
}

impl Default for TitleOptions {
    fn default() -> Self {
        Self {
            count: 10,
            beams: 16,
            among: Among::Vocabulary,
            cancel: Cancel::new(),
            deadline: None,
        }
    }
}

/// A title of the catalog.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Title {
    /// The items that have it, in their order.
    pub items: Vec<u32>,
    /// The sum of the log-probabilities of its tokens and of the one that ends it.
    pub score: f32,
}

/// The beginning of some titles.
struct Hypothesis {
    branch: Branch,
    node: u32,
    sum: f32,
}

impl Model {
    /// The likeliest titles after a prompt, best first, and whether there was time to find them all: a deadline leaves those
    /// that there are. The cache then holds the prompt.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model has no tree of titles; [`Error::InvalidArgument`] and [`Error::TooLong`] before
    /// anything is computed, the latter also for a title that does not fit behind the prompt; what [`read`](Self::read)
    /// gives.
    pub(crate) fn likeliest_titles(
        &self,
        cache: &mut Cache,
        prompt: &[Row],
        options: &TitleOptions,
        cancel: &Cancel,
    ) -> Result<(Vec<Title>, bool)> {
        let trie = self.tree_of_titles()?;
        if options.count == 0 {
            return Err(Error::argument(
                "options",
                "`count` is 0, expected at least 1",
            ));
        }
        check_beams(options.beams)?;
        self.check_length(prompt.len())?;
        self.read(cache, prompt, cancel)?;
        let mut branches = Branches::new(self, cache);
        let mut going = vec![Hypothesis {
            branch: Branch::default(),
            node: 0,
            sum: 0.0,
        }];
        let (mut found, mut whole): (Vec<Title>, bool) = (Vec::new(), true);
        for depth in 0.. {
            // The last token of each has yet to be read. Titles that do not fit behind the prompt are not written.
            match self.check_length(prompt.len() + depth) {
                Err(_) if !found.is_empty() => break,
                fits => fits?,
            }
            let next = match self.next(trie, &mut branches, &mut going, options.among, cancel) {
                Err(Error::DeadlineExceeded) if !found.is_empty() => {
                    whole = false;
                    break;
                }
                next => next?,
            };
            let mut longer = Vec::with_capacity(next.len());
            for (hypothesis, node, sum) in next {
                let items = trie.items(node)?;
                if !items.is_empty() {
                    found.push(Title {
                        items: items.into(),
                        score: sum,
                    });
                }
                if !trie.children(node)?.is_empty() {
                    longer.push((hypothesis, node, sum));
                }
            }
            // Of equals, that with the lowest item.
            found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.items.cmp(&b.items)));
            found.truncate(options.count);
            longer.sort_by(|a, b| b.2.total_cmp(&a.2));
            longer.truncate(options.beams);
            // What is as good already may end as good: tokens that are certain cost nothing.
            let last = found.get(options.count - 1).map(|title| title.score);
            match (longer.first(), last) {
                (None, _) => break,
                (Some(best), Some(last)) if best.2 < last => break,
                _ => {}
            }
            let go_on = |(hypothesis, node, sum): (usize, u32, f32)| {
                let branch = going[hypothesis].branch.with(trie.token(node)?);
                Ok(Hypothesis { branch, node, sum })
            };
            going = longer.into_iter().map(go_on).collect::<Result<_>>()?;
        }
        Ok((found, whole))
    }

    /// The likeliest title after a prompt, but for some.
    ///
    /// # Errors
    /// As [`likeliest_titles`](Self::likeliest_titles), but a deadline leaves nothing.
    pub(super) fn likeliest_title(
        &self,
        cache: &mut Cache,
        prompt: &[Row],
        beams: usize,
        but: &[Title],
        cancel: &Cancel,
    ) -> Result<Option<Title>> {
        let count = but.len() + 1;
        let options = TitleOptions {
            count,
            beams: beams.max(count),
            ..TitleOptions::default()
        };
        let (titles, whole) = self.likeliest_titles(cache, prompt, &options, cancel)?;
        let is_new = |title: &Title| !but.iter().any(|one| one.items == title.items);
        match whole {
            true => Ok(titles.into_iter().find(is_new)),
            false => Err(Error::DeadlineExceeded),
        }
    }

    pub(super) fn tree_of_titles(&self) -> Result<&TitleTrie> {
        self.titles.as_deref().ok_or_else(|| Error::Unsupported {
            what: "a tree of titles (`titles` of the language model)".into(),
        })
    }

    /// The nodes that follow on each hypothesis, with the sums they come to.
    fn next(
        &self,
        trie: &TitleTrie,
        branches: &mut Branches,
        going: &mut [Hypothesis],
        among: Among,
        cancel: &Cancel,
    ) -> Result<Vec<(usize, u32, f32)>> {
        let own = going.iter_mut().map(|one| &mut one.branch).collect();
        let states = branches.read(own, cancel)?;
        let mut next = Vec::new();
        if let (Among::Titles, Some(rows)) = (among, &self.head_rows) {
            let states = states.chunks_exact(self.decoder.output_width());
            for (hypothesis, (one, state)) in going.iter().zip(states).enumerate() {
                cancel.check()?;
                let nodes = trie.children(one.node)?;
                let tokens = nodes.clone().map(|node| trie.token(node));
                let tokens = tokens.collect::<Result<Vec<u32>>>()?;
                // One alone is certain.
                let logits = match tokens.len() {
                    1 => vec![0.0],
                    _ => rows.products_of(state, &tokens)?,
                };
                let above = self.normaliser(&logits)?;
                next.extend(nodes.zip(logits).map(|(node, logit)| {
                    (
                        hypothesis,
                        node,
                        one.sum + (f64::from(logit) - above) as f32,
                    )
                }));
            }
            return Ok(next);
        }
        self.logits_of(&states, cancel, &mut |hypothesis, logits| {
            let one = &going[hypothesis];
            let nodes = trie.children(one.node)?;
            let logit = |node| Ok(logits[trie.token(node)? as usize]);
            let own = nodes.clone().map(logit).collect::<Result<Vec<f32>>>()?;
            let above = match among {
                Among::Vocabulary => self.normaliser(logits)?,
                Among::Titles => self.normaliser(&own)?,
            };
            let sum = |logit| one.sum + (f64::from(logit) - above) as f32;
            next.extend(
                nodes
                    .zip(own)
                    .map(|(node, logit)| (hypothesis, node, sum(logit))),
            );
            Ok(())
        })?;
        Ok(next)
    }
}
