//! A tokenizer: from text to tokens, and from tokens back to text as they come.
//!
//! The tokenizer is one of the Hugging Face `tokenizers` library, read strictly as a function of plain text: a piece is
//! encoded by itself, without special tokens, without a space in front, and nothing in it is looked up among the added
//! tokens. So no title can pass for an instruction, and the same piece is always the same tokens, wherever it stands.

#![forbid(unsafe_code)]

use serde_json::Value;
use tokenizers::{Model, OffsetType, Tokenizer};

use super::pieces::Pieces;
use crate::error::{Error, Result};

/// The longest `tokenizer.json`: far above any real one, small enough to parse at once.
const MAX_TOKENIZER_BYTES: usize = 64 << 20;

/// The longest text that is encoded at once.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// What stands for a space in vocabularies that come from sentencepiece.
const SPACE: char = '\u{2581}';

/// A tokenizer and the bytes of its tokens.
pub(super) struct Tokens {
    part: String,
    pieces: Pieces,
    tokenizer: Tokenizer,
    /// Where the bytes of each token end.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tokens {
    /// Reads a `tokenizer.json` whose tokens are below `rows`.
    pub(super) fn open(part: &str, json: &[u8], rows: u32) -> Result<Self> {
        if json.len() > MAX_TOKENIZER_BYTES {
            let expected = format!("a tokenizer of at most {MAX_TOKENIZER_BYTES} bytes");
            let found = format!("{} bytes", json.len());
            return Err(Error::part(part, expected, found));
        }
        let wrong = |found: String| Error::part(part, "a tokenizer.json", found);
        let mut tree: Value =
            serde_json::from_slice(json).map_err(|error| wrong(error.to_string()))?;
        let alphabet = Alphabet::of(&tree).ok_or_else(|| {
            let expected = "a tokenizer whose decoder is ByteLevel, Metaspace or ByteFallback";
            let found = tree["decoder"]["type"].as_str().unwrap_or("none");
            Error::part(part, expected, format!("`{}`", found.escape_debug()))
        })?;
        let added = added_tokens(&tree).map_err(wrong)?;
        make_plain(&mut tree);
        let pieces = Pieces::take(&mut tree).map_err(wrong)?;
        let tokenizer: Tokenizer =
            serde_json::from_value(tree).map_err(|error| wrong(error.to_string()))?;
        let mut tokens: Vec<(u32, Vec<u8>)> = tokenizer
            .get_vocab(true)
            .into_iter()
            .map(|(token, id)| (id, alphabet.bytes(&token)))
            .collect();
        tokens.extend(added);
        if let Some((id, _)) = tokens.iter().find(|(id, _)| *id >= rows) {
            let expected = format!("tokens below {rows}, as the token table has rows");
            return Err(Error::part(part, expected, format!("token {id}")));
        }
        // Stable: added tokens come after those of the vocabulary, and the last of a number counts.
        tokens.sort_by_key(|(id, _)| *id);
        let (mut ends, mut bytes) = (Vec::new(), Vec::<u8>::new());
        for (place, (id, own)) in tokens.iter().enumerate() {
            if tokens.get(place + 1).is_some_and(|(next, _)| next == id) {
                continue;
            }
            ends.resize(*id as usize, bytes.len());
            bytes.extend_from_slice(own);
            ends.push(bytes.len());
        }
        Ok(Self {
            part: part.into(),
            pieces,
            tokenizer,
            ends,
            bytes,
        })
    }

    /// The tokens of a text, by itself.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a text of more than a mebibyte; [`Error::Part`] if the tokenizer cannot read it, or not
    /// in time.
    pub(super) fn encode(&self, parameter: &'static str, text: &str) -> Result<Vec<u32>> {
        if text.len() > MAX_TEXT_BYTES {
            let reason = format!("a text of {} bytes, at most {MAX_TEXT_BYTES}", text.len());
            return Err(Error::argument(parameter, reason));
        }
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let encoding = self.pieces.of(text).and_then(|mut pieces| {
            let model = self.tokenizer.get_model();
            model.tokenize_in_pretokenized(&mut pieces, None)?;
            pieces.into_encoding(None, 0, OffsetType::None)
        });
        match encoding {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(error) => {
                let expected = "a tokenizer that reads any text in time";
                Err(Error::part(&self.part, expected, error.to_string()))
            }
        }
    }

