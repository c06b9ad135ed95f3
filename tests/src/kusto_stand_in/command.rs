//! The control commands that the stand-in understands, read from their text.

use super::{
    column::{Column, Type},
    error::Refusal,
    lexer::{Token, tokens},
};

/// A control command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    IngestionResources,
    IdentityToken,
    Version,
    CreateTable { table: String, columns: Vec<Column> },
    MergeTable { table: String, columns: Vec<Column> },
    CreateMapping { table: String, mapping: String, text: String },
    SetMapping { table: String, mapping: String, text: String },
    DropTable { table: String },
    Tables,
    TableSchema { table: String },
    Mappings { table: String },
    Failures,
}

impl Command {
    /// Reads a command; keywords in any case.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let tokens = tokens(text)?;
        let mut rest = Rest { tokens: &tokens };
        let verb = rest.word()?;
        let command = match verb.as_str() {
            ".get" if rest.keywords(&["ingestion", "resources"]) => Self::IngestionResources,
            ".get" if rest.keywords(&["kusto", "identity", "token"]) => Self::IdentityToken,
            ".show" if rest.keywords(&["version"]) => Self::Version,
            ".show" if rest.keywords(&["tables"]) => Self::Tables,
            ".show" if rest.keywords(&["ingestion", "failures"]) => Self::Failures,
            ".show" if rest.keywords(&["table"]) => rest.show_table()?,
            ".drop" if rest.keywords(&["table"]) => {
                let table = rest.name()?;
                rest.keywords(&["ifexists"]);
                Self::DropTable { table }
            }
            ".create" | ".create-merge" | ".create-or-alter" | ".alter" | ".alter-merge"
                if rest.keywords(&["table"]) =>
            {
                rest.define_table(&verb)?
            }
            _ => return Err(Refusal::syntax(format!("the stand-in does not know {text}"))),
        };
        rest.end()?;
        Ok(command)
    }
}

/// What of a command has not been read yet.
struct Rest<'a> {
    tokens: &'a [Token],
}

impl Rest<'_> {
    fn next(&mut self) -> Result<&Token, Refusal> {
        let (first, after) =
            self.tokens.split_first().ok_or_else(|| Refusal::syntax("the command ends too early"))?;
        self.tokens = after;
        Ok(first)
    }

    fn word(&mut self) -> Result<String, Refusal> {
        match self.next()? {
            Token::Word(word) => Ok(word.to_lowercase()),
            other => Err(Refusal::syntax(format!("a keyword was expected, not {other:?}"))),
        }
    }

    /// Takes these keywords, all or none.
    fn keywords(&mut self, words: &[&str]) -> bool {
        let fits = words.iter().enumerate().all(
            |(i, word)| matches!(self.tokens.get(i), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word)),
        );
        if fits {
            self.tokens = self.tokens.get(words.len()..).unwrap_or_default();
        }
        fits
    }

    fn symbol(&mut self, symbol: char) -> bool {
        let fits = self.tokens.first() == Some(&Token::Symbol(symbol));
        if fits {
            self.tokens = self.tokens.get(1..).unwrap_or_default();
        }
        fits
    }

    /// A name, bare or as `['…']`, or as a literal, as mappings' names are written.
    fn name(&mut self) -> Result<String, Refusal> {
        let bracketed = self.symbol('[');
        let name = match self.next()? {
            Token::Word(name) | Token::Text(name) => name.clone(),
            Token::Symbol(symbol) => {
                return Err(Refusal::syntax(format!("a name was expected, not {symbol}")));
            }
        };
        if bracketed && !self.symbol(']') {
            return Err(Refusal::syntax(format!("['{name}' lacks its ]")));
        }
        Ok(name)
    }

    fn show_table(&mut self) -> Result<Command, Refusal> {
        let table = self.name()?;
        if self.keywords(&["cslschema"]) {
            return Ok(Command::TableSchema { table });
        }
        if self.keywords(&["ingestion", "json", "mappings"]) || self.keywords(&["ingestion", "mappings"]) {
            return Ok(Command::Mappings { table });
        }
        Err(Refusal::syntax("of a table the stand-in shows cslschema and ingestion mappings"))
    }

    fn define_table(&mut self, verb: &str) -> Result<Command, Refusal> {
        let table = self.name()?;
        if self.keywords(&["ingestion", "json", "mapping"]) {
            let mapping = self.name()?;
            let text = self.texts();
            return match verb {
                ".create" => Ok(Command::CreateMapping { table, mapping, text }),
                ".create-or-alter" => Ok(Command::SetMapping { table, mapping, text }),
                _ => Err(Refusal::syntax(format!("{verb} does not make a mapping"))),
            };
        }
        let columns = self.columns()?;
        match verb {
            ".create" => Ok(Command::CreateTable { table, columns }),
            ".create-merge" | ".alter-merge" => Ok(Command::MergeTable { table, columns }),
            _ => Err(Refusal::syntax(format!("{verb} does not make a table here"))),
        }
    }

    /// Literals that follow each other are one.
    fn texts(&mut self) -> String {
        let mut whole = String::new();
        while let Some((Token::Text(text), after)) = self.tokens.split_first() {
            whole.push_str(text);
            self.tokens = after;
        }
        whole
    }

    fn columns(&mut self) -> Result<Vec<Column>, Refusal> {
        let mut columns = Vec::new();
        if !self.symbol('(') {
            return Err(Refusal::syntax("the list of columns is missing"));
        }
        loop {
            let name = self.name()?;
            if !self.symbol(':') {
                return Err(Refusal::syntax(format!("column {name} has no type")));
            }
            let of = self.word()?;
            let of = Type::named(&of).ok_or_else(|| Refusal::syntax(format!("{of} is not a type")))?;
            columns.push(Column { name, of });
            if self.symbol(')') {
                return Ok(columns);
            }
            if !self.symbol(',') {
                return Err(Refusal::syntax("columns are separated by commas"));
            }
        }
    }

    /// Nothing may follow but `with (…)`, which says nothing that matters here.
    fn end(&mut self) -> Result<(), Refusal> {
        match self.tokens.first() {
            None => Ok(()),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("with") => Ok(()),
            Some(other) => Err(Refusal::syntax(format!("{other:?} is too much"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_with_its_columns() -> Result<(), Refusal> {
        let read = Command::parse(".create-merge table ['My Table'] (A:string, ['B']: datetime)")?;
        let column = |name: &str, of| Column { name: name.to_owned(), of };
        let expected = Command::MergeTable {
            table: "My Table".to_owned(),
            columns: vec![column("A", Type::String), column("B", Type::DateTime)],
        };
        assert_eq!(read, expected);
        Ok(())
    }

    #[test]
    fn a_mapping_is_read_from_one_or_several_literals() -> Result<(), Refusal> {
        for text in [
            r#".create-or-alter table T ingestion json mapping "M" '[{"a":1}]'"#,
            ".create-or-alter table T ingestion json mapping 'M' '[' '{\"a\":1}' ']'",
            ".create-or-alter table T ingestion json mapping \"M\"\n```\n[{\"a\":1}]```",
        ] {
            let Command::SetMapping { table, mapping, text } = Command::parse(text)? else {
                return Err(Refusal::syntax(text));
            };
            assert_eq!((table.as_str(), mapping.as_str()), ("T", "M"));
            assert_eq!(text.trim(), r#"[{"a":1}]"#);
        }
        Ok(())
    }

    #[test]
    fn what_is_not_a_command_is_refused() {
        for text in ["", "T | count", ".show", ".create table T", ".show tables now", ".drop"] {
            assert!(Command::parse(text).is_err(), "{text}");
        }
    }
}
