//! From words to the syntax tree, by the grammar of docs/filters.md; one function per rule.

use std::ops::Range;

use super::complaint::{self, Found};
use super::diagnostic::Diagnostic;
use super::syntax::{
    Comparison, Condition, ConditionKind, Factor, Literal, Membership, Path, Scale, Search, Sign, Sum, Term,
};
use super::token::{Keyword, Token, TokenKind, tokens};

/// Longest filter, in characters: reading one takes bounded time and memory.
pub const CHARACTERS_MAX: usize = 4_096;
/// Most parentheses open at once, those of calls included: bounds the stack that work on a filter takes.
pub const PARENTHESES_MAX: usize = 64;
/// Most comparisons, calls and constants: bounds the time that one event can take.
pub const CONDITIONS_MAX: usize = 256;

type Parsed<T> = Result<T, Diagnostic>;

/// Reads a filter's text.
pub(super) fn parse(text: &str) -> Parsed<Condition> {
    let characters = text.chars().count();
    if characters > CHARACTERS_MAX {
        let message = format!("the filter has {characters} characters; at most {CHARACTERS_MAX} are allowed");
        return Err(Diagnostic::new(text, 0..text.len(), message));
    }
    let (tokens, stray) = tokens(text);
    let mut parser = Parser { text, tokens: &tokens, stray, at: 0, open: 0, conditions: 0 };
    if tokens.is_empty() && stray.is_none() {
        return Err(complaint::empty(text));
    }
    let condition = parser.or_expr()?;
    match parser.peek() {
        None if parser.stray.is_none() => Ok(condition),
        _ => Err(parser.expected("`AND`, `OR` or the end of the filter")),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: &'t [Token],
    /// Where something stands that is no word, behind all tokens.
    stray: Option<usize>,
    /// Index of the next token.
    at: usize,
    open: usize,
    conditions: usize,
}

impl<'t> Parser<'t> {
    fn or_expr(&mut self) -> Parsed<Condition> {
        self.joined(Keyword::Or, Self::and_expr, ConditionKind::Or)
    }

    fn and_expr(&mut self) -> Parsed<Condition> {
        self.joined(Keyword::And, Self::not_expr, ConditionKind::And)
    }

    /// One operand, or several with a keyword between them.
    fn joined(
        &mut self,
        keyword: Keyword,
        operand: impl Fn(&mut Self) -> Parsed<Condition>,
        join: impl Fn(Vec<Condition>) -> ConditionKind,
    ) -> Parsed<Condition> {
        let first = operand(self)?;
        if !self.is_keyword(keyword) {
            return Ok(first);
        }
        let start = first.span.start;
        let mut operands = vec![first];
        while self.take_keyword(keyword) {
            operands.push(operand(self)?);
        }
        Ok(Condition { kind: join(operands), span: start..self.end() })
    }

    fn not_expr(&mut self) -> Parsed<Condition> {
        let start = self.start();
        if !self.take_keyword(Keyword::Not) {
            return self.primary();
        }
        if self.is_keyword(Keyword::Not) {
            return Err(self
                .complain("one NOT stands before a condition; put the second in parentheses")
                .suggesting("NOT (NOT …)"));
        }
        let condition = self.primary()?;
        Ok(Condition { kind: ConditionKind::Not(Box::new(condition)), span: start..self.end() })
    }

    fn primary(&mut self) -> Parsed<Condition> {
        if self.is_symbol("(") {
            self.open()?;
            let condition = self.or_expr()?;
            self.close("`AND`, `OR` or `)`")?;
            return Ok(condition);
        }
        self.conditions += 1;
        if self.conditions > CONDITIONS_MAX {
            let message =
                format!("more than {CONDITIONS_MAX} conditions; share them out over several routes");
            return Err(self.complain(message));
        }
        let start = self.start();
        let kind = match self.function() {
            Some(name) if !name.eq_ignore_ascii_case("ABS") => self.call(name)?,
            _ => self.comparison()?,
        };
        Ok(Condition { kind, span: start..self.end() })
    }

    /// The name of the function that is called here, if one is.
    fn function(&self) -> Option<&'t str> {
        let (TokenKind::Path(path), Some(after)) = (&self.peek()?.kind, self.tokens.get(self.at + 1)) else {
            return None;
        };
        (path.steps.is_empty() && after.kind == TokenKind::Symbol("(")).then_some(path.first.as_str())
    }

    fn call(&mut self, name: &str) -> Parsed<ConditionKind> {
        let search = match name.to_ascii_uppercase().as_str() {
            "STARTS_WITH" => Some(Search::Start),
            "ENDS_WITH" => Some(Search::End),
            "CONTAINS" => Some(Search::Anywhere),
            "IS_DEFINED" | "CHANGED" => None,
            _ => return Err(complaint::unknown_function(self.text, self.here(), name)),
        };
        self.at += 1;
        self.open()?;
        let kind = match search {
            Some(search) => {
                let text = self.sum()?;
                self.symbol(",", "`,` and a second argument")?;
                ConditionKind::Search { search, text, part: self.sum()? }
            }
            None => {
                let path = self.path()?;
                let is_defined = name.eq_ignore_ascii_case("IS_DEFINED");
                if is_defined { ConditionKind::IsDefined(path) } else { ConditionKind::Changed(path) }
            }
        };
        self.close("`)`")?;
        Ok(kind)
    }

    fn comparison(&mut self) -> Parsed<ConditionKind> {
        let left = self.sum()?;
        if let Some(operator) = self.comparison_operator() {
            self.at += 1;
            return Ok(ConditionKind::Compare { left, operator, right: self.sum()? });
        }
        let not_in = self.is_keyword(Keyword::Not)
            && self.tokens.get(self.at + 1).is_some_and(|it| it.kind == TokenKind::Keyword(Keyword::In));
        if not_in {
            self.at += 2;
            return Ok(ConditionKind::In {
                operand: left,
                list: self.list()?,
                membership: Membership::NotIn,
            });
        }
        if self.take_keyword(Keyword::In) {
            return Ok(ConditionKind::In { operand: left, list: self.list()?, membership: Membership::In });
        }
        match left.single() {
            Some(Factor::Literal(Literal::Boolean(value))) => Ok(ConditionKind::Constant(*value)),
            Some(Factor::Path(path)) => Err(complaint::no_condition(self.text, path, self.found())),
            _ => Err(self.expected(complaint::OPERATOR)),
        }
    }

    fn comparison_operator(&self) -> Option<Comparison> {
        let TokenKind::Symbol(symbol) = self.peek()?.kind else { return None };
        Some(match symbol {
            "=" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        })
    }

    fn list(&mut self) -> Parsed<Vec<Literal>> {
        self.symbol("[", "`[` and a list of values")?;
        let mut list = vec![self.literal("a value")?];
        while self.take_symbol(",") {
            list.push(self.literal("a value")?);
        }
        self.symbol("]", "`,` or `]`")?;
        Ok(list)
    }

    fn sum(&mut self) -> Parsed<Sum> {
        let first = self.term()?;
        let mut rest = Vec::new();
        loop {
            let sign = if self.take_symbol("+") {
                Sign::Plus
            } else if self.take_symbol("-") {
                Sign::Minus
            } else {
                return Ok(Sum { first, rest });
            };
            rest.push((sign, self.term()?));
        }
    }

    fn term(&mut self) -> Parsed<Term> {
        let first = self.factor()?;
        let mut rest = Vec::new();
        loop {
            let scale = if self.take_symbol("*") {
                Scale::Times
            } else if self.take_symbol("/") {
                Scale::Over
            } else {
                return Ok(Term { first, rest });
            };
            rest.push((scale, self.factor()?));
        }
    }

    fn factor(&mut self) -> Parsed<Factor> {
        if let Some(name) = self.function() {
            if !name.eq_ignore_ascii_case("ABS") {
                return Err(complaint::no_value(self.text, self.here(), name));
            }
            self.at += 1;
            self.open()?;
            let sum = self.sum()?;
            self.close("`)`")?;
            return Ok(Factor::Abs(Box::new(sum)));
        }
        if let Some(TokenKind::Path(path)) = self.peek().map(|token| &token.kind) {
            self.at += 1;
            return Ok(Factor::Path(path.clone()));
        }
        self.literal("a value: a string, a number, true, false, null or a path").map(Factor::Literal)
    }

    fn literal(&mut self, expected: &str) -> Parsed<Literal> {
        let literal = match self.peek().map(|token| &token.kind) {
            Some(TokenKind::Text(text)) => Literal::Text(text.clone()),
            Some(TokenKind::Number(number)) => Literal::Number(number.clone()),
            Some(TokenKind::Keyword(Keyword::True)) => Literal::Boolean(true),
            Some(TokenKind::Keyword(Keyword::False)) => Literal::Boolean(false),
            Some(TokenKind::Keyword(Keyword::Null)) => Literal::Null,
            Some(TokenKind::Symbol("-")) => return self.negative_number(expected),
            _ => return Err(self.expected(expected)),
        };
        self.at += 1;
        Ok(literal)
    }

    /// A minus directly before the digits belongs to the number.
    fn negative_number(&mut self, expected: &str) -> Parsed<Literal> {
        match self.tokens.get(self.at..self.at + 2) {
            Some([minus, Token { kind: TokenKind::Number(digits), span }])
                if minus.span.end == span.start =>
            {
                self.at += 2;
                Ok(Literal::Number(format!("-{digits}")))
            }
            _ => Err(self.expected(expected)),
        }
    }

    fn path(&mut self) -> Parsed<Path> {
        match self.peek().map(|token| &token.kind) {
            Some(TokenKind::Path(path)) if self.function().is_none() => {
                self.at += 1;
                Ok(path.clone())
            }
            _ => Err(self.expected("a path such as `$new.Temperature`")),
        }
    }

    fn open(&mut self) -> Parsed<()> {
        self.open += 1;
        if self.open > PARENTHESES_MAX {
            return Err(self.complain(format!("more than {PARENTHESES_MAX} parentheses are open at once")));
        }
        self.symbol("(", "`(`")
    }

    fn close(&mut self, expected: &str) -> Parsed<()> {
        self.open -= 1;
        self.symbol(")", expected)
    }

    fn symbol(&mut self, symbol: &str, expected: &str) -> Parsed<()> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let takes = self.is_symbol(symbol);
        self.at += usize::from(takes);
        takes
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Token { kind: TokenKind::Symbol(found), .. }) if *found == symbol)
    }

    fn take_keyword(&mut self, keyword: Keyword) -> bool {
        let takes = self.is_keyword(keyword);
        self.at += usize::from(takes);
        takes
    }

    fn is_keyword(&self, keyword: Keyword) -> bool {
        self.peek().is_some_and(|token| token.kind == TokenKind::Keyword(keyword))
    }

    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    /// Where the next token starts.
    fn start(&self) -> usize {
        self.here().start
    }

    /// Where the token before the next one ends.
    fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|index| self.tokens.get(index)).map_or(0, |token| token.span.end)
    }

    /// The place of the next token.
    fn here(&self) -> Range<usize> {
        self.found().span
    }

    fn found(&self) -> Found<'t> {
        let previous = self.at.checked_sub(1).and_then(|index| self.tokens.get(index));
        let span = match (self.peek(), self.stray) {
            (Some(token), _) => token.span.clone(),
            (None, Some(stray)) => stray..self.text.len(),
            (None, None) => self.text.len()..self.text.len(),
        };
        Found { token: self.peek(), previous, span }
    }

    fn complain(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.text, self.here(), message)
    }

    fn expected(&self, expected: &str) -> Diagnostic {
        complaint::expected(self.text, &self.found(), expected)
    }
}

#[cfg(test)]
mod tests;
