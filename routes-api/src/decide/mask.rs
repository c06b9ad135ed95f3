//! Update masks: which fields of a resource an update changes.

use prost_types::FieldMask;

use crate::refusal::Refusal;

/// The fields that an update changes.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    /// `None` for all.
    paths: Option<Vec<String>>,
}

impl Mask {
    /// Reads a mask; `known` are the paths of what can be changed.
    ///
    /// # Errors
    /// A path that is not known.
    pub(super) fn new(mask: Option<FieldMask>, known: &[&str]) -> Result<Self, Refusal> {
        let paths = mask.map(|mask| mask.paths).unwrap_or_default();
        if let Some(unknown) = paths.iter().find(|path| *path != "*" && !known.contains(&&***path)) {
            let known = known.join(", ");
            let reason = format!(
                "has `{unknown}`, which is no field that can be changed as a whole; they are {known}"
            );
            return Err(Refusal::field("update_mask", reason));
        }
        let all = paths.is_empty() || paths.iter().any(|path| path == "*");
        Ok(Self { paths: (!all).then_some(paths) })
    }

    /// Takes the field over from the request, when the mask has it.
    pub(super) fn take<T>(&self, path: &str, present: &mut T, given: T) {
        if self.has(path) {
            *present = given;
        }
    }

    /// Whether the field is changed.
    pub(super) fn has(&self, path: &str) -> bool {
        self.paths.as_ref().is_none_or(|paths| paths.iter().any(|it| it == path))
    }

    /// Whether everything is changed.
    pub(super) fn is_all(&self) -> bool {
        self.paths.is_none()
    }
}
