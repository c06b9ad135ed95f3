//! An error with all its causes on one line, for logs.

use std::error::Error;
use std::fmt;

/// Shows an error and its sources, separated by colons; a source that repeats what stands before it is left out.
#[derive(Debug)]
pub struct Causes<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut source = self.0.source();
        while let Some(error) = source {
            let cause = error.to_string();
            if !text.contains(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
            source = error.source();
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot connect")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_causes_follow_the_error() {
        let error = Outer(io::Error::other("connection refused"));
        assert_eq!(Causes(&error).to_string(), "cannot connect: connection refused");
    }
}
