//! How likely texts are as the continuation of a prompt.
//!
//! The score of a text is the sum of the log-probabilities of its tokens, each after the prompt and the tokens before, and
//! of the end-of-title token, where the model has one. There is no normalisation by length. A token's probability is that
//! among the whole vocabulary, or among the tokens that go on with any of the texts: then only the head's rows of these
//! are multiplied, and a token that is the only one costs nothing.
//!
//! All texts are scored along the tree of their tokens: what several begin with is read once, and where the graph can be
//! told who looks at whom, the whole tree is read in one run behind the prompt, whose rows are forgotten afterwards.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::Model;
use super::cache::{Cache, Row};
use super::prompt::one_line;
use super::softmax::normaliser;
use super::trie::{Trie, runs};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::graph::{Layout, Step};

/// The most rows of a tree that share a run: each is compared with all others, of its own branch or not.
const TREE_ROWS: usize = 256;

/// How titles are scored.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ScoreOptions {
    /// What the probability of a token is one of.
    pub among: Among,
    /// Stops the call when requested.
    pub cancel: Cancel,
    /// How long the call may take, from its start; for ever by default.
    pub deadline: Option<Duration>,
}

/// The tokens among which one has its probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Among {
    /// All of the vocabulary: a score is the log-probability that the model writes this title next.
    #[default]
    Vocabulary,
    /// Those that go on with any of the titles: the log-probability that it writes this one, if it writes one of them
    /// token by token. Quicker, and another order: a title loses nothing for what could have been written instead.
    Titles,
}

impl Model {
    /// The score of each title after a prompt, which the cache then holds.
    ///
    /// Equal titles have equal scores.
    ///
    /// # Errors
    /// [`Error::TooLong`] before anything is computed; [`Error::InvalidArgument`] for a title without tokens; what
    /// [`read`](Self::read) gives.
    pub(crate) fn score<T: AsRef<str>>(
        &self,
        cache: &mut Cache,
        prompt: &[Row],
        titles: &[T],
        among: Among,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        let mut tokens = Vec::with_capacity(titles.len());
        for title in titles {
            cancel.check()?;
            tokens.push(self.tokens_of_title(title.as_ref())?);
        }
        let longest = tokens.iter().map(Vec::len).max().unwrap_or(1);
        // The last token of a title is not read.
        self.check_length(prompt.len() + longest - 1)?;
        self.read(cache, prompt, cancel)?;

        let mut distinct: Vec<&[u32]> = tokens.iter().map(Vec::as_slice).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let scores = self.score_distinct(cache, prompt.len(), &distinct, among, cancel)?;
        let score = |tokens: &Vec<u32>| match distinct.binary_search(&tokens.as_slice()) {
            Ok(place) => Ok(scores[place]),
            Err(_) => Err(Error::Internal {
                reason: "a title was not scored".into(),
            }),
        };
        tokens.iter().map(score).collect()
    }

    /// A title as what follows the prompt.
    pub(super) fn tokens_of_title(&self, title: &str) -> Result<Vec<u32>> {
        let mut tokens = self.tokenizer.encode("titles", &one_line(title))?;
        tokens.extend(self.end_of_title);
        match tokens.is_empty() {
            true => Err(Error::argument("titles", "an empty one has no score")),
            false => Ok(tokens),
        }
    }

    /// The score of each of some continuations, sorted and distinct, of a prompt that the cache holds.
    fn score_distinct(
        &self,
        cache: &mut Cache,
        prompt: usize,
        distinct: &[&[u32]],
        among: Among,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        let all = Trie::new(distinct);
        let alternatives = all.following();
        let forced = |place: usize| {
            let before = all.before(&all.nodes()[place]);
            among == Among::Titles && alternatives[before.map_or(0, |inner| inner + 1)].len() == 1
        };
        // Of each token: its log-probability, or its logit where it is yet to be compared with the others.
        let mut found = vec![0.0; all.nodes().len()];
        let room = self.tree_rows().min(self.packed - prompt);
        let mut first = 0;
        for run in runs(distinct, room) {
            cancel.check()?;
            let trie = Trie::new(run);
            let mut places = vec![0; trie.nodes().len()];
            for (index, &end) in trie.ends().iter().enumerate() {
                let path = all.path(all.ends()[first + index]);
                trie.path(end)
                    .zip(path)
                    .for_each(|(own, place)| places[own] = place);
            }
            first += run.len();
            let wanted = |node: usize| !forced(places[node]);
            for (node, number) in self.weigh(cache, &trie, among, &wanted, cancel)? {
                found[places[node]] = number;
            }
        }
        if among == Among::Titles {
            for places in alternatives.iter().filter(|places| places.len() > 1) {
                let logits: Vec<f32> = places.iter().map(|&place| found[place]).collect();
                let normaliser = self.normaliser(&logits)?;
                for &place in places {
                    found[place] = (f64::from(found[place]) - normaliser) as f32;
                }
            }
        }
        // Parents come first.
        let mut sums: Vec<f32> = Vec::with_capacity(found.len());
        for (node, found) in all.nodes().iter().zip(found) {
            let before = node.parent.map_or(0.0, |parent| sums[parent]);
            sums.push(before + found);
        }
        Ok(all.ends().iter().map(|&end| sums[end]).collect())
    }

