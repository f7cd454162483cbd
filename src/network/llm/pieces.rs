//! How a tokenizer cuts a text into the pieces that its model makes tokens of, one by one.
//!
//! The `tokenizers` library stops looking for a regular expression when that gives up, and goes on as if it were not in the
//! rest of the text: other tokens, without a word, and after as long as it takes. Here it is an error, and there is an end
//! to it.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use fancy_regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::Value;
use tokenizers::pattern::{Invert, Pattern};
use tokenizers::{
    NormalizedString, Normalizer, NormalizerWrapper, Offsets, PreTokenizedString, PreTokenizer,
    PreTokenizerWrapper, SplitDelimiterBehavior,
};

/// How often one search for a regular expression may go back and try otherwise: some milliseconds. Real ones do so a few
/// times for each character at most.
const MOST_BACKTRACKS: usize = 1_000_000;

/// How long all searches in a text may take, and so much more for each byte: a hundred times what real ones do.
const PATIENCE: Duration = Duration::from_millis(500);
const PATIENCE_PER_BYTE: Duration = Duration::from_micros(10);

/// The longest text that takes the place of what is found, and the longest that becomes of a text, in bytes.
const MOST_CONTENT_BYTES: usize = 64;
const MOST_TEXT_BYTES: usize = 8 << 20;

/// How many steps a text may go through.
const MOST_STEPS: usize = 64;

/// The kinds of steps that are known to end without a panic whatever the text. Not among them: `Precompiled`, whose table
/// the library believes, and `FixedLength`, which may be nothing.
const NORMALIZERS: [&str; 11] = [
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Lowercase",
    "Strip",
    "StripAccents",
    "Replace",
    "ByteLevel",
    "BertNormalizer",
    "Nmt",
];
const PRE_TOKENIZERS: [&str; 9] = [
    "Split",
    "ByteLevel",
    "Metaspace",
    "Digits",
    "Punctuation",
    "Whitespace",
    "WhitespaceSplit",
    "BertPreTokenizer",
    "UnicodeScripts",
];

/// The steps of a tokenizer before its model.
pub(super) struct Pieces {
    normalizer: Vec<Normal>,
    pre_tokenizer: Vec<Cut>,
}

/// A change of the text.
struct Normal {
    change: Change,
    /// What each of a text's bytes becomes at most, if the file says so: a text that is put in the place of another.
    growth: usize,
}

enum Change {
    Known(NormalizerWrapper),
    Replace(Expression, String),
}

/// Cuts each piece into smaller ones.
enum Cut {
    Known(PreTokenizerWrapper),
    Split {
        expression: Expression,
        behaviour: SplitDelimiterBehavior,
        /// Whether what is found is what lies between.
        inverted: bool,
    },
}

impl Pieces {
    /// Takes the steps out of a `tokenizer.json`.
    pub(super) fn take(tokenizer: &mut Value) -> Result<Self, String> {
        let mut steps = |field: &'static str, several: &str, known: &[&str]| {
            let mut steps = Vec::new();
            flatten(field, tokenizer[field].take(), several, known, &mut steps)?;
            Ok::<_, String>(steps.into_iter().map(move |step| (field, step)))
        };
        let normalizer = steps("normalizer", "normalizers", &NORMALIZERS)?;
        let pre_tokenizer = steps("pre_tokenizer", "pretokenizers", &PRE_TOKENIZERS)?;
        Ok(Self {
            normalizer: normalizer.map(Normal::of).collect::<Result<_, _>>()?,
            pre_tokenizer: pre_tokenizer.map(Cut::of).collect::<Result<_, _>>()?,
        })
    }

    /// The pieces of a text.
    pub(super) fn of(&self, text: &str) -> tokenizers::Result<PreTokenizedString> {
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let until = Instant::now() + PATIENCE + PATIENCE_PER_BYTE * bytes;
        let in_time = |field: &str| match Instant::now() < until {
            true => Ok(()),
            false => Err(format!("{field}: it takes too long")),
        };
        let mut text = NormalizedString::from(text);
        for step in &self.normalizer {
            in_time("normalizer")?;
            let most = text.len().saturating_mul(step.growth);
            if most > MOST_TEXT_BYTES {
                return Err(format!("normalizer: a text of up to {most} bytes").into());
            }
            match &step.change {
                Change::Known(known) => known.normalize(&mut text)?,
                Change::Replace(expression, content) => {
                    text.replace(expression.until(until), content)?;
                }
            }
            if text.len() > MOST_TEXT_BYTES {
                return Err(format!("normalizer: a text of {} bytes", text.len()).into());
            }
        }
        let mut pieces = PreTokenizedString::from(text);
        // Without empty ones.
        pieces.split(|_, piece| Ok([piece]))?;
        for step in &self.pre_tokenizer {
            in_time("pre_tokenizer")?;
            match step {
                Cut::Known(known) => known.pre_tokenize(&mut pieces)?,
                Cut::Split {
                    expression,
                    behaviour,
                    inverted,
                } => pieces.split(|_, piece| {
                    let search = expression.until(until);
                    match inverted {
                        true => piece.split(Invert(search), *behaviour),
                        false => piece.split(search, *behaviour),
                    }
                })?,
            }
        }
        Ok(pieces)
    }
}

