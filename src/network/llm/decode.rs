//! Text that a language model writes: one token after the other, until something ends it.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::Model;
use super::cache::{Cache, Row};
use super::tokens::Utf8;
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// Tokens are not drawn whose logit is so far below the best one's, after the temperature: e⁻³⁰ of its chance.
const HOPELESS: f32 = 30.0;

/// How a language model writes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GenerateOptions {
    /// How many tokens at most; 256 by default, at least 1.
    pub tokens: usize,
    /// What logits are divided by before a token is drawn: the lower, the likelier the likely ones. 0, the default, always
    /// takes the likeliest token; of equal ones, the lower.
    pub temperature: f32,
    /// Draws only among so many of the likeliest tokens.
    pub top_k: Option<usize>,
    /// Draws only among the fewest likeliest tokens whose chances add up to so much: above 0, up to 1, the default.
    pub top_p: f32,
    /// What is drawn is made from it: the same seed draws the same of the same logits.
    pub seed: u64,
    /// Texts that end what is written; they are not part of it. None by default.
    pub stop: Vec<String>,
    /// Stops the call when requested.
    pub cancel: Cancel,
    /// How long the call may take, from its start; for ever by default. If there are tokens when it strikes, they are the
    /// answer.
    pub deadline: Option<Duration>,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            tokens: 256,
            temperature: 0.0,
            top_k: None,
            top_p: 1.0,
            seed: 0,
            stop: Vec::new(),
            cancel: Cancel::new(),
            deadline: None,
        }
    }
}

/// What a language model has written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Generated {
    /// The text: all that was streamed.
    pub text: String,
    /// The tokens, without one that ended it.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub ended: Ended,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// By one of the model's stop tokens.
    Token,
    /// By one of the call's stop texts.
    Text,
    /// It has as many tokens as the call asked for.
    Count,
    /// The model's context is full.
    Context,
    /// The deadline struck.
    Deadline,
}

impl GenerateOptions {
    fn check(&self) -> Result<()> {
        let wrong = |reason: &str| Err(Error::argument("options", reason));
        if self.tokens == 0 {
            return wrong("`tokens` is 0, expected at least 1");
        }
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return wrong("`temperature` is no finite number of at least 0");
        }
        if self.top_k == Some(0) {
            return wrong("`top_k` is 0, expected at least 1");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return wrong("`top_p` is not above 0 and up to 1");
        }
        match self.stop.iter().any(String::is_empty) {
            true => wrong("`stop` has an empty text in it"),
            false => Ok(()),
        }
    }
}

