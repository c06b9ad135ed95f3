//! Checking a filter without storing it.

use twinroute_common::filter::{Diagnostic, Filter};
use twinroute_proto::routes::v1 as proto;

/// What there is to say of a filter.
pub(super) fn check(filter: &str) -> proto::CheckFilterResponse {
    match Filter::parse(filter) {
        Ok(filter) => proto::CheckFilterResponse {
            valid: true,
            diagnostics: filter.warnings().iter().cloned().map(warning).collect(),
        },
        Err(diagnostic) => proto::CheckFilterResponse { valid: false, diagnostics: vec![error(diagnostic)] },
    }
}

fn error(diagnostic: Diagnostic) -> proto::FilterDiagnostic {
    told(diagnostic, proto::DiagnosticSeverity::Error)
}

fn warning(diagnostic: Diagnostic) -> proto::FilterDiagnostic {
    told(diagnostic, proto::DiagnosticSeverity::Warning)
}

fn told(diagnostic: Diagnostic, severity: proto::DiagnosticSeverity) -> proto::FilterDiagnostic {
    proto::FilterDiagnostic {
        severity: severity.into(),
        line: diagnostic.line,
        column: diagnostic.column,
        length: diagnostic.length,
        message: diagnostic.message,
        suggestion: diagnostic.suggestion,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_can_be_used_may_have_warnings() {
        let checked = check("type = 'x' OR Subject = 'room1'");
        assert!(checked.valid);
        let warned: Vec<_> =
            checked.diagnostics.iter().map(|it| (it.severity(), it.column, it.suggestion.as_str())).collect();
        assert_eq!(warned, [(proto::DiagnosticSeverity::Warning, 15, "subject")]);
    }

    #[test]
    fn a_filter_that_cannot_be_used_has_an_error_with_its_place() {
        let checked = check("type == 'x'");
        assert!(!checked.valid);
        let told: Vec<_> =
            checked.diagnostics.iter().map(|it| (it.severity(), it.column, it.length)).collect();
        assert_eq!(told, [(proto::DiagnosticSeverity::Error, 6, 2)]);
    }
}
