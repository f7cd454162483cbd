//! Interactions from a CSV file, sorted into users, and which of them are to be predicted.
//!
//! The rules are those of the Python package (`oneiro_models.data`), so that both evaluate the same rows.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use oneiro::{Cancel, Catalog, Error};

use crate::failure::Failure;

/// The split whose events are predicted, in a file that names splits.
const VALIDATION: &str = "val";

/// The share of events that is predicted, where neither the file nor the command line says what is.
const HELD_OUT: f64 = 0.1;

/// Lines between two looks at `cancel`.
const STRETCH: usize = 1 << 14;

/// Something a user did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// The item, or nothing if the catalog does not have it.
    pub item: Option<u32>,
    /// Whether it is to be predicted from what came before.
    pub predicted: bool,
    /// The line of the file that it begins on, from 1.
    pub line: u64,
}

/// What users did, each oldest first. Only users with something to predict are here.
#[derive(Debug, PartialEq)]
pub struct Interactions {
    pub users: Vec<Vec<Event>>,
    /// The share of events that is predicted; nothing where the file's column `split` says which are.
    pub held_out: Option<f64>,
}

impl Interactions {
    /// `held_out`: the share of the latest events to predict, whatever the column `split` says.
    pub fn open(
        path: &Path,
        catalog: &Catalog,
        held_out: Option<f64>,
        cancel: &Cancel,
    ) -> Result<Self, Failure> {
        if path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("parquet"))
        {
            return Err(Failure::Usage(
                "Parquet is read by the Python package only: `python -m oneiro_models events` makes a CSV file of it",
            ));
        }
        let file = std::fs::File::open(path).map_err(|source| Error::Io {
            path: path.into(),
            source,
        })?;
        let item = |id: &str| found(catalog.item(id));
        Self::read(file, &item, held_out, cancel).map_err(|stop| match stop {
            Stop::Library(error) => error.into(),
            Stop::Input(reason) => Failure::Input(path.into(), reason),
        })
    }

    /// How many events are to be predicted.
    pub fn rows(&self) -> u64 {
        let predicted = self.users.iter().flatten().filter(|event| event.predicted);
        predicted.count() as u64
    }

    fn read(
        file: impl Read,
        item: &dyn Fn(&str) -> oneiro::Result<Option<u32>>,
        held_out: Option<f64>,
        cancel: &Cancel,
    ) -> Result<Self, Stop> {
        let mut reader = csv::Reader::from_reader(file);
        let headers = reader.headers()?.clone();
        let column = |name: &str| headers.iter().position(|header| header == name);
        let needed = |name: &str| {
            let has: Vec<String> = headers.iter().map(|name| format!("`{name}`")).collect();
            column(name).ok_or_else(|| {
                Stop::Input(format!("no column `{name}`; it has {}", has.join(", ")))
            })
        };
        let (user, id, time) = (needed("user")?, needed("item")?, needed("time")?);
        let split = column("split").filter(|_| held_out.is_none());

        let mut users = HashMap::new();
        let mut lines = Vec::new();
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record)? {
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |column: usize| match record.get(column) {
                Some(cell) if !cell.is_empty() => Ok(cell),
                _ => Err(Stop::Input(format!(
                    "line {line}: column `{}` is empty",
                    &headers[column]
                ))),
            };
            let count = users.len();
            let user = *users.entry(cell(user)?.to_owned()).or_insert(count);
            let time = Time::parse(cell(time)?).map_err(|reason| Stop::at(line, reason))?;
            if lines
                .first()
                .is_some_and(|first: &Line| !first.time.is_like(time))
            {
                return Err(Stop::at(
                    line,
                    "a date among numbers, or a number among dates",
                ));
            }
            let item = item(cell(id)?)?;
            let predicted = split.map(|split| record.get(split) == Some(VALIDATION));
            lines.push(Line {
                user,
                item,
                time,
                predicted,
                line,
            });
            if lines.len() % STRETCH == 0 && cancel.is_requested() {
                return Err(Error::Cancelled.into());
            }
        }
        let held_out = match split {
            Some(_) => None,
            None => Some(held_out.unwrap_or(HELD_OUT)),
        };
        Self::sorted(lines, users.len(), held_out)
    }

    fn sorted(mut lines: Vec<Line>, users: usize, held_out: Option<f64>) -> Result<Self, Stop> {
        // Events of one moment stay in the order of the file.
        lines.sort_by(|a, b| a.time.seconds().total_cmp(&b.time.seconds()));
        let len = lines.len();
        if len == 0 {
            return Err(Stop::Input("no rows".into()));
        }
        let cut = held_out.map_or(0, |share| {
            (len as f64 * (1.0 - share)).round_ties_even() as usize
        });
        if let Some(share) = held_out.filter(|_| cut == 0 || cut == len) {
            let reason = format!("{len} rows are too few to hold out a share of {share}");
            return Err(Stop::Input(reason));
        }
        let mut pasts: Vec<Vec<Event>> = vec![Vec::new(); users];
        for (index, line) in lines.iter().enumerate() {
            let past = &mut pasts[line.user];
            past.push(Event {
                item: line.item,
                predicted: line.predicted.unwrap_or(index >= cut) && !past.is_empty(),
                line: line.line,
            });
        }
        pasts.retain(|events| events.iter().any(|event| event.predicted));
        if pasts.is_empty() {
            return Err(Stop::Input(
                "no event to predict has a user with a past: is there enough data?".into(),
            ));
        }
        Ok(Self {
            users: pasts,
            held_out,
        })
    }
}

