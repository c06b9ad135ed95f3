//! Checking a filter without storing it.

use twinroute_common::filter::{Diagnostic, Filter};
use twinroute_proto::routes::v1 as proto;

/// What there is to say of a filter.
pub(super) fn check(filter: &str) -> proto::CheckFilterResponse {
    let diagnostics = Filter::parse(filter).err().unwrap_or_default();
    proto::CheckFilterResponse {
        valid: diagnostics.is_empty(),
        diagnostics: diagnostics.into_iter().map(error).collect(),
    }
}

fn error(diagnostic: Diagnostic) -> proto::FilterDiagnostic {
    proto::FilterDiagnostic {
        severity: proto::DiagnosticSeverity::Error.into(),
        line: diagnostic.line,
        column: diagnostic.column,
        length: diagnostic.length,
        message: diagnostic.message,
        suggestion: diagnostic.suggestion,
    }
}
