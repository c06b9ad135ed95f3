//! What in a Markdown text is code.

/// A stretch of code, and the line it stands in, from 1.
pub(crate) type Code<'t> = (usize, &'t str);

/// Inline code, and the lines of fenced blocks.
pub(crate) fn code(text: &str) -> Vec<Code<'_>> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push((number, line));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(|code| (number, code)));
        }
    }
    found
}

/// The content of the first fenced block of `language` that begins with `start`.
pub(crate) fn block<'t>(text: &'t str, language: &str, start: &str) -> Option<&'t str> {
    let opening = format!("```{language}\n{start}");
    let from = text.find(&opening)? + opening.len() - start.len();
    let rest = text.get(from..)?;
    rest.get(..rest.find("\n```")? + 1)
}

/// The words of a text that are made of `characters`.
pub(crate) fn words(text: &str, characters: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |character| !characters(character)).filter(|word| !word.is_empty())
}