struct Line {
    user: usize,
    item: Option<u32>,
    time: Time,
    /// What the column `split` says, where it is asked.
    predicted: Option<bool>,
    line: u64,
}

/// A time in seconds, as it was written.
#[derive(Clone, Copy)]
enum Time {
    Number(f64),
    Date(f64),
}

impl Time {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(number) = text.parse().ok().filter(|number: &f64| number.is_finite()) {
            return Ok(Self::Number(number));
        }
        let civil = |date: DateTime| TimeZone::UTC.to_timestamp(date);
        text.parse::<Timestamp>()
            .or_else(|_| text.parse().and_then(civil))
            .map(|time| Self::Date(time.as_microsecond() as f64 / 1e6))
            .map_err(|_| format!("the time `{text}` is neither a number (Unix seconds) nor a date"))
    }

    fn seconds(self) -> f64 {
        match self {
            Self::Number(seconds) | Self::Date(seconds) => seconds,
        }
    }

    fn is_like(self, other: Self) -> bool {
        matches!(self, Self::Number(_)) == matches!(other, Self::Number(_))
    }
}

/// Why reading stopped.
#[derive(Debug)]
enum Stop {
    Library(Error),
    Input(String),
}

impl Stop {
    fn at(line: u64, reason: impl std::fmt::Display) -> Self {
        Self::Input(format!("line {line}: {reason}"))
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<csv::Error> for Stop {
    fn from(error: csv::Error) -> Self {
        Self::Input(error.to_string())
    }
}

fn found(item: oneiro::Result<u32>) -> oneiro::Result<Option<u32>> {
    match item {
        Ok(item) => Ok(Some(item)),
        Err(Error::UnknownId { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(csv: &str) -> Result<Vec<Vec<(u32, bool)>>, String> {
        read_held_out(csv, None)
    }

    /// Items are their own numbers; those above 99 are unknown.
    fn read_held_out(csv: &str, held_out: Option<f64>) -> Result<Vec<Vec<(u32, bool)>>, String> {
        let item = |id: &str| Ok(id.parse().ok().filter(|&item: &u32| item < 100));
        match Interactions::read(csv.as_bytes(), &item, held_out, &Cancel::new()) {
            Ok(interactions) => Ok(interactions
                .users
                .iter()
                .map(|events| {
                    let pair = |event: &Event| (event.item.unwrap_or(u32::MAX), event.predicted);
                    events.iter().map(pair).collect()
                })
                .collect()),
            Err(Stop::Input(reason)) => Err(reason),
            Err(Stop::Library(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_split_names_what_is_predicted() {
        let csv = "split,time,item,user\nval,30,7,a\ntrain,10,5,a\nval,5,6,b\nval,40,1000,a\ntrain,50,8,a\n";
        let a = vec![(5, false), (7, true), (u32::MAX, true), (8, false)];
        assert_eq!(read(csv), Ok(vec![a]));
    }

    #[test]
    fn without_one_the_latest_tenth_is_predicted() {
        let line = |time: u32| format!("u,{time},{}\n", 20 - time);
        // Python's `round` takes halves to the even number: 5 rows give 4, 15 give 14.
        for (rows, predicted) in [(5, 1), (10, 1), (14, 1), (15, 1), (16, 2), (20, 2)] {
            let csv: String = (0..rows).map(line).collect();
            let users = read(&format!("user,item,time\n{csv}")).unwrap();
            let found = users[0].iter().filter(|event| event.1).count();
            assert_eq!(found, predicted, "{rows} rows");
            assert!(users[0].is_sorted_by(|a, b| a.0 > b.0));
        }
        assert!(
            read("user,item,time\nu,1,1\n")
                .unwrap_err()
                .contains("too few")
        );
    }

    #[test]
    fn a_share_that_is_asked_for_stands_above_the_split() {
        let csv = "user,item,time,split\na,1,1,val\na,2,2,val\na,3,3,train\na,4,4,train\n";
        let last = vec![(1, false), (2, false), (3, false), (4, true)];
        assert_eq!(read_held_out(csv, Some(0.25)), Ok(vec![last]));
        for share in [0.1, 0.9] {
            let reason = read_held_out(csv, Some(share)).unwrap_err();
            let expected = format!("4 rows are too few to hold out a share of {share}");
            assert_eq!(reason, expected);
        }
    }

    #[test]
    fn an_event_knows_its_line() {
        let csv = "user,item,time\na,\"1\n\",2\na,2,1\na,3,3\n";
        let item = |id: &str| Ok(id.trim().parse().ok());
        let read = Interactions::read(csv.as_bytes(), &item, Some(0.4), &Cancel::new()).unwrap();
        let lines: Vec<u64> = read.users[0].iter().map(|event| event.line).collect();
        assert_eq!((lines, read.held_out), (vec![4, 2, 5], Some(0.4)));
    }

    #[test]
    fn a_moment_keeps_the_order_of_the_file() {
        let csv = "user,item,time,split\na,9,1,train\na,3,1,train\na,5,1,val\n";
        assert_eq!(read(csv), Ok(vec![vec![(9, false), (3, false), (5, true)]]));
    }

    #[test]
    fn times_may_be_dates() {
        let dates = [
            "2024-01-02",
            "2024-01-01",
            "2024-01-03 10:00:00",
            "2024-01-03T09:00:00Z",
        ];
        let lines = (0..).zip(dates).map(|(item, date)| {
            let split = if item == 2 { "val" } else { "train" };
            format!("a,{item},{date},{split}\n")
        });
        let csv = format!("user,item,time,split\n{}", lines.collect::<String>());
        let expected = vec![(1, false), (0, false), (3, false), (2, true)];
        assert_eq!(read(&csv), Ok(vec![expected]));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (csv, said) in [
            (
                "user,film,time\n",
                "no column `item`; it has `user`, `film`, `time`",
            ),
            ("user,item,time\n", "no rows"),
            (
                "user,item,time\na,1,1\na,,2\n",
                "line 3: column `item` is empty",
            ),
            ("user,item,time\na,1,soon\n", "line 2: the time `soon`"),
            ("user,item,time\na,1,nan\n", "line 2: the time `nan`"),
            (
                "user,item,time\na,1,1\na,1,2024-01-01\n",
                "line 3: a date among numbers",
            ),
            ("user,item,time\na,1\n", "line: 2"),
            (
                "user,item,time,split\na,1,1,val\na,1,2,test\n",
                "no event to predict",
            ),
        ] {
            let reason = read(csv).unwrap_err();
            assert!(reason.contains(said), "{reason}");
        }
    }
}