/// The steps of a step, or nothing.
///
/// The library would also take a step that does not say what it is, by what it looks like. Here it has to.
fn flatten(
    field: &str,
    step: Value,
    several: &str,
    known: &[&str],
    found: &mut Vec<Value>,
) -> Result<(), String> {
    if step.is_null() {
        return Ok(());
    }
    match step["type"].as_str() {
        Some("Sequence") => {
            let steps = match step {
                Value::Object(mut fields) => fields.remove(several),
                _ => None,
            };
            let Some(Value::Array(steps)) = steps else {
                return Err(format!("{field}: a Sequence without `{several}`"));
            };
            for step in steps {
                flatten(field, step, several, known, found)?;
            }
        }
        Some(kind) if known.contains(&kind) => found.push(step),
        Some(kind) => return Err(format!("{field}: the type `{}` is not known", short(kind))),
        None => return Err(format!("{field}: a step without a `type`")),
    }
    match found.len() <= MOST_STEPS {
        true => Ok(()),
        false => Err(format!("{field}: more than {MOST_STEPS} steps")),
    }
}

impl Normal {
    fn of((field, step): (&'static str, Value)) -> Result<Self, String> {
        let wrong = |error: serde_json::Error| format!("{field}: {error}");
        let content = step["content"].as_str().unwrap_or_default();
        if content.len() > MOST_CONTENT_BYTES {
            let (found, most) = (content.len(), MOST_CONTENT_BYTES);
            return Err(format!(
                "{field}: a content of {found} bytes, at most {most}"
            ));
        }
        let is_replace = step["type"] == "Replace";
        // In the place of each byte, or in front of it where nothing is replaced.
        let growth = if is_replace { content.len() + 1 } else { 1 };
        let pattern = step["pattern"]["Regex"].as_str();
        let change = match pattern.filter(|_| is_replace) {
            Some(pattern) => Change::Replace(Expression::new(field, pattern)?, content.into()),
            None => Change::Known(serde_json::from_value(step).map_err(wrong)?),
        };
        Ok(Self { change, growth })
    }
}

impl Cut {
    fn of((field, step): (&'static str, Value)) -> Result<Self, String> {
        let wrong = |error: serde_json::Error| format!("{field}: {error}");
        let pattern = step["pattern"]["Regex"].as_str();
        Ok(match pattern.filter(|_| step["type"] == "Split") {
            Some(pattern) => {
                let behaviour = Deserialize::deserialize(&step["behavior"]).map_err(wrong)?;
                let inverted = bool::deserialize(&step["invert"]).map_err(wrong)?;
                Self::Split {
                    expression: Expression::new(field, pattern)?,
                    behaviour,
                    inverted,
                }
            }
            None => Self::Known(serde_json::from_value(step).map_err(wrong)?),
        })
    }
}

/// A regular expression, and where it stands.
struct Expression {
    regex: Regex,
    field: &'static str,
}

impl Expression {
    fn new(field: &'static str, pattern: &str) -> Result<Self, String> {
        let mut builder = RegexBuilder::new(pattern);
        let regex = builder.backtrack_limit(MOST_BACKTRACKS).build();
        let regex = regex.map_err(|error| format!("{field}: `{}`: {error}", short(pattern)))?;
        Ok(Self { regex, field })
    }

    fn until(&self, until: Instant) -> Search<'_> {
        Search {
            expression: self,
            until,
        }
    }
}

/// The beginning of a pattern, for a message.
fn short(pattern: &str) -> String {
    let begins: String = pattern.chars().take(60).collect();
    let begins = begins.escape_debug();
    match pattern.chars().nth(60) {
        Some(_) => format!("{begins}…"),
        None => begins.to_string(),
    }
}

/// A search that ends.
struct Search<'a> {
    expression: &'a Expression,
    until: Instant,
}

