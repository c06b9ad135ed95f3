//! Dead letters: events that could not be delivered, each an object of its own in a container.

mod container;
mod head;
mod layout;
mod letter;
mod reading;
mod search;
mod selection;

pub use container::{Container, ContainerError};
pub use head::{LetterHead, UnreadableHead};
pub use layout::{LetterName, NoLetterName};
pub use letter::{Failure, Letter, UnreadableLetter};
pub use search::Search;
pub use selection::{Selection, event_id};
