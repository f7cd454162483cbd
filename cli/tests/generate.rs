//! `oneiro generate`: text from a language model.

mod command;

use command::{bundle, copy_of, oneiro};

const PROMPT: &str = "After Nightjar people like ";

fn generate(more: &[&str]) -> command::Answer {
    let bundle = bundle("tiny-lm");
    let arguments = ["generate", &bundle, "--prompt", PROMPT, "--tokens", "12"];
    oneiro(&[&arguments, more].concat())
}

/// What of a text is shown: no control characters, which an untrained model writes too.
fn shown(text: &str) -> String {
    let visible = |c: char| match c.is_control() && !matches!(c, '\n' | '\t') {
        true => '\u{fffd}',
        false => c,
    };
    text.trim_end_matches('\n').chars().map(visible).collect()
}

#[test]
fn a_text_goes_to_stdout_and_is_the_one_of_the_json() {
    let answer = generate(&[]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    let json = generate(&["--json"]).json();
    let text = json["text"].as_str().unwrap();
    assert_eq!(answer.stdout.trim_end_matches('\n'), shown(text));
    assert!(answer.stdout.ends_with('\n'));
    assert_eq!(json["tokens"].as_array().unwrap().len(), 12);
    assert_eq!(json["ended"], "count");
    // The other form of the same network, by more threads.
    let plain = generate(&["--json", "--model", "plain", "--threads", "2"]).json();
    assert_eq!(plain["tokens"], json["tokens"]);
}

#[test]
fn a_seed_decides_what_is_drawn() {
    let draw = |seed| generate(&["--temperature", "1", "--top-k", "50", "--seed", seed]).stdout;
    assert_eq!(draw("3"), draw("3"));
    assert_ne!(draw("3"), draw("4"));
}

#[test]
fn a_stop_text_ends_it_and_timing_says_so() {
    let whole = generate(&["--json"]).json();
    let text = whole["text"].as_str().unwrap();
    let stop = text.chars().rfind(char::is_ascii_alphanumeric).unwrap();
    let answer = generate(&["--stop", &stop.to_string(), "--timing"]);
    let expected = shown(&text[..text.find(stop).unwrap()]);
    assert_eq!(answer.stdout.trim_end_matches('\n'), expected);
    assert!(answer.stderr.contains("ended by text"), "{}", answer.stderr);
}

#[test]
fn logprobs_tell_how_likely_each_token_was() {
    let json = generate(&["--json", "--logprobs", "388"]).json();
    let (tokens, told) = (&json["tokens"], json["logprobs"].as_array().unwrap());
    assert_eq!(told.len(), 12);
    for (place, own) in told.iter().enumerate() {
        let likeliest = own["likeliest"].as_array().unwrap();
        let logprobs = likeliest.iter().map(|one| one["logprob"].as_f64().unwrap());
        let logprobs: Vec<f64> = logprobs.collect();
        assert!(logprobs.is_sorted_by(|a, b| a >= b));
        let sum: f64 = logprobs.iter().map(|logprob| logprob.exp()).sum();
        assert!(logprobs.len() == 388 && (sum - 1.0).abs() < 1e-9, "{sum}");
        // The likeliest token is the one that was written.
        assert_eq!(own["token"], tokens[place]);
        for field in ["token", "logprob"] {
            assert_eq!(own[field], likeliest[0][field]);
        }
    }
    let drawn = ["--json", "--temperature", "2", "--logprobs", "1"];
    let json = generate(&drawn).json();
    let told = json["logprobs"].as_array().unwrap();
    let unlikely = |own: &&serde_json::Value| own["token"] != own["likeliest"][0]["token"];
    assert!(told.iter().filter(unlikely).count() > 0);
    assert!(generate(&["--logprobs", "1"]).stderr.contains("--json"));
}

#[test]
fn titles_of_the_catalog_come_out_best_first() {
    let bundle = bundle("tiny-lm");
    let titles = |more: &[&str]| {
        let arguments = ["generate", &bundle, "--prompt", PROMPT, "--titles", "3"];
        oneiro(&[&arguments, more].concat())
    };
    let found = |more: &[&str]| -> Vec<(String, f64)> {
        let json = titles(&[&["--json"], more].concat()).json();
        let titles = json["titles"].as_array().unwrap().iter();
        let named = titles.map(|title| {
            let name = title["items"][0]["title"].as_str().unwrap();
            (name.to_owned(), title["score"].as_f64().unwrap())
        });
        named.collect()
    };
    let best = found(&[]);
    assert!(
        best.len() == 3 && best.is_sorted_by(|a, b| a.1 >= b.1),
        "{best:?}"
    );
    let answer = titles(&["--timing"]);
    for (line, (title, score)) in answer.stdout.lines().zip(&best) {
        assert!(line.starts_with(title.as_str()), "{line}");
        assert!(line.ends_with(&format!("  {score:.3}")), "{line}");
    }
    assert!(answer.stderr.contains("titles after"), "{}", answer.stderr);
    // Something else could not be written: what is left is more for each.
    assert!(found(&["--among-titles"])[0].1 > best[0].1);
    assert_ne!(found(&["--adapter", "taste"]), best);
    assert!(titles(&["--temperature", "1"]).stderr.contains("--titles"));
    assert!(titles(&["--adapter", "other"]).error(3).contains("other"));
}

#[test]
fn what_cannot_be_written_says_why() {
    let bundle = bundle("tiny-lm");
    let long = "x ".repeat(200);
    let error = oneiro(&["generate", &bundle, "--prompt", &long]);
    assert!(error.error(4).contains("the model holds 128"));
    let error = generate(&["--model", "other"]);
    assert!(error.error(3).contains("no language model `other`"));
    let error = generate(&["--top-p", "2"]);
    assert!(error.error(1).contains("top_p"));
    let tiny = command::bundle("tiny");
    oneiro(&["generate", &tiny, "--prompt", "x"]).error(3);
}

#[test]
fn inspect_shows_precision_and_context() {
    let text = oneiro(&["inspect", &bundle("tiny-lm")]).stdout;
    let line = |name: &str| {
        let mut lines = text.lines().skip_while(|line| *line != "Language models");
        let line = lines.find(|line| line.trim_start().starts_with(name));
        line.unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        line("lm"),
        "lm tokens -> graph lm -> head f32 context 128, 512 B a token titles in one run"
    );
    assert_eq!(
        line("plain"),
        "plain tokens -> graph plain f32 context 128, 512 B a token titles branch by branch"
    );
    let json = oneiro(&["inspect", &bundle("tiny-lm"), "--json"]).json();
    let lm = &json["language_models"]["lm"];
    assert_eq!(
        (&lm["precision"], &lm["context"]),
        (&"f32".into(), &128.into())
    );
    assert_eq!(
        (&lm["trees"], &lm["token_bytes"]),
        (&true.into(), &512.into())
    );
}

#[test]
fn inspect_works_where_a_graph_is_damaged() {
    let (_keep, folder) = copy_of("tiny-lm");
    let path = folder.join("lm.onnx");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, vec![0xff; bytes.len()]).unwrap();
    let json = oneiro(&["inspect", folder.to_str().unwrap(), "--json"]).json();
    assert_eq!(
        json["language_models"]["lm"]["precision"],
        serde_json::Value::Null
    );
    assert!(json["engine"]["error"].as_str().unwrap().contains("`lm`"));
}
