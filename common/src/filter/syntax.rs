//! The syntax tree of a filter: what its text says, before anything is made of it.

use std::ops::Range;

/// A condition and where it stands in the text, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What it asks.
    pub kind: ConditionKind,
    /// Its place, parentheses around it not counted.
    pub span: Range<usize>,
}

/// What a condition asks.
#[derive(Clone, Debug, PartialEq)]
pub enum ConditionKind {
    /// `true` or `false`.
    Constant(bool),
    /// One of at least two holds.
    Or(Vec<Condition>),
    /// All of at least two hold.
    And(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// `left operator right`.
    Compare {
        /// On the left.
        left: Sum,
        /// Between them.
        operator: Comparison,
        /// On the right.
        right: Sum,
    },
    /// `operand IN [list]` or `operand NOT IN [list]`.
    In {
        /// What is looked for.
        operand: Sum,
        /// At least one.
        list: Vec<Literal>,
        /// Which of the two.
        membership: Membership,
    },
    /// `STARTS_WITH(text, part)` and its like.
    Search {
        /// Which of them.
        search: Search,
        /// Where it is looked for.
        text: Sum,
        /// What is looked for.
        part: Sum,
    },
    /// `IS_DEFINED(path)`.
    IsDefined(Path),
    /// `CHANGED(path)`.
    Changed(Path),
}

/// Terms that are added and subtracted, from the left.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// The first term.
    pub first: Term,
    /// The others, each with its sign.
    pub rest: Vec<(Sign, Term)>,
}

/// Factors that are multiplied and divided, from the left.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The first factor.
    pub first: Factor,
    /// The others, each with its operator.
    pub rest: Vec<(Scale, Factor)>,
}

/// An operand without operators.
#[derive(Clone, Debug, PartialEq)]
pub enum Factor {
    /// A value that stands in the filter.
    Literal(Literal),
    /// A value of the event.
    Path(Path),
    /// `ABS(sum)`.
    Abs(Box<Sum>),
}

/// A value that stands in the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// A string, escapes resolved.
    Text(String),
    /// A number as it is written.
    Number(String),
    /// `true` or `false`.
    Boolean(bool),
    /// `null`
    Null,
}

/// Names a value of the event: an operand, and the members below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The operand.
    pub first: String,
    /// The members, from the outermost.
    pub steps: Vec<String>,
    /// Its place in the text, in bytes.
    pub span: Range<usize>,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// Whether a value is to be in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// `IN`
    In,
    /// `NOT IN`
    NotIn,
}

/// Where in a text another one is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// `STARTS_WITH`
    Start,
    /// `ENDS_WITH`
    End,
    /// `CONTAINS`
    Anywhere,
}

/// How a term goes into a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

/// How a factor goes into a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// `*`
    Times,
    /// `/`
    Over,
}

impl Sum {
    /// The only factor, when there are no operators.
    #[must_use]
    pub fn single(&self) -> Option<&Factor> {
        (self.rest.is_empty() && self.first.rest.is_empty()).then_some(&self.first.first)
    }

    /// The factors, from the left.
    pub fn factors(&self) -> impl Iterator<Item = &Factor> {
        let terms = std::iter::once(&self.first).chain(self.rest.iter().map(|(_, term)| term));
        terms.flat_map(|term| std::iter::once(&term.first).chain(term.rest.iter().map(|(_, factor)| factor)))
    }
}

impl Condition {
    /// Calls `visit` for every path, in the order of the text.
    pub fn each_path<'s>(&'s self, visit: &mut dyn FnMut(&'s Path)) {
        match &self.kind {
            ConditionKind::Constant(_) => {}
            ConditionKind::Or(conditions) | ConditionKind::And(conditions) => {
                conditions.iter().for_each(|condition| condition.each_path(visit));
            }
            ConditionKind::Not(condition) => condition.each_path(visit),
            ConditionKind::Compare { left, right, .. } => {
                left.each_path(visit);
                right.each_path(visit);
            }
            ConditionKind::In { operand, .. } => operand.each_path(visit),
            ConditionKind::Search { text, part, .. } => {
                text.each_path(visit);
                part.each_path(visit);
            }
            ConditionKind::IsDefined(path) | ConditionKind::Changed(path) => visit(path),
        }
    }
}

impl Sum {
    fn each_path<'s>(&'s self, visit: &mut dyn FnMut(&'s Path)) {
        for factor in self.factors() {
            match factor {
                Factor::Literal(_) => {}
                Factor::Path(path) => visit(path),
                Factor::Abs(sum) => sum.each_path(visit),
            }
        }
    }
}
