use std::fmt;
use std::io::{self, Write};

/// Prints and shows at once; a reader who has gone away (`| head`) stops nothing.
pub fn print(text: impl fmt::Display) {
    let mut stdout = io::stdout();
    let _ = write!(stdout, "{text}").and_then(|()| stdout.flush());
}

pub fn print_line(text: impl fmt::Display) {
    print(format_args!("{text}\n"));
}
