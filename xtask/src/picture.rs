//! `cargo xtask picture`: the README's picture, drawn from what the demo really prints.

use std::fmt::Write;

use crate::demo;
use crate::error::{Error, Result, While};
use crate::process;
use crate::workspace::Workspace;

const FILE: &str = "docs/demo.svg";

const LINE: usize = 20;
const CHARACTER: f32 = 8.43;
const MARGIN: usize = 20;
const COLUMNS: usize = 84;

pub fn run(workspace: &Workspace) -> Result<()> {
    let mut recommend = demo::command(workspace)?;
    let mut lines: Vec<(&str, String)> = wrap(&demo::typed(&recommend))
        .into_iter()
        .map(|line| ("typed", line))
        .collect();
    let finished = process::capture(&mut recommend, false)?;
    if !finished.status.success() {
        return Err(Error::new(format!("the demo failed:\n{}", finished.output)));
    }
    lines.push(("said", String::new()));
    lines.extend(finished.output.lines().flat_map(wrap_said));
    let path = workspace.path(FILE);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).while_doing(|| format!("make the folder of {FILE}"))?;
    }
    std::fs::write(&path, draw(&lines)).while_doing(|| format!("write {FILE}"))?;
    eprintln!("oneiro: drew {FILE}");
    Ok(())
}

/// The typed command over several lines, as a shell takes it.
fn wrap(command: &str) -> Vec<String> {
    let mut lines = vec![String::from("$")];
    for word in command.split(" --") {
        let word = if word.starts_with("oneiro") {
            word.to_owned()
        } else {
            format!("--{word}")
        };
        let last = lines.len() - 1;
        if lines[last].len() + word.len() > COLUMNS - 4 {
            lines[last].push_str(" \\");
            lines.push(String::from("   "));
        }
        let last = lines.len() - 1;
        lines[last].push(' ');
        lines[last].push_str(&word);
    }
    lines
}

/// A line that the demo said, cut where the picture ends.
fn wrap_said(line: &str) -> Vec<(&'static str, String)> {
    let style = if line.starts_with("After:") {
        "heading"
    } else {
        "said"
    };
    let (mut lines, mut current) = (Vec::new(), String::new());
    for word in line.split_inclusive(' ') {
        if current.len() + word.trim_end().len() > COLUMNS {
            lines.push((style, std::mem::take(&mut current)));
        }
        current.push_str(word);
    }
    lines.push((style, current));
    lines
}

fn draw(lines: &[(&str, String)]) -> String {
    let width = 2 * MARGIN + (COLUMNS as f32 * CHARACTER) as usize;
    let height = 2 * MARGIN + lines.len() * LINE;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="oneiro recommending ten films">
<style>
  text {{ font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre; fill: #d5dbe3 }}
  .typed {{ fill: #8fd3a8 }}
  .heading {{ fill: #8b97a6 }}
</style>
<rect width="100%" height="100%" rx="10" fill="#171b21"/>
"##
    );
    for (index, (style, line)) in lines.iter().enumerate() {
        let y = MARGIN + (index + 1) * LINE - 6;
        let _ = writeln!(
            svg,
            r#"<text class="{style}" x="{MARGIN}" y="{y}" xml:space="preserve">{}</text>"#,
            escape(line)
        );
    }
    svg + "</svg>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_go_on_in_the_next_line() {
        let lines = wrap(&format!(
            "oneiro recommend{}",
            " --seen 'A rather long title'".repeat(5)
        ));
        assert!(lines.len() > 1 && lines[0].ends_with('\\'));
        assert!(lines.iter().all(|line| line.len() <= COLUMNS));
    }

    #[test]
    fn titles_cannot_break_the_picture() {
        assert!(draw(&[("said", "<b>&".into())]).contains("&lt;b&gt;&amp;"));
    }
}
