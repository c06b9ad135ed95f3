//! Dead letters: events that could not be delivered, each an object of its own in a container.

mod container;
mod layout;
mod letter;
mod location;

pub use container::{Container, ContainerError};
pub use layout::object_name;
pub use letter::{Failure, Letter};
pub use location::{Location, NoLocation};
