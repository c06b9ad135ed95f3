//! A mark that what is resident may pass, and is below again only somewhat lower. Pure.

/// Whether what is resident is over a part of a limit. It is passed at one height and is below again at a lower one, so that
/// it does not alternate all the time.
#[derive(Clone, Debug)]
pub struct Mark {
    over_at: u64,
    below_at: u64,
    is_over: bool,
}

impl Mark {
    /// A mark at so many sixteenths of `bytes_max`; one sixteenth lower it is below again.
    #[must_use]
    pub fn at_sixteenths(of: u64, bytes_max: u64) -> Self {
        let sixteenth = bytes_max / 16;
        Self { over_at: sixteenth * of, below_at: sixteenth * of.saturating_sub(1), is_over: false }
    }

    /// What is resident is over the mark.
    pub fn is_over(&mut self, resident: u64) -> bool {
        self.is_over = resident >= if self.is_over { self.below_at } else { self.over_at };
        self.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_passed_at_its_height_and_below_again_somewhat_lower() {
        let mut mark = Mark::at_sixteenths(8, 16);
        let seen = [7, 8, 7, 6, 7].map(|resident| mark.is_over(resident));
        assert_eq!(seen, [false, true, true, false, false]);
    }
}