    /// What a token adds to a text: nothing for a special one, or one that is not there.
    pub(super) fn bytes(&self, token: u32) -> &[u8] {
        let end = |place: usize| self.ends.get(place).copied();
        let place = token as usize;
        let start = place.checked_sub(1).map_or(Some(0), end);
        let range = start.zip(end(place)).map(|(start, end)| start..end);
        range
            .and_then(|range| self.bytes.get(range))
            .unwrap_or_default()
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens of `{}`", self.part)
    }
}

/// How a vocabulary writes bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Alphabet {
    /// GPT-2's: every byte is a visible character.
    Bytes,
    /// Sentencepiece's: `▁` is a space and, where there is a fallback, `<0x0A>` is a byte.
    Pieces { fallback: bool },
}

impl Alphabet {
    fn of(tokenizer: &Value) -> Option<Self> {
        let decoder = &tokenizer["decoder"];
        let several = decoder["decoders"].as_array().into_iter().flatten();
        let kinds = several
            .chain([decoder])
            .filter_map(|one| one["type"].as_str());
        let mut kinds = kinds.collect::<Vec<_>>();
        kinds.sort_unstable();
        if kinds.contains(&"ByteLevel") {
            return Some(Self::Bytes);
        }
        let fallback = tokenizer["model"]["byte_fallback"] == true;
        let pieces = kinds.contains(&"Metaspace") || kinds.contains(&"ByteFallback");
        pieces.then_some(Self::Pieces { fallback })
    }

    fn bytes(self, token: &str) -> Vec<u8> {
        match self {
            Self::Bytes => {
                let mut bytes = Vec::with_capacity(token.len());
                for character in token.chars() {
                    match byte_of(character) {
                        Some(byte) => bytes.push(byte),
                        None => bytes.extend(character.encode_utf8(&mut [0; 4]).bytes()),
                    }
                }
                bytes
            }
            Self::Pieces { fallback } => match byte_named(token).filter(|_| fallback) {
                Some(byte) => vec![byte],
                None => token.replace(SPACE, " ").into_bytes(),
            },
        }
    }
}

/// The byte that a visible character stands for: most for themselves, the 68 invisible ones for those from U+0100 on.
fn byte_of(character: char) -> Option<u8> {
    let visible = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match u8::try_from(u32::from(character)) {
        Ok(byte) => visible(byte).then_some(byte),
        Err(_) => {
            let place = u32::from(character).checked_sub(0x100)?;
            let mut invisible = (0..=u8::MAX).filter(|&byte| !visible(byte));
            invisible.nth(usize::try_from(place).ok()?)
        }
    }
}

