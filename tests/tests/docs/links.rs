//! Links between files lead somewhere.

use anyhow::Result;
use twinroute_tests::checkout::root;

use crate::{checkout, nothing};

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading_of_it() -> Result<()> {
    let mut broken = Vec::new();
    for (file, text) in checkout::texts("md")? {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let here = file.parent().map(|folder| root().join(folder)).unwrap_or_default();
            let target = if path.is_empty() { root().join(&file) } else { here.join(path) };
            let leads = match heading {
                "" => target.exists(),
                heading => checkout::read(&target).is_ok_and(|text| anchors(&text).any(|it| it == heading)),
            };
            if !leads {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    nothing(&broken);
    Ok(())
}

/// Headings as links name them.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        title.chars().filter(|it| it.is_alphanumeric() || matches!(it, '-' | '_')).collect()
    })
}
