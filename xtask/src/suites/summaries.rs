//! Reads how many tests passed from what the test programs print.

use crate::report::Tally;

/// The sum of cargo's `test result:` lines, one per test program.
pub fn cargo(output: &str) -> Tally {
    let mut sum = Tally::default();
    for line in output.lines() {
        let Some((_, counts)) = line.split_once("test result: ") else {
            continue;
        };
        let counts = counts.split_once(". ").map_or(counts, |(_, counts)| counts);
        sum += tally(counts, "; ", &["passed"], &["failed"], &["ignored"]);
    }
    sum
}

/// pytest's last summary line: `3 failed, 12 passed, 1 skipped in 0.52s`.
pub fn pytest(output: &str) -> Tally {
    let is_summary = |line: &&str| {
        line.contains(" in ") && line.trim_end_matches(['=', ' ']).ends_with(['s', ')'])
    };
    let Some(line) = output.lines().rev().filter(is_summary).find(|line| {
        line.trim_start_matches(['=', ' '])
            .starts_with(|c: char| c.is_ascii_digit())
    }) else {
        return Tally::default();
    };
    let counts = line.trim_start_matches(['=', ' ']);
    let counts = counts
        .split_once(" in ")
        .map_or(counts, |(counts, _)| counts);
    tally(
        counts,
        ", ",
        &["passed", "xfailed"],
        &["failed", "error", "errors", "xpassed"],
        &["skipped", "deselected"],
    )
}

fn tally(
    counts: &str,
    separator: &str,
    passed: &[&str],
    failed: &[&str],
    skipped: &[&str],
) -> Tally {
    let mut tally = Tally::default();
    for entry in counts.split(separator) {
        let Some((number, word)) = entry.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<usize>() else {
            continue;
        };
        if passed.contains(&word) {
            tally.passed += number;
        } else if failed.contains(&word) {
            tally.failed += number;
        } else if skipped.contains(&word) {
            tally.skipped += number;
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: usize, failed: usize, skipped: usize) -> Tally {
        Tally {
            passed,
            failed,
            skipped,
        }
    }

    #[test]
    fn cargo_programs_are_added_up() {
        let output = "\
running 3 tests
test topk::ties_go_to_the_lower_item ... ok

test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s

   Doc-tests oneiro
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.40s; merged doctests compilation took 0.30s
";
        assert_eq!(cargo(output), counts(12, 2, 1));
    }

    #[test]
    fn output_without_results_counts_nothing() {
        assert_eq!(cargo("error: could not compile `oneiro`"), counts(0, 0, 0));
        assert_eq!(
            pytest("ModuleNotFoundError: No module named 'torch'"),
            counts(0, 0, 0)
        );
        assert_eq!(pytest("no tests ran in 0.01s"), counts(0, 0, 0));
    }

    #[test]
    fn pytest_lines_are_read_with_and_without_rules() {
        assert_eq!(pytest("....\n4 passed in 0.52s\n"), counts(4, 0, 0));
        assert_eq!(
            pytest("== 3 failed, 12 passed, 1 skipped, 2 warnings in 72.10s (0:01:12) ==\n"),
            counts(12, 3, 1)
        );
        assert_eq!(pytest("1 error in 0.20s"), counts(0, 1, 0));
        assert_eq!(
            pytest("2 passed, 1 xfailed, 1 xpassed in 0.20s"),
            counts(3, 1, 0)
        );
    }
}
