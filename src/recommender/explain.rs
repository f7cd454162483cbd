//! Why an item is recommended: what of the history raises its score.

#![forbid(unsafe_code)]

use std::time::Instant;

use super::{Recommender, batch};
use crate::call::CallOptions;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::network::Encoder;
use crate::network::llm::Reason;
use crate::ranking::{Origin, Ranking};
use crate::retrieve::stage;

/// The most items that a sentence names.
const NAMED: usize = 2;

/// What a fall is more than, to be named: not the rounding of states that were computed together with others.
const LEAST: f32 = 1e-4;

/// How many histories are looked at together.
const TOGETHER: usize = 64;

impl Recommender {
    /// The items of the history by how much each raises the score of an item, and a sentence that names the strongest two.
    pub(super) fn explain(
        &mut self,
        engine: &Engine,
        item: u32,
        count: usize,
        options: &CallOptions,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Ranking> {
        engine.catalog().check(item)?;
        let (name, explainer, template) = engine.explainer(options.interpreter.as_deref())?;
        let (of, encoder) = engine.encoder(Some(explainer.encoder()))?;
        let started = Instant::now();
        batch::keep_states(&mut [self], of, encoder, options)?;
        let mut drops = self.drops(of, encoder, item, options)?;
        let mut stages = vec![stage(format!("attribute {of}"), drops.len(), started)];
        let strongest = drops.iter().take(NAMED).filter(|(_, drop)| *drop > LEAST);
        let named: Vec<u32> = strongest.map(|(item, _)| *item).collect();
        drops.truncate(count);
        let started = Instant::now();
        if !named.is_empty() {
            let history: Vec<u32> = self.taste().collect();
            let reason = Reason {
                history: &history,
                item,
                named: &named,
            };
            let cache = self.reading.of(explainer.prompt(), template)?;
            let (catalog, cancel) = (engine.catalog(), &options.cancel);
            on_text(&explainer.sentence(template, catalog, cache, &reason, cancel)?);
        }
        stages.push(stage(format!("explain {name}"), drops.len(), started));
        let entries: Vec<(u32, f32, Origin)> = (drops.into_iter())
            .map(|(item, drop)| (item, drop, Origin::Attribution))
            .collect();
        Ok(Ranking::arranged(&entries, stages, true))
    }

    /// How far the score of an item falls if an item that the encoder sees was never in the history, the most first; of equal
    /// ones the lower item.
    fn drops(
        &self,
        name: &str,
        encoder: &Encoder,
        item: u32,
        options: &CallOptions,
    ) -> Result<Vec<(u32, f32)>> {
        let score = |state: &[f32]| match encoder.output().score(state, &[item])?.first() {
            Some(score) if score.is_finite() => Ok(*score),
            _ => {
                let reason = format!("{item} has no score by the encoder `{name}`");
                Err(Error::argument("item", reason))
            }
        };
        let whole = score(&self.kept_state(name)?)?;
        let mut seen = encoder.window(self.taste());
        seen.sort_unstable();
        seen.dedup();
        let without = |left_out: &u32| {
            let left_out = *left_out;
            encoder.window(self.taste().filter(move |other| *other != left_out))
        };
        let mut drops = Vec::with_capacity(seen.len());
        for seen in seen.chunks(TOGETHER) {
            let windows: Vec<Vec<u32>> = seen.iter().map(without).collect();
            let states = encoder.states(&windows, options.threads, &options.cancel)?;
            for (seen, state) in seen.iter().zip(states) {
                drops.push((*seen, whole - score(&state)?));
            }
        }
        drops.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(drops)
    }
}