impl Model {
    /// Continues a prompt, and gives the text to `on_text` as it comes, in whole characters, never a part of a stop text.
    ///
    /// `uniform`: a number from 0 to 1, both excluded, for each token that is drawn, counted from 0.
    ///
    /// # Errors
    /// [`Error::TooLong`] and [`Error::InvalidArgument`] before anything is computed; what [`read`](Self::read) gives.
    pub(crate) fn generate(
        &self,
        cache: &mut Cache,
        prompt: &[Row],
        options: &GenerateOptions,
        uniform: &dyn Fn(u32) -> f64,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generated> {
        options.check()?;
        self.check_length(prompt.len())?;
        let mut rows = prompt.to_vec();
        let (mut tokens, mut writer) = (Vec::new(), Writer::new(&options.stop));
        let mut draws = 0..;
        let ended = loop {
            let next = self
                .read(cache, &rows, cancel)
                .and_then(|()| self.logits(cache, cancel))
                .and_then(|logits| {
                    self.choose(&logits, options, || {
                        uniform(draws.next().unwrap_or_default())
                    })
                });
            let token = match next {
                Ok(token) => token,
                Err(Error::DeadlineExceeded) if !tokens.is_empty() => break Ended::Deadline,
                Err(error) => return Err(error),
            };
            if self.stop.contains(&token) {
                break Ended::Token;
            }
            tokens.push(token);
            if writer.write(self.tokenizer.bytes(token), on_text) {
                break Ended::Text;
            }
            if tokens.len() == options.tokens {
                break Ended::Count;
            }
            if rows.len() == self.context {
                break Ended::Context;
            }
            rows.push(Row::Token(token));
        };
        Ok(Generated {
            text: writer.finish(ended == Ended::Text, on_text),
            tokens,
            ended,
        })
    }

    /// The next token.
    fn choose(
        &self,
        logits: &[f32],
        options: &GenerateOptions,
        uniform: impl FnOnce() -> f64,
    ) -> Result<u32> {
        let best = likeliest(logits);
        let best = best.filter(|&token| logits[token as usize].is_finite());
        let best = best.ok_or_else(|| {
            let graph = self.decoder.graph();
            Error::graph(
                graph,
                "logits",
                "finite numbers",
                "none that is the greatest",
            )
        })?;
        Ok(match options.temperature {
            0.0 => best,
            _ => draw(logits, best, options, uniform()),
        })
    }
}

/// The token with the greatest logit, of equal ones the lowest; none if a logit is NaN.
fn likeliest(logits: &[f32]) -> Option<u32> {
    let mut best = (f32::NEG_INFINITY, None);
    for (&logit, token) in logits.iter().zip(0..) {
        if logit.is_nan() {
            return None;
        }
        if logit > best.0 {
            best = (logit, Some(token));
        }
    }
    best.1
}

/// A token by its chances. `uniform`: 0 to 1.
fn draw(logits: &[f32], best: u32, options: &GenerateOptions, uniform: f64) -> u32 {
    let greatest = logits[best as usize];
    let below = |logit: f32| (greatest - logit) / options.temperature;
    let tokens = logits.iter().zip(0_u32..);
    let mut chances: Vec<(f32, u32)> = tokens
        .map(|(&logit, token)| (below(logit), token))
        .filter(|(below, _)| *below <= HOPELESS)
        .collect();
    // The likeliest first, of equal ones the lower token.
    chances.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    chances.truncate(options.top_k.unwrap_or(usize::MAX));
    let chance = |below: f32| f64::from(-below).exp();
    let all: f64 = chances.iter().map(|(below, _)| chance(*below)).sum();
    let most = all * f64::from(options.top_p);
    let (mut sum, mut count) = (0.0, 0);
    for (below, _) in &chances {
        if sum >= most {
            break;
        }
        sum += chance(*below);
        count += 1;
    }
    let (wanted, mut so_far) = (uniform * sum, 0.0);
    for (below, token) in &chances[..count] {
        so_far += chance(*below);
        if so_far >= wanted {
            return *token;
        }
    }
    // Rounding may leave the sum short of itself.
    chances[..count].last().map_or(best, |(_, token)| *token)
}

/// Text on its way out, held back where it may be the beginning of a stop text.
struct Writer<'a> {
    stop: &'a [String],
    utf8: Utf8,
    text: String,
    /// How much of the text is out.
    out: usize,
}

impl<'a> Writer<'a> {
    fn new(stop: &'a [String]) -> Self {
        Self {
            stop,
            utf8: Utf8::default(),
            text: String::new(),
            out: 0,
        }
    }

    /// Adds bytes; whether a stop text has come.
    fn write(&mut self, bytes: &[u8], on_text: &mut dyn FnMut(&str)) -> bool {
        self.utf8.push(bytes, &mut self.text);
        self.flush(on_text)
    }

    /// Gives out what can be; whether a stop text has come, which is then cut off.
    fn flush(&mut self, on_text: &mut dyn FnMut(&str)) -> bool {
        let held = &self.text[self.out..];
        let found = self
            .stop
            .iter()
            .filter_map(|stop| held.find(stop.as_str()))
            .min();
        let end = match found {
            Some(start) => {
                self.text.truncate(self.out + start);
                self.text.len()
            }
            None => self.text.len() - self.beginning(held),
        };
        if end > self.out {
            on_text(&self.text[self.out..end]);
            self.out = end;
        }
        found.is_some()
    }

    /// How much of the end of a text is the beginning of a stop text.
    fn beginning(&self, text: &str) -> usize {
        let begins = |length: &usize| {
            text.is_char_boundary(text.len() - length)
                && self
                    .stop
                    .iter()
                    .any(|stop| stop.starts_with(&text[text.len() - length..]))
        };
        let longest = self.stop.iter().map(String::len).max().unwrap_or(0);
        (1..=longest.min(text.len()))
            .rev()
            .find(begins)
            .unwrap_or(0)
    }

