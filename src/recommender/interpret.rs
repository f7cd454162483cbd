//! What a recommender knows of a user, in words.

#![forbid(unsafe_code)]

use std::iter;
use std::sync::Arc;
use std::time::Instant;

use super::{Recommender, batch};
use crate::bundle::MOST_BEAMS;
use crate::call::CallOptions;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::network::llm::Asked;
use crate::ranking::{Origin, Ranking, Stage};
use crate::retrieve::stage;

/// What a language model is asked about what a recommender knows of the user.
///
/// RecInterpreter (Yang et al., arXiv 2310.20487); what its paper leaves open is our reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Question {
    /// Which items is the history of? Asked of the encoder's state alone.
    Recover,
    /// Which item came behind the history? Asked of the states before and after this one.
    Residual(u32),
    /// What does the oracle dream of? Asked as [`Residual`](Self::Residual): of the states before and after its ideal item,
    /// which stands where the next item's row would.
    Dream,
    /// The same, asked of the ideal item alone, as of an item's row.
    DreamAsItem,
    /// Why does this item score as it does? Ours, not of the paper: a sentence that names the one or two items of the history
    /// without which its score falls the most, and nothing else.
    Explain(u32),
}

impl Recommender {
    /// Answers a question in titles of the catalog, with default options.
    ///
    /// ```
    /// # let engine = oneiro::Engine::open("models/tiny-lm")?;
    /// use oneiro::Question;
    /// let mut user = engine.recommender();
    /// user.observe_items(&[3, 7])?;
    /// let named = user.interpret(Question::Recover, 3, &mut |text| print!("{text}"))?;
    /// assert!(named.items().len() <= 3);
    /// # Ok::<(), oneiro::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`interpret_with`](Self::interpret_with).
    pub fn interpret(
        &mut self,
        question: Question,
        count: usize,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Ranking> {
        self.interpret_with(question, count, &CallOptions::default(), on_text)
    }

    /// Answers a question in titles of the catalog. The text comes piece by piece, and the ranking has the items.
    ///
    /// [`Question::Recover`]: the text is a list of at most `count` titles, the ranking is in their order, each with the
    /// log-probability of its title behind those before it: scores may rise. A full context ends the list.
    /// [`Question::Residual`], [`Question::Dream`], [`Question::DreamAsItem`]: the ranking has the `count` likeliest titles
    /// with their log-probabilities, the text is the first. Items that have the same title come together.
    /// [`Question::Explain`]: the text is a sentence; the ranking has the `count` items of the history without which the
    /// item's score falls the most, with that fall. Where nothing raises the score, there is no text.
    ///
    /// Of the options it takes `cancel`, `threads`, `deadline`, `interpreter` and, for dreams, `oracle`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the bundle has no such interpreter, no text for the question, no tree of titles, or no
    /// oracle over the interpreter's encoder; [`Error::UnknownItem`]; [`Error::InvalidArgument`] if `count` is 0 or above 256, the
    /// item is unknown to the encoder (for [`Question::Explain`]: has no score by it), or the oracle is to draw more than one; [`Error::TooLong`], [`Error::Cancelled`],
    /// [`Error::Runtime`]; [`Error::DeadlineExceeded`] if no title was found: else the ranking has those that were, and says so.
    pub fn interpret_with(
        &mut self,
        question: Question,
        count: usize,
        options: &CallOptions,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Ranking> {
        if !(1..=MOST_BEAMS as usize).contains(&count) {
            let reason = format!("is {count}, expected 1 to {MOST_BEAMS}");
            return Err(Error::argument("count", reason));
        }
        let options = options.started();
        options.cancel.check()?;
        let engine = self.engine.clone();
        let about = match question {
            Question::Explain(item) => {
                return self.explain(&engine, item, count, &options, on_text);
            }
            Question::Recover => About::History,
            Question::Residual(item) => About::Item(item),
            Question::Dream => About::Dream,
            Question::DreamAsItem => About::DreamAsItem,
        };
        let (name, interpreter) = engine.interpreter(options.interpreter.as_deref())?;
        let (of, encoder) = engine.encoder(Some(interpreter.encoder()))?;
        let started = Instant::now();
        batch::keep_states(&mut [self], of, encoder, &options)?;
        let mut stages = vec![stage(format!("encode {of}"), 0, started)];
        let before = self.kept_state(of)?;
        let asked = match about {
            About::History => Asked::Recover(before),
            About::Item(item) => {
                engine.catalog().check(item)?;
                if encoder.is_cold(item) {
                    let reason = format!("{item} is unknown to the encoder `{of}`");
                    return Err(Error::argument("item", reason));
                }
                let window = encoder.window(self.taste().chain(iter::once(item)));
                Asked::Residual(before, encoder.state(window, &options.cancel)?)
            }
            About::Dream | About::DreamAsItem => {
                let point = self.dreamt(&engine, of, &options, &mut stages)?;
                match about {
                    About::Dream => {
                        let window = encoder.window(self.taste());
                        let after = encoder.state_after(&window, &point, &options.cancel)?;
                        Asked::Residual(before, after)
                    }
                    _ => Asked::Item(point),
                }
            }
        };
        let started = Instant::now();
        let mut named = 0;
        let mut tell = |title: &str| {
            if named > 0 {
                on_text(", ");
            }
            on_text(title);
            named += 1;
        };
        let catalog = engine.catalog();
        let answer = interpreter.ask(catalog, &asked, count, &options.cancel, &mut tell)?;
        let mut named = Vec::new();
        for title in &answer.titles {
            let items = title.items.iter();
            named.extend(items.map(|&item| (item, title.score, Origin::Interpretation)));
        }
        stages.push(stage(format!("interpret {name}"), named.len(), started));
        Ok(Ranking::arranged(&named, stages, answer.whole))
    }

    /// The ideal item of an oracle, which stands among the rows that an encoder reads.
    fn dreamt(
        &mut self,
        engine: &Engine,
        encoder: &str,
        options: &CallOptions,
        stages: &mut Vec<Stage>,
    ) -> Result<Arc<[f32]>> {
        let (name, oracle) = engine.oracle(options.oracle.name.as_deref())?;
        let manifest = engine.manifest();
        let (read, dreamt) = (
            &manifest.encoders[encoder].input,
            &manifest.oracles[name].output,
        );
        if oracle.encoder() != encoder || read != dreamt {
            let guide = oracle.encoder();
            return Err(Error::Unsupported {
                what: format!(
                    "dream: the oracle `{name}` is guided by `{guide}` and dreams in the space `{dreamt}`, the interpreter reads `{encoder}`, which reads `{read}`"
                ),
            });
        }
        if options.oracle.draws != 1 {
            let reason = format!("is {}, and one dream is told", options.oracle.draws);
            return Err(Error::argument("draws", reason));
        }
        let (points, more) = engine.dream(&mut [self], options)?;
        // The state is here already.
        stages.extend(more.into_iter().skip(1));
        let point = points.into_iter().flatten().next();
        point.ok_or_else(|| Error::Internal {
            reason: "an oracle without a dream".into(),
        })
    }
}

/// What a language model is asked about.
enum About {
    History,
    Item(u32),
    Dream,
    DreamAsItem,
}