/// The byte of a token such as `<0x0A>`.
fn byte_named(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let named = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    named.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// The tokens beside the vocabulary, with what each adds to a text.
fn added_tokens(tokenizer: &Value) -> Result<Vec<(u32, Vec<u8>)>, String> {
    let Value::Array(added) = &tokenizer["added_tokens"] else {
        return Ok(Vec::new());
    };
    let token = |token: &Value| {
        let id = token["id"].as_u64().and_then(|id| u32::try_from(id).ok());
        let id = id.ok_or_else(|| format!("an added token with the id {}", token["id"]))?;
        let text = token["content"].as_str().unwrap_or_default();
        Ok(match token["special"] == true {
            true => (id, Vec::new()),
            false => (id, text.into()),
        })
    };
    added.iter().map(token).collect()
}

/// Leaves of a tokenizer what is a function of plain text.
fn make_plain(tokenizer: &mut Value) {
    tokenizer["added_tokens"] = Value::Array(Vec::new());
    for field in ["post_processor", "truncation", "padding", "decoder"] {
        tokenizer[field] = Value::Null;
    }
    // For training: a text would have other tokens each time.
    if let Some(dropout) = tokenizer["model"].get_mut("dropout") {
        *dropout = Value::Null;
    }
    without_prepend(&mut tokenizer["normalizer"]);
    without_space_in_front(&mut tokenizer["pre_tokenizer"]);
}

/// Takes out of a normalizer what puts a space in front of each text.
fn without_prepend(normalizer: &mut Value) {
    let steps = normalizer.get_mut("normalizers");
    if let Some(steps) = steps.and_then(Value::as_array_mut) {
        steps.iter_mut().for_each(without_prepend);
        steps.retain(|step| !step.is_null());
    } else if normalizer["type"] == "Prepend" {
        *normalizer = Value::Null;
    }
}

/// Keeps a pre-tokenizer from doing that.
fn without_space_in_front(pre_tokenizer: &mut Value) {
    let steps = pre_tokenizer.get_mut("pretokenizers");
    if let Some(steps) = steps.and_then(Value::as_array_mut) {
        return steps.iter_mut().for_each(without_space_in_front);
    }
    let kind = pre_tokenizer["type"].as_str().map(str::to_owned);
    let Some(fields) = pre_tokenizer.as_object_mut() else {
        return;
    };
    match kind.as_deref() {
        Some("Metaspace") => {
            // Of older files, where they stand for `prepend_scheme`.
            fields.remove("add_prefix_space");
            fields.remove("str_rep");
            fields.insert("prepend_scheme".into(), "never".into());
        }
        Some("ByteLevel") => {
            fields.insert("add_prefix_space".into(), false.into());
        }
        _ => {}
    }
}

/// Bytes that come in pieces, as text: whole characters only. What is no UTF-8 becomes U+FFFD.
#[derive(Debug, Default)]
pub(super) struct Utf8(Vec<u8>);

impl Utf8 {
    /// Adds bytes to `text`, but for the beginning of a character whose end is yet to come.
    pub(super) fn push(&mut self, bytes: &[u8], text: &mut String) {
        self.0.extend_from_slice(bytes);
        let whole = self.whole();
        text.push_str(&String::from_utf8_lossy(&self.0[..whole]));
        self.0.drain(..whole);
    }

    /// Adds what is left: nothing, or a character that never came to its end.
    pub(super) fn finish(&mut self, text: &mut String) {
        text.push_str(&String::from_utf8_lossy(&self.0));
        self.0.clear();
    }

    /// How many bytes are before a character that may still come to its end.
    fn whole(&self) -> usize {
        let mut rest = &self.0[..];
        loop {
            match std::str::from_utf8(rest) {
                Ok(_) => return self.0.len(),
                Err(error) => {
                    rest = &rest[error.valid_up_to()..];
                    match error.error_len() {
                        None => return self.0.len() - rest.len(),
                        Some(length) => rest = &rest[length..],
                    }
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A tokenizer of single characters and bytes, as sentencepiece makes them, with whatever may go wrong.
    pub(in super::super) fn pieces() -> Value {
        let mut vocabulary = serde_json::Map::new();
        let mut add = |token: &str| {
            let id = vocabulary.len();
            vocabulary.insert(token.into(), id.into());
        };
        ["<unk>", "<s>", "</s>"].into_iter().for_each(&mut add);
        (0..=255).for_each(|byte| add(&format!("<0x{byte:02X}>")));
        ["\u{2581}", "a", "b", "<", "s", ">", "ab", "\u{2581}a"]
            .into_iter()
            .for_each(&mut add);
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [
                {"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
                {"id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
                {"id": 2, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
                {"id": 300, "content": "<item>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false},
            ],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "\u{2581}"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"},
            ]},
            "pre_tokenizer": null,
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ]},
            "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
                "vocab": vocabulary, "merges": [["a", "b"], ["\u{2581}", "a"]]},
        })
    }

    fn open(tokenizer: &Value, rows: u32) -> Result<Tokens> {
        Tokens::open("tokenizer", tokenizer.to_string().as_bytes(), rows)
    }

    fn text(tokens: &Tokens, ids: &[u32]) -> String {
        let (mut utf8, mut text) = (Utf8::default(), String::new());
        ids.iter()
            .for_each(|&id| utf8.push(tokens.bytes(id), &mut text));
        utf8.finish(&mut text);
        text
    }

    #[test]
    fn a_text_is_its_own_tokens_and_nothing_else() {
        let tokens = open(&pieces(), 301).unwrap();
        let id = |token: &str| tokens.tokenizer.token_to_id(token).unwrap();
        // No begin token, no space in front.
        assert_eq!(tokens.encode("text", "ab").unwrap(), [id("ab")]);
        assert_eq!(tokens.encode("text", " a").unwrap(), [id("\u{2581}a")]);
        // What looks like a special token is characters.
        assert_eq!(
            tokens.encode("text", "<s>").unwrap(),
            [id("<"), id("s"), id(">")]
        );
        assert!(!tokens.encode("text", "<item>").unwrap().contains(&300));
        assert_eq!(tokens.encode("text", "").unwrap(), [0; 0]);
    }

    #[test]
    fn no_space_comes_in_front_however_a_tokenizer_would_put_it_there() {
        let bare = |pre_tokenizer: Value| {
            let mut tokenizer = pieces();
            tokenizer["normalizer"] = Value::Null;
            tokenizer["pre_tokenizer"] = pre_tokenizer;
            tokenizer
        };
        let metaspace = |scheme: &str| json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": true});
        let mut nested = pieces();
        let normalizer = nested["normalizer"].take();
        nested["normalizer"] = json!({"type": "Sequence", "normalizers": [normalizer]});
        let nested_too = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Sequence", "pretokenizers": [metaspace("always")]}]});
        for tokenizer in [
            nested,
            bare(metaspace("always")),
            bare(metaspace("first")),
            bare(json!({"type": "Metaspace", "replacement": "\u{2581}", "add_prefix_space": true})),
            bare(nested_too),
        ] {
            let tokens = open(&tokenizer, 301).unwrap();
            let id = |token: &str| tokens.tokenizer.token_to_id(token).unwrap();
            assert_eq!(
                tokens.encode("text", "ab").unwrap(),
                [id("ab")],
                "{tokenizer}"
            );
            assert_eq!(
                tokens.encode("text", " a").unwrap(),
                [id("\u{2581}a")],
                "{tokenizer}"
            );
        }
    }

    #[test]
    fn tokens_become_text_again_and_special_ones_are_silent() {
        let tokens = open(&pieces(), 301).unwrap();
        for written in ["ab a", "  Ünïcödé 漢字 🎬", "<s>\n<item>"] {
            assert_eq!(
                text(&tokens, &tokens.encode("text", written).unwrap()),
                written
            );
        }
        assert_eq!(text(&tokens, &[1, 300, 2, 299, 4_000_000_000]), "<item>");
    }

    #[test]
    fn a_byte_level_vocabulary_writes_every_byte() {
        let written = |character| (byte_of(character), character);
        let known: Vec<_> = (0..400).filter_map(char::from_u32).map(written).collect();
        let mut bytes: Vec<u8> = known.iter().filter_map(|(byte, _)| *byte).collect();
        bytes.sort_unstable();
        assert!(bytes.into_iter().eq(0..=255));
        // The two that everybody knows.
        assert_eq!((byte_of('Ġ'), byte_of('Ċ')), (Some(b' '), Some(b'\n')));
        assert_eq!(Alphabet::Bytes.bytes("ĠÃ¼"), " ü".as_bytes());
    }

    #[test]
    fn what_is_no_tokenizer_is_refused_and_says_why() {
        let refused = |tokenizer: &Value, rows, words: &str| {
            let error = open(tokenizer, rows).unwrap_err().to_string();
            assert!(error.starts_with("part `tokenizer`"), "{error}");
            assert!(error.contains(words), "{error}");
        };
        refused(&pieces(), 300, "tokens below 300");
        refused(&pieces(), 10, "tokens below 10");
        refused(&json!({}), 301, "decoder");
        refused(&json!({"decoder": {"type": "WordPiece"}}), 301, "WordPiece");
        let mut wrong = pieces();
        wrong["model"]["type"] = "Nothing".into();
        refused(&wrong, 301, "tokenizer.json");
        wrong = pieces();
        wrong["added_tokens"][0]["id"] = (-1).into();
        refused(&wrong, 301, "id -1");
        let cut = Tokens::open("tokenizer", b"{\"decoder\"", 301).unwrap_err();
        assert!(cut.to_string().contains("EOF"), "{cut}");
        let tokens = open(&pieces(), 301).unwrap();
        let long = tokens.encode("text", &"a".repeat(MAX_TEXT_BYTES + 1));
        assert!(matches!(long, Err(Error::InvalidArgument { .. })));
    }

    proptest! {
        #[test]
        fn text_in_pieces_is_the_whole_text(bytes: Vec<u8>, cuts: Vec<prop::sample::Index>) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let (mut utf8, mut text) = (Utf8::default(), String::new());
            for pair in cuts.windows(2) {
                utf8.push(&bytes[pair[0]..pair[1]], &mut text);
                prop_assert!(utf8.0.len() < 4);
            }
            utf8.finish(&mut text);
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_text_comes_back(text in "\\PC{0,40}") {
            let tokens = open(&pieces(), 301).unwrap();
            // The one character that this alphabet cannot tell from a space.
            let written = text.replace(SPACE, " ");
            prop_assert_eq!(super::tests::text(&tokens, &tokens.encode("text", &text).unwrap()), written);
        }
    }
}
