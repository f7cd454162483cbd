//! What a language model writes about a user, and the items that it means.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use super::{By, Recommender};
use crate::bundle::RetrieveEntry;
use crate::call::{CallOptions, OnText};
use crate::catalog::Admission;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::ranking::Stage;
use crate::retrieve::{self, Scoring, stage};

impl Engine {
    /// How near the titles of all items are to what the language model writes for each of some users, and what was done
    /// for it.
    pub(super) fn generated(
        &self,
        users: &mut [&mut Recommender],
        options: &CallOptions,
    ) -> Result<(Vec<Scoring<'_>>, Vec<Stage>)> {
        let wanted = &options.generator;
        let (name, generator, _) = self.generator(wanted.name.as_deref())?;
        let gamma = wanted.gamma.unwrap_or(generator.gamma);
        let weigh = match wanted.weigh {
            Some(judge) => Some(judge.way().ok_or_else(|| {
                let reason = "is a language model, which cannot be asked about all items";
                Error::argument("weigh", reason)
            })?),
            None => (generator.weigh).map(|weigh| By::from(RetrieveEntry::from(weigh))),
        };
        if !(0.0..f32::INFINITY).contains(&gamma) {
            let reason = format!("is {gamma}, expected 0 or more");
            return Err(Error::argument("gamma", reason));
        }
        if gamma > 0.0 && weigh.is_none() {
            let reason = format!("is {gamma}, and there is nothing to weigh by: `weigh` says what");
            return Err(Error::argument("gamma", reason));
        }
        if gamma == 0.0 && wanted.weigh.is_some() && wanted.gamma.is_none() {
            let reason = "counts for nothing: the bundle's `gamma` is 0, give another";
            return Err(Error::argument("weigh", reason));
        }
        let weigh = weigh.filter(|_| gamma > 0.0);
        let started = Instant::now();
        let is_alone = users.len() == 1;
        let mut written = Vec::with_capacity(users.len());
        for user in users.iter_mut() {
            let on_text = options.on_text.as_ref().filter(|_| is_alone);
            let points = user.write(self, options, on_text);
            // What is read for one of many would be kept for all of them.
            if !is_alone {
                user.trim();
            }
            written.push(points?);
        }
        let mut stages = vec![stage(format!("generate {name}"), 0, started)];
        let weights = match weigh {
            None => vec![None; users.len()],
            // Those whom nobody chose have a share too: the least.
            Some(By::Popularity) => {
                let counts = self.catalog().counts()?.iter();
                let counts: Vec<f32> = counts.map(|&count| count as f32).collect();
                vec![Some(counts); users.len()]
            }
            Some(by) => {
                let (scorings, more) = self.scorings(users, by, options)?;
                stages.extend(more);
                let all: Vec<u32> = (0..self.catalog().len()).collect();
                let weights = scorings.iter().map(|scoring| {
                    let weights = scoring.of(&all, &Admission::default(), &options.cancel)?;
                    Ok(Some(weights))
                });
                weights.collect::<Result<_>>()?
            }
        };
        let scorings = written.into_iter().zip(&weights).map(|(points, weights)| {
            let weights = weights.as_deref().map(|weights| (weights, gamma));
            retrieve::by_generator(generator.space(), points, weights, &options.cancel)
        });
        Ok((scorings.collect::<Result<_>>()?, stages))
    }
}

impl Recommender {
    /// Where what the language model writes about this user stands.
    fn write(
        &mut self,
        engine: &Engine,
        options: &CallOptions,
        on_text: Option<&OnText>,
    ) -> Result<Vec<Arc<[f32]>>> {
        let (_, generator, template) = engine.generator(options.generator.name.as_deref())?;
        let history: Vec<u32> = self.taste().collect();
        generator.points(
            template,
            engine.catalog(),
            self.reading.of(generator.prompt(), template)?,
            &history,
            options.generator.grounding,
            &options.cancel,
            &mut |piece| on_text.into_iter().for_each(|on_text| on_text.tell(piece)),
        )
    }
}
