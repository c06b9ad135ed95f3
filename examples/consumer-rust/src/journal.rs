//! The file: a line for each item, and by partition the position of the last one, so that a repeat is kept once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use twinroute_proto::capture::v1::{Batch, Item, item};
use twinroute_proto::event::v1::Position;

/// Items in the order in which they came, each on disk before `keep` returns.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    /// By partition. Positions grow within one, and their texts sort as they do.
    last: HashMap<u32, String>,
}

impl Journal {
    /// Opens the file, or makes it. A line that a crash has cut off is removed: it was not acknowledged.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        text.truncate(whole);
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        let mut last = HashMap::new();
        for line in String::from_utf8_lossy(&text).lines() {
            let mut words = line.split('\t');
            let partition = words.next().and_then(|word| word.parse().ok());
            if let Some((partition, position)) = partition.zip(words.next()) {
                last.insert(partition, position.to_owned());
            }
        }
        Ok(Self { file, last })
    }

    /// Keeps what is new.
    pub(crate) fn keep(&mut self, batches: &[Batch]) -> io::Result<()> {
        let mut lines = String::new();
        for batch in batches {
            for item in &batch.items {
                let (position, what) = line(item);
                if self.last.get(&batch.partition).is_none_or(|last| *last < position) {
                    lines += &format!("{}\t{position}\t{what}\n", batch.partition);
                    self.last.insert(batch.partition, position);
                }
            }
        }
        self.file.write_all(lines.as_bytes())?;
        self.file.sync_data()
    }
}

/// The position, and what is there. A document is JSON of one line already; other texts are quoted.
fn line(item: &Item) -> (String, String) {
    match &item.item {
        Some(item::Item::Event(event)) => {
            let document = String::from_utf8_lossy(event.new.as_deref().unwrap_or_default());
            (text(event.position), format!("{:?}\t{:?}\t{document}", event.operation(), event.entity_id))
        }
        Some(item::Item::Poison(poison)) => (text(poison.position), format!("Poison\t{:?}", poison.reason)),
        Some(item::Item::Discontinuity(gap)) => (text(gap.position), format!("Gap\t{:?}", gap.reason)),
        None => (String::new(), "an item of a later version".to_owned()),
    }
}

/// As the CloudEvents attribute `sequence` writes it.
fn text(position: Option<Position>) -> String {
    let Position { incarnation, commit_lsn, change_lsn, ordinal } = position.unwrap_or_default();
    format!("{incarnation:016x}{commit_lsn:016x}{change_lsn:016x}{ordinal:08x}")
}