impl Pattern for Search<'_> {
    fn find_matches(&self, inside: &str) -> tokenizers::Result<Vec<(Offsets, bool)>> {
        let Expression { regex, field } = self.expression;
        let fails = |why: String| format!("{field}: `{}`: {why}", short(regex.as_str()));
        if inside.is_empty() {
            return Ok(vec![((0, 0), false)]);
        }
        let in_time = || match Instant::now() < self.until {
            true => Ok(()),
            false => Err(fails("it takes too long".into())),
        };
        in_time()?;
        let (mut found, mut end) = (Vec::new(), 0);
        for place in regex.find_iter(inside) {
            let place = place.map_err(|error| fails(error.to_string()))?;
            in_time()?;
            if end != place.start() {
                found.push(((end, place.start()), false));
            }
            found.push(((place.start(), place.end()), true));
            end = place.end();
        }
        if end != inside.len() {
            found.push(((end, inside.len()), false));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    use serde_json::json;
    use tokenizers::Tokenizer;

    use super::super::tokens::{Tokens, tests::pieces};
    use super::*;

    const GPT_2: &str =
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    const GPT_4: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    fn split(pattern: &str, behavior: &str, invert: bool) -> Value {
        let pattern = json!({ "Regex": pattern });
        json!({"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert})
    }

    /// A tokenizer with these steps before its model, and nothing that is left out of one.
    fn tokenizer(normalizer: Value, pre_tokenizer: Value) -> Value {
        let mut tokenizer = pieces();
        tokenizer["normalizer"] = normalizer;
        tokenizer["pre_tokenizer"] = pre_tokenizer;
        tokenizer["added_tokens"] = json!([]);
        tokenizer["post_processor"] = Value::Null;
        tokenizer
    }

    fn open(tokenizer: &Value) -> crate::error::Result<Tokens> {
        Tokens::open("tokenizer", tokenizer.to_string().as_bytes(), 301)
    }

    fn steps() -> Vec<Value> {
        let replace = |pattern: Value, content| json!({"type": "Replace", "pattern": pattern, "content": content});
        let spaces = replace(json!({"Regex": r"\s{2,}"}), " ");
        let bars = replace(json!({"String": " "}), "\u{2581}");
        let gone = replace(json!({"Regex": "[^a]"}), "");
        let several = json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, spaces, bars]});
        let mut found = vec![
            tokenizer(several, Value::Null),
            tokenizer(gone, Value::Null),
            tokenizer(
                json!({"type": "Sequence", "normalizers": []}),
                split(GPT_2, "Isolated", false),
            ),
            tokenizer(
                Value::Null,
                json!({"type": "Sequence", "pretokenizers": [
                split(GPT_4, "Isolated", false), {"type": "Digits", "individual_digits": true}, split("[ab]", "Removed", true)]}),
            ),
        ];
        for behavior in [
            "Removed",
            "Isolated",
            "MergedWithPrevious",
            "MergedWithNext",
            "Contiguous",
        ] {
            found.push(tokenizer(
                Value::Null,
                split(r"\s|b*(?=s)", behavior, false),
            ));
            found.push(tokenizer(Value::Null, split("a+", behavior, true)));
        }
        found
    }

    #[test]
    fn tokens_are_those_of_the_library() {
        let both = |step: &Value| -> (Tokenizer, Tokens) {
            (
                serde_json::from_value(step.clone()).unwrap(),
                open(step).unwrap(),
            )
        };
        let both: Vec<_> = steps().iter().map(both).collect();
        let texts = prop::collection::vec(r"[abs<>' \n0é🎬]{0,40}", 1..20);
        let mut runner = TestRunner::new(Config::with_cases(20));
        let outcome = runner.run(&texts, |texts| {
            for (place, (reference, tokens)) in both.iter().enumerate() {
                for text in &texts {
                    let expected = reference.encode_fast(text.as_str(), false).unwrap();
                    let found = tokens.encode("text", text).unwrap();
                    prop_assert_eq!(&found[..], expected.get_ids(), "{} of {:?}", place, text);
                }
            }
            Ok(())
        });
        outcome.unwrap();
    }

    #[test]
    fn a_search_that_does_not_end_is_an_error_that_names_it() {
        let text = format!("{}b", "a".repeat(40));
        let replace = json!({"type": "Replace", "pattern": {"Regex": r"(a+)+\1$"}, "content": ""});
        let long = format!("(?:(?=a)a+)+{}$", "c?".repeat(60));
        for (tokenizer, words) in [
            (
                tokenizer(Value::Null, split("(?:(?=a)a+)+$", "Isolated", false)),
                "pre_tokenizer: `(?:(?=a)a+)+$`: ",
            ),
            (
                tokenizer(Value::Null, split(&long, "Removed", true)),
                "c?c?…`: ",
            ),
            (
                tokenizer(replace, Value::Null),
                r"normalizer: `(a+)+\\1$`: ",
            ),
        ] {
            let tokens = open(&tokenizer).unwrap();
            let start = Instant::now();
            let error = tokens.encode("text", &text).unwrap_err().to_string();
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "{:?}",
                start.elapsed()
            );
            assert!(
                error.starts_with("part `tokenizer`: ") && error.contains(words),
                "{error}"
            );
            assert!(error.contains("backtracking"), "{error}");
            assert!(tokens.encode("text", "b").is_ok());
        }
    }

    #[test]
    fn an_expression_that_would_be_too_large_is_refused() {
        let pattern = "(((a{100}){100}){100}){100}";
        let refused = open(&tokenizer(Value::Null, split(pattern, "Isolated", false)));
        let error = refused.unwrap_err().to_string();
        let words = format!(
            "part `tokenizer`: expected a tokenizer.json, found pre_tokenizer: `{pattern}`: "
        );
        assert!(error.starts_with(&words), "{error}");
    }

    #[test]
    fn many_searches_that_take_long_together_are_an_error_too() {
        // Each looks at all that is left.
        let tokens = open(&tokenizer(
            Value::Null,
            split("a(?=.*$)", "Isolated", false),
        ))
        .unwrap();
        assert_eq!(tokens.encode("text", "aab").unwrap().len(), 3);
        let start = Instant::now();
        let error = tokens
            .encode("text", &"a".repeat(1 << 17))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("pre_tokenizer: `a(?=.*$)`: it takes too long"),
            "{error}"
        );
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn texts_do_not_grow_without_bounds() {
        let replace = |content: &str| json!({"type": "Replace", "pattern": {"String": "a"}, "content": content});
        let error = open(&tokenizer(replace(&"a".repeat(65)), Value::Null)).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("normalizer: a content of 65 bytes"),
            "{error}"
        );
        let more = vec![replace(&"a".repeat(64)); 4];
        let tokens = open(&tokenizer(
            json!({"type": "Sequence", "normalizers": more}),
            Value::Null,
        ));
        let error = tokens.unwrap().encode("text", "a").unwrap_err().to_string();
        assert!(
            error.contains("normalizer: a text of up to 17039360 bytes"),
            "{error}"
        );
    }

    #[test]
    fn steps_that_are_not_known_are_refused() {
        let refused = |normalizer: Value, pre_tokenizer: Value| {
            let error = open(&tokenizer(normalizer, pre_tokenizer)).unwrap_err();
            error.to_string()
        };
        let many = json!({"type": "Sequence", "normalizers": vec![json!({"type": "NFC"}); 65]});
        for (step, words) in [
            (
                json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="}),
                "the type `Precompiled` is not known",
            ),
            // The library would take these for what they look like.
            (
                json!({"pattern": {"Regex": "(a+)+$"}, "content": ""}),
                "a step without a `type`",
            ),
            (json!({"prepend": "a"}), "a step without a `type`"),
            (
                json!({"normalizers": [{"type": "NFC"}]}),
                "a step without a `type`",
            ),
            (json!("NFC"), "a step without a `type`"),
            (
                json!({"type": "Sequence", "normalizers": 1}),
                "a Sequence without `normalizers`",
            ),
            (many, "more than 64 steps"),
        ] {
            let error = refused(step, Value::Null);
            assert!(error.contains(&format!("normalizer: {words}")), "{error}");
        }
        let error = refused(Value::Null, json!({"type": "FixedLength", "length": 0}));
        let words = "pre_tokenizer: the type `FixedLength` is not known";
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn a_text_has_the_same_tokens_every_time() {
        let mut tokenizer = tokenizer(Value::Null, Value::Null);
        let expected = open(&tokenizer).unwrap().encode("text", "ababab").unwrap();
        tokenizer["model"]["dropout"] = json!(0.5);
        let tokens = open(&tokenizer).unwrap();
        for _ in 0..30 {
            assert_eq!(tokens.encode("text", "ababab").unwrap(), expected);
        }
    }
}
