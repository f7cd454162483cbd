//! Several continuations of one text, each of which goes on by a token at a time.
//!
//! Where the graph can be told who looks at whom, their rows lie one behind the other after those of the text, and a step
//! of all branches is one run; what has been dropped stays there, unseen, until there is no more room and the branches
//! that are left are read anew. A plain graph reads each branch again for every step, as does any when they do not fit together.

#![forbid(unsafe_code)]

use super::Model;
use super::cache::{Cache, Row};
use crate::bundle::MOST_BEAMS;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::graph::{Layout, Step};

/// The most branches that are followed at once.
const MOST: usize = MOST_BEAMS as usize;

/// Fails unless so many branches, the `beams` of a call's options, can be followed at once.
pub(super) fn check_beams(beams: usize) -> Result<()> {
    match (1..=MOST).contains(&beams) {
        true => Ok(()),
        false => {
            let reason = format!("`beams` is {beams}, expected 1 to {MOST}");
            Err(Error::argument("options", reason))
        }
    }
}

/// The rows of all branches of a text that a cache holds.
pub(super) struct Branches<'a> {
    model: &'a Model,
    cache: &'a mut Cache,
    /// How many rows of them lie behind the text.
    rows: usize,
}

/// One continuation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Branch {
    pub(super) tokens: Vec<u32>,
    /// Where the rows of its tokens lie that have been read, all but the last few.
    places: Vec<usize>,
}

impl Branch {
    /// It, gone on by a token.
    pub(super) fn with(&self, token: u32) -> Self {
        let mut branch = self.clone();
        branch.tokens.push(token);
        branch
    }
}

impl<'a> Branches<'a> {
    pub(super) fn new(model: &'a Model, cache: &'a mut Cache) -> Self {
        Self {
            model,
            cache,
            rows: 0,
        }
    }

    /// What comes out for the last token of each branch, one after the other; for one without tokens, for the text's.
    pub(super) fn read(
        &mut self,
        mut branches: Vec<&mut Branch>,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        cancel.check()?;
        let width = self.model.decoder.output_width();
        if let [branch] = &branches[..]
            && branch.tokens.is_empty()
        {
            return Ok(self.cache.last().to_vec());
        }
        let mut out = Vec::new();
        let text = self.cache.len();
        let new = |branches: &[&mut Branch]| -> usize {
            let new = |branch: &&mut Branch| branch.tokens.len() - branch.places.len();
            branches.iter().map(new).sum()
        };
        let room = self.model.packed - text;
        if self.rows + new(&branches) > room {
            self.rows = 0;
            branches.iter_mut().for_each(|branch| branch.places.clear());
        }
        if !self.model.decoder.takes_trees() || new(&branches) > room {
            let mut states = Vec::with_capacity(branches.len() * width);
            for branch in branches {
                for (behind, tokens) in pieces(&branch.tokens, self.model.run_rows) {
                    self.run(tokens, Layout::Sequence, behind, cancel, &mut out)?;
                }
                states.extend_from_slice(&out[out.len() - width..]);
            }
            return Ok(states);
        }
        let (mut tokens, mut positions, mut before) = (Vec::new(), Vec::new(), Vec::new());
        let mut last = Vec::with_capacity(branches.len());
        for branch in branches {
            while let Some(&token) = branch.tokens.get(branch.places.len()) {
                positions.push((text + branch.places.len()) as i64);
                before.push(branch.places.clone());
                branch.places.push(text + self.rows + tokens.len());
                tokens.push(token);
            }
            last.push(tokens.len() - 1);
        }
        // What comes out for the last token of each branch: they are in the order of the rows.
        let mut states = Vec::with_capacity(last.len() * width);
        let mut last = last.into_iter().peekable();
        for (start, tokens) in pieces(&tokens, MOST.min(self.model.run_rows)) {
            let end = start + tokens.len();
            let layout = Layout::Branches {
                shared: text,
                positions: &positions[start..end],
                before: &before[start..end],
            };
            self.run(tokens, layout, self.rows + start, cancel, &mut out)?;
            while let Some(row) = last.next_if(|&row| row < end) {
                states.extend_from_slice(&out[(row - start) * width..][..width]);
            }
        }
        self.rows += tokens.len();
        Ok(states)
    }

    /// Reads tokens behind the text and so many rows after it.
    fn run(
        &mut self,
        tokens: &[u32],
        layout: Layout,
        behind: usize,
        cancel: &Cancel,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let tokens: Vec<Row> = tokens.iter().map(|&token| Row::Token(token)).collect();
        let rows = self.model.gather(&tokens)?;
        let step = Step {
            past: self.cache.len() + behind,
            rows: &rows,
            layout,
        };
        self.model
            .decoder
            .run(&mut self.cache.past, &step, cancel, out)
    }
}

/// A list in pieces of at most `most`, with where each begins.
fn pieces(list: &[u32], most: usize) -> impl Iterator<Item = (usize, &[u32])> {
    let starts = (0..).step_by(most);
    starts.zip(list.chunks(most))
}