    /// All of the text, the rest of which goes out too. `stopped`: by a stop text, behind which nothing comes.
    fn finish(mut self, stopped: bool, on_text: &mut dyn FnMut(&str)) -> String {
        if !stopped {
            self.utf8.finish(&mut self.text);
            // What was held back is no stop text.
            if !self.flush(on_text) && self.out < self.text.len() {
                on_text(&self.text[self.out..]);
            }
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options(temperature: f32, top_k: Option<usize>, top_p: f32) -> GenerateOptions {
        GenerateOptions {
            temperature,
            top_k,
            top_p,
            ..GenerateOptions::default()
        }
    }

    #[test]
    fn the_likeliest_of_equal_tokens_is_the_lower() {
        assert_eq!(likeliest(&[1.0, 3.0, 3.0, 2.0]), Some(1));
        assert_eq!(likeliest(&[1.0, f32::NAN, 3.0]), None);
        assert_eq!(likeliest(&[]), None);
    }

    #[test]
    fn tokens_are_drawn_by_their_chances() {
        // Chances 1/2, 1/4, 1/8, 1/8 at temperature 1.
        let logits = [2.0_f32.ln(), 4.0_f32.ln(), 1.0_f32.ln(), 1.0_f32.ln()];
        let drawn = |options: &GenerateOptions| {
            let mut counts = [0; 4];
            for step in 0..1000 {
                let uniform = (f64::from(step) + 0.5) / 1000.0;
                counts[draw(&logits, 1, options, uniform) as usize] += 1;
            }
            counts
        };
        assert_eq!(drawn(&options(1.0, None, 1.0)), [250, 500, 125, 125]);
        assert_eq!(drawn(&options(0.5, None, 1.0)), [182, 727, 46, 45]);
        assert_eq!(drawn(&options(1.0, Some(2), 1.0)), [333, 667, 0, 0]);
        assert_eq!(drawn(&options(1.0, Some(3), 1.0)), [286, 571, 143, 0]);
        assert_eq!(drawn(&options(1.0, None, 0.5)), [0, 1000, 0, 0]);
        assert_eq!(drawn(&options(1.0, None, 0.6)), [333, 667, 0, 0]);
        assert_eq!(drawn(&options(1e-6, None, 1.0)), [0, 1000, 0, 0]);
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let edits: [fn(&mut GenerateOptions); 7] = [
            |options| options.tokens = 0,
            |options| options.temperature = -1.0,
            |options| options.temperature = f32::NAN,
            |options| options.top_k = Some(0),
            |options| options.top_p = 0.0,
            |options| options.top_p = 1.5,
            |options| options.stop = vec![String::new()],
        ];
        for edit in edits {
            let mut options = GenerateOptions::default();
            options.check().unwrap();
            edit(&mut options);
            assert!(matches!(
                options.check(),
                Err(Error::InvalidArgument { .. })
            ));
        }
    }

    /// What comes out piece by piece, and what is left at the end.
    fn written(pieces: &[&[u8]], stop: &[&str]) -> (Vec<String>, String) {
        let stop: Vec<String> = stop.iter().map(|stop| (*stop).into()).collect();
        let (mut writer, mut out) = (Writer::new(&stop), Vec::new());
        let mut stopped = false;
        for piece in pieces {
            stopped = writer.write(piece, &mut |text| out.push(text.to_owned()));
            if stopped {
                break;
            }
        }
        let text = writer.finish(stopped, &mut |text| out.push(text.to_owned()));
        (out, text)
    }

    #[test]
    fn text_is_held_back_only_where_it_may_be_a_stop_text() {
        let (out, text) = written(&[b"one", b"\n", b"two", b"\n\n", b"three"], &["\n\n"]);
        assert_eq!(out, ["one", "\ntwo"]);
        assert_eq!(text, "one\ntwo");
        let (out, text) = written(&[b"a", b"\n"], &["\n\n"]);
        assert_eq!(out, ["a", "\n"]);
        assert_eq!(text, "a\n");
        // Half a character at the end.
        let (out, _) = written(&["é".as_bytes(), &"é".as_bytes()[..1]], &["x"]);
        assert_eq!(out, ["é", "\u{fffd}"]);
    }

    proptest! {
        #[test]
        fn what_is_streamed_is_the_text_before_the_first_stop_text(
            pieces in prop::collection::vec("[abé]{0,3}", 0..8),
            stop in prop::collection::vec("[abé]{1,3}", 0..3),
        ) {
            let bytes: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
            let stop: Vec<&str> = stop.iter().map(String::as_str).collect();
            let (out, text) = written(&bytes, &stop);
            prop_assert_eq!(out.concat(), text.clone());
            // The text ends where, piece after piece, the first stop text can be seen.
            let mut whole = String::new();
            for piece in &pieces {
                whole.push_str(piece);
                if let Some(end) = stop.iter().filter_map(|stop| whole.find(stop)).min() {
                    whole.truncate(end);
                    break;
                }
            }
            prop_assert_eq!(text, whole);
        }
    }
}