    /// The nodes of a tree behind what the cache holds, with the log-probability of each among the vocabulary, or with its
    /// logit; of those that are wanted.
    fn weigh(
        &self,
        cache: &mut Cache,
        trie: &Trie,
        among: Among,
        wanted: &dyn Fn(usize) -> bool,
        cancel: &Cancel,
    ) -> Result<Vec<(usize, f32)>> {
        let mut found = Vec::with_capacity(trie.nodes().len());
        let following: Vec<Vec<usize>> = trie
            .following()
            .into_iter()
            .map(|nodes| nodes.into_iter().filter(|&node| wanted(node)).collect())
            .collect();
        let width = self.decoder.output_width();
        let token = |node: usize| trie.nodes()[node].token;
        self.read_tree(cache, trie, cancel, &mut |first, states| {
            let rows = first..first + states.len() / width;
            let asked: Vec<usize> = rows.filter(|&row| !following[row].is_empty()).collect();
            let state = |row: usize| &states[(row - first) * width..][..width];
            if let (Among::Titles, Some(rows)) = (among, &self.head_rows) {
                for row in asked {
                    cancel.check()?;
                    let tokens: Vec<u32> = following[row].iter().map(|&node| token(node)).collect();
                    let logits = rows.products_of(state(row), &tokens)?;
                    found.extend(following[row].iter().copied().zip(logits));
                }
                return Ok(());
            }
            let given: Vec<f32> = asked.iter().flat_map(|&row| state(row)).copied().collect();
            self.logits_of(&given, cancel, &mut |place, logits| {
                let above = match among {
                    Among::Vocabulary => self.normaliser(logits)?,
                    Among::Titles => 0.0,
                };
                for &node in &following[asked[place]] {
                    let logit = logits.get(token(node) as usize).copied();
                    let logit = f64::from(logit.unwrap_or(f32::NEG_INFINITY));
                    found.push((node, (logit - above) as f32));
                }
                Ok(())
            })
        })?;
        Ok(found)
    }

    /// What logits are above their log-probabilities by.
    pub(super) fn normaliser(&self, logits: &[f32]) -> Result<f64> {
        let normaliser = normaliser(logits);
        match normaliser.is_finite() {
            true => Ok(normaliser),
            false => {
                let found = normaliser.to_string();
                let graph = self.decoder.graph();
                Err(Error::graph(graph, "logits", "finite numbers", found))
            }
        }
    }

    /// The most rows of a tree in one run.
    fn tree_rows(&self) -> usize {
        TREE_ROWS.min(self.run_rows)
    }

    /// What comes out for the last row of the cache and for each inner node of a tree, to `each` some at a time: the
    /// place of the first, counted from that last row, and the states. The cache then holds what it held before.
    fn read_tree(
        &self,
        cache: &mut Cache,
        trie: &Trie,
        cancel: &Cancel,
        each: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let inner: Vec<_> = trie.inner().collect();
        let last = cache.last().to_vec();
        if inner.is_empty() {
            return each(0, &last);
        }
        let past = cache.len();
        let tokens: Vec<Row> = inner.iter().map(|node| Row::Token(node.token)).collect();
        let parents: Vec<Option<usize>> = inner.iter().map(|node| trie.before(node)).collect();
        let mut out = Vec::new();
        // A tree has more rows than fit into one run only if it is a single long title.
        if self.decoder.takes_trees() && inner.len() <= self.tree_rows() {
            let positions: Vec<i64> = inner
                .iter()
                .map(|node| (past + node.depth) as i64)
                .collect();
            let layout = Layout::Tree {
                positions: &positions,
                parents: &parents,
            };
            let step = Step {
                past,
                rows: &self.gather(&tokens)?,
                layout,
            };
            self.decoder.run(&mut cache.past, &step, cancel, &mut out)?;
            return each(0, &[last, out].concat());
        }
        each(0, &last)?;
        // One branch after the other, each behind what it has in common with the one before.
        let mut start = 0;
        while start < inner.len() {
            let follows = |&place: &usize| parents[place] == Some(place - 1);
            let end = (start + 1..inner.len()).find(|place| !follows(place));
            let end = end.unwrap_or(inner.len()).min(start + self.run_rows);
            let step = Step {
                past: past + inner[start].depth,
                rows: &self.gather(&tokens[start..end])?,
                layout: Layout::Sequence,
            };
            self.decoder.run(&mut cache.past, &step, cancel, &mut out)?;
            each(start + 1, &out)?;
            start = end;
        }
        Ok(())
    }
}
