//! How likely texts are as the continuation of a prompt.
//!
//! The score of a text is the sum of the log-probabilities of its tokens, each over the whole vocabulary after the prompt
//! and the tokens before, and of the end-of-title token, where the model has one. There is no normalisation by length.
//! All texts are scored along the tree of their tokens: what several begin with is read once, and where the graph can be
//! told who looks at whom, the whole tree is read in one run behind the prompt, whose rows are forgotten afterwards.

#![forbid(unsafe_code)]

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
        let room = TREE_ROWS.min(self.packed - prompt.len());
        let mut scores = Vec::with_capacity(distinct.len());
        for run in runs(&distinct, room) {
            cancel.check()?;
            scores.extend(self.score_tree(cache, &Trie::new(run), cancel)?);
        }
        let score = |tokens: &Vec<u32>| match distinct.binary_search(&tokens.as_slice()) {
            Ok(place) => Ok(scores[place]),
            Err(_) => Err(Error::Internal {
                reason: "a title was not scored".into(),
            }),
        };
        tokens.iter().map(score).collect()
    }

    /// A title as what follows the prompt.
    fn tokens_of_title(&self, title: &str) -> Result<Vec<u32>> {
        let mut tokens = self.tokenizer.encode(&one_line(title))?;
        tokens.extend(self.end_of_title);
        match tokens.is_empty() {
            true => Err(Error::argument("titles", "an empty one has no score")),
            false => Ok(tokens),
        }
    }

    /// The score of each continuation of a tree, behind what the cache holds.
    fn score_tree(&self, cache: &mut Cache, trie: &Trie, cancel: &Cancel) -> Result<Vec<f32>> {
        // The nodes that follow on the text itself, then those on each inner node.
        let mut following = vec![Vec::new(); trie.inner().count() + 1];
        for (place, node) in trie.nodes().iter().enumerate() {
            following[trie.before(node).map_or(0, |inner| inner + 1)].push(place);
        }
        let states = self.read_tree(cache, trie, cancel)?;
        let mut likelihoods = vec![0.0; trie.nodes().len()];
        self.logits_of(&states, cancel, &mut |row, logits| {
            let normaliser = normaliser(logits);
            if !normaliser.is_finite() {
                let found = normaliser.to_string();
                let graph = self.decoder.graph();
                return Err(Error::graph(graph, "logits", "finite numbers", found));
            }
            for &place in &following[row] {
                let token = trie.nodes()[place].token as usize;
                let logit = logits.get(token).copied().unwrap_or(f32::NEG_INFINITY);
                likelihoods[place] = (f64::from(logit) - normaliser) as f32;
            }
            Ok(())
        })?;
        // Parents come first.
        let mut sums: Vec<f32> = Vec::with_capacity(likelihoods.len());
        for (node, likelihood) in trie.nodes().iter().zip(likelihoods) {
            let before = node.parent.map_or(0.0, |parent| sums[parent]);
            sums.push(before + likelihood);
        }
        Ok(trie.ends().iter().map(|&end| sums[end]).collect())
    }

    /// What comes out for the last row of the cache and for each inner node of a tree, one after the other. The cache
    /// then holds what it held before.
    fn read_tree(&self, cache: &mut Cache, trie: &Trie, cancel: &Cancel) -> Result<Vec<f32>> {
        let inner: Vec<_> = trie.inner().collect();
        let mut states = cache.last().to_vec();
        if inner.is_empty() {
            return Ok(states);
        }
        let past = cache.len();
        let tokens: Vec<Row> = inner.iter().map(|node| Row::Token(node.token)).collect();
        let parents: Vec<Option<usize>> = inner.iter().map(|node| trie.before(node)).collect();
        let rows = self.gather(&tokens)?;
        let mut out = Vec::new();
        if self.decoder.takes_trees() {
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
                rows: &rows,
                layout,
            };
            self.decoder.run(&mut cache.past, &step, cancel, &mut out)?;
            states.extend_from_slice(&out);
            return Ok(states);
        }
        // One branch after the other, each behind what it has in common with the one before.
        let mut start = 0;
        while start < inner.len() {
            let follows = |&place: &usize| parents[place] == Some(place - 1);
            let end = (start + 1..inner.len()).find(|place| !follows(place));
            let end = end.unwrap_or(inner.len()).min(start + self.run_rows);
            let width = self.tokens.width();
            let step = Step {
                past: past + inner[start].depth,
                rows: &rows[start * width..end * width],
                layout: Layout::Sequence,
            };
            self.decoder.run(&mut cache.past, &step, cancel, &mut out)?;
            states.extend_from_slice(&out);
            start = end;
        }
        Ok(states)
    }
}
