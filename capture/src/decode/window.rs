//! The net effect of a window of a transaction's rows: one event per entity, however often it was touched.
//!
//! Rows are followed by table and `id` first, since an edge's stub does not say yet which entity it is; what became of
//! them is then merged by entity, since a twin that is deleted and created again has a new row.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use twinroute_common::event::{EventData, Item, Operation};
use twinroute_common::position::Position;

use super::WHOLE_BYTES_MAX;
use super::document::Document;
use super::pgoutput::Begin;
use super::row::{Change, Tuple};
use super::table::{DocumentColumns, Entity, Table, is_stub};
use crate::selection::Selection;

/// A window is closed at this many row changes.
pub const WINDOW_ROWS_MAX: usize = 65_536;
/// A window is closed at this many bytes of columns, old and new.
pub const WINDOW_BYTES_MAX: usize = 16 << 20;

/// Stubs that are carried from a window into the next one at most, the latest: what fills one in follows it closely, and a
/// window of nothing else would be held twice.
const CARRIED_MAX: usize = 4_096;

/// What a row takes in a window beside its text, its item included, about, in bytes: seen with the smallest rows.
pub const ROW_BYTES: u64 = 1_280;

/// The rows of a window.
#[derive(Debug, Default)]
pub(super) struct Window {
    chains: Vec<Chain>,
    by_row: HashMap<(u32, Bytes), usize>,
    /// Items that take no part in the net effect.
    others: Vec<Item>,
    rows: usize,
    bytes: usize,
    skipped: u64,
}

/// What happened to one row.
#[derive(Debug)]
struct Chain {
    relation: u32,
    row_id: Option<Bytes>,
    table: Arc<Table>,
    before: Before,
    after: Option<Document>,
    /// The last document that was seen of a row that is gone; boxed, since few are and each chain has room for it.
    last_seen: Option<Box<Document>>,
    position: Position,
    carried: bool,
}

/// What a row held before the window.
#[derive(Debug)]
pub(super) enum Before {
    /// The window inserted it.
    Absent,
    /// This.
    Known(Document),
    /// PostgreSQL did not say.
    Unknown,
}

/// One row change.
#[derive(Debug)]
pub(super) struct RowChange {
    relation: u32,
    /// The row's `id` before the change, if it was sent, else after it.
    row_id: Option<Bytes>,
    /// The row's `id` after the change, where it is another one.
    new_row_id: Option<Bytes>,
    table: Arc<Table>,
    position: Position,
}

impl RowChange {
    pub(super) fn new(
        relation: u32,
        table: &Arc<Table>,
        columns: DocumentColumns,
        change: &Change,
        position: Position,
    ) -> Self {
        let id = |tuple: Option<&Tuple>| tuple.and_then(|tuple| columns.row_id(tuple)).cloned();
        let (old, new) = (id(change.old_tuple()), id(change.new_tuple()));
        let new_row_id = new.clone().filter(|new| old.as_ref().is_some_and(|old| old != new));
        Self { relation, row_id: old.or(new), new_row_id, table: Arc::clone(table), position }
    }
}

/// What one row contributes to one entity.
struct Contribution<'w> {
    chain: usize,
    old: Option<&'w Document>,
    existed: bool,
    new: Option<&'w Document>,
    position: Position,
}

/// What became of one entity.
struct Effect<'w> {
    entity: Entity<'w>,
    contributions: smallvec::SmallVec<[Contribution<'w>; 1]>,
}

impl Window {
    /// Counts a received row, whether it is used or not. Windows depend on the WAL alone.
    pub(super) fn count_row(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes;
    }

    pub(super) fn count_skipped(&mut self) {
        self.skipped += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= WINDOW_ROWS_MAX || self.bytes >= WINDOW_BYTES_MAX
    }

    /// What the rows take, about, in bytes.
    pub(super) fn held_bytes(&self) -> u64 {
        self.rows as u64 * ROW_BYTES + self.bytes as u64
    }

    pub(super) fn push_other(&mut self, item: Item) {
        self.others.push(item);
    }

    /// The row is already followed, so its old document need not be read.
    pub(super) fn follows(&self, row: &RowChange) -> bool {
        row.row_id.as_ref().is_some_and(|id| self.by_row.contains_key(&(row.relation, id.clone())))
    }

    /// The row holds `after` now. `before` counts only for a row that is not followed yet.
    pub(super) fn upsert(&mut self, row: RowChange, before: Before, after: Document) {
        let position = row.position;
        let chain = self.chain(row, before);
        chain.after = Some(after);
        chain.position = position;
    }

    /// The row's document did not change; PostgreSQL did not send it again.
    pub(super) fn touch(&mut self, row: RowChange) {
        if self.follows(&row) {
            let position = row.position;
            self.chain(row, Before::Unknown).position = position;
        } else {
            self.count_skipped();
        }
    }

    /// The row is gone. `old` is its last document, where PostgreSQL sent it.
    pub(super) fn delete(&mut self, row: RowChange, old: Option<Document>) {
        if !self.follows(&row) && old.is_none() {
            return self.count_skipped();
        }
        let position = row.position;
        let before = old.clone().map_or(Before::Unknown, Before::Known);
        let chain = self.chain(row, before);
        chain.last_seen = old.or_else(|| chain.after.take()).map(Box::new);
        chain.after = None;
        chain.position = position;
    }

    fn chain(&mut self, row: RowChange, before: Before) -> &mut Chain {
        let next = self.chains.len();
        let index = match (row.row_id.clone(), row.new_row_id.clone()) {
            (Some(was), Some(is)) => {
                let index = self.by_row.remove(&(row.relation, was)).unwrap_or(next);
                self.by_row.insert((row.relation, is), index);
                index
            }
            (Some(id), None) => *self.by_row.entry((row.relation, id)).or_insert(next),
            (None, _) => next,
        };
        if index == next {
            self.chains.push(Chain {
                relation: row.relation,
                row_id: row.new_row_id.or(row.row_id),
                table: row.table,
                before,
                after: None,
                last_seen: None,
                position: row.position,
                carried: false,
            });
        }
        #[expect(clippy::indexing_slicing, reason = "`by_row` holds indices of `chains` only")]
        &mut self.chains[index]
    }

    /// Ends the window: its items in order, as far as their kinds are selected. Unless the transaction is at its end, the
    /// latest stubs that this window created go into the next window, once.
    pub(super) fn close(
        &mut self,
        begin: &Begin,
        selection: &Selection,
        transaction_ended: bool,
    ) -> (Vec<Item>, u64) {
        let mut items = std::mem::take(&mut self.others);
        let chains = std::mem::take(&mut self.chains);
        let mut skipped = std::mem::take(&mut self.skipped);
        let sorted = items.is_empty();
        let effects = effects(&chains, &mut skipped);
        let stub = |effect: &Effect<'_>| effect.stub_chain(&chains).filter(|_| !transaction_ended);
        let mut carried: Vec<usize> = effects.iter().filter_map(stub).collect();
        carried.sort_unstable();
        carried.drain(..carried.len().saturating_sub(CARRIED_MAX));
        let goes_on = |effect: &&Effect<'_>| stub(effect).is_some_and(|chain| is_among(&carried, chain));
        let ended = effects.iter().filter(|effect| !goes_on(effect));
        let selected = ended.filter(|effect| selection.takes_kind(effect.entity.kind));
        items.reserve(effects.len() - carried.len());
        items.extend(selected.filter_map(|effect| effect.event(&chains, begin)).map(Item::Event));
        drop(effects);
        if !sorted || !items.is_sorted_by_key(Item::position) {
            items.sort_by_key(Item::position);
        }
        self.restart(chains, &carried);
        (items, skipped)
    }

    /// Begins the next window with the chains that are carried into it, in their order.
    fn restart(&mut self, chains: Vec<Chain>, carried: &[usize]) {
        self.by_row.clear();
        self.rows = 0;
        self.bytes = 0;
        for (_, mut chain) in chains.into_iter().enumerate().filter(|(index, _)| is_among(carried, *index)) {
            chain.carried = true;
            if let Some(id) = &chain.row_id {
                self.by_row.insert((chain.relation, id.clone()), self.chains.len());
            }
            self.chains.push(chain);
        }
    }
}

/// The chain is among these, which are in order.
fn is_among(carried: &[usize], chain: usize) -> bool {
    carried.binary_search(&chain).is_ok()
}

/// Merges what became of the rows by entity, in the order in which entities were first touched.
fn effects<'w>(chains: &'w [Chain], skipped: &mut u64) -> Vec<Effect<'w>> {
    let mut effects: Vec<Effect<'w>> = Vec::with_capacity(chains.len());
    let mut by_entity: HashMap<(&str, Entity<'w>), usize> = HashMap::with_capacity(chains.len());
    for (index, chain) in chains.iter().enumerate() {
        let contributions = chain.contributions(index);
        if contributions.is_empty() {
            *skipped += 1;
        }
        for (entity, contribution) in contributions {
            let next = effects.len();
            let at = *by_entity.entry((&chain.table.graph, entity)).or_insert(next);
            match effects.get_mut(at) {
                Some(effect) => effect.contributions.push(contribution),
                None => effects.push(Effect { entity, contributions: smallvec::smallvec![contribution] }),
            }
        }
    }
    effects
}

impl Chain {
    /// What the row does to the entity that it was, and to the one that it is.
    fn contributions(&self, chain: usize) -> smallvec::SmallVec<[(Entity<'_>, Contribution<'_>); 2]> {
        let mut contributions = smallvec::SmallVec::new();
        let entity = |document| self.table.entity(document);
        let after = self.after.as_ref().and_then(|new| Some((entity(new)?, new)));
        let gone = self.last_seen.as_deref().filter(|_| self.after.is_none());
        let seen = gone.and_then(|old| Some((entity(old)?, old)));
        let contribution =
            |old, existed, new| Contribution { chain, old, existed, new, position: self.position };
        match &self.before {
            Before::Known(document) => {
                let old = entity(document).map(|entity| (entity, document));
                match (old, after) {
                    (Some((was, old)), Some((is, new))) if was == is => {
                        contributions.push((is, contribution(Some(old), true, Some(new))));
                    }
                    (old, after) => {
                        if let Some((was, old)) = old {
                            contributions.push((was, contribution(Some(old), true, None)));
                        }
                        if let Some((is, new)) = after {
                            let mut created = contribution(None, false, Some(new));
                            created.position.ordinal += u32::from(old.is_some());
                            contributions.push((is, created));
                        }
                    }
                }
            }
            Before::Absent => match (after, seen) {
                (Some((is, new)), _) => contributions.push((is, contribution(None, false, Some(new)))),
                (None, Some((was, _))) => contributions.push((was, contribution(None, false, None))),
                (None, None) => {}
            },
            Before::Unknown => match (after, seen) {
                (Some((is, new)), _) => contributions.push((is, contribution(None, true, Some(new)))),
                (None, Some((was, old))) => contributions.push((was, contribution(Some(old), true, None))),
                (None, None) => {}
            },
        }
        contributions
    }
}

impl Effect<'_> {
    /// The chain of an entity that was created here and is still a stub that was not carried before.
    fn stub_chain(&self, chains: &[Chain]) -> Option<usize> {
        let [only] = self.contributions.as_slice() else { return None };
        let stub = !only.existed && only.new.is_some_and(|new| is_stub(self.entity.kind, new));
        let first_time = chains.get(only.chain).is_some_and(|chain| !chain.carried);
        (stub && first_time).then_some(only.chain)
    }

    /// The entity's event; `None` when it neither was nor is.
    fn event(&self, chains: &[Chain], begin: &Begin) -> Option<EventData> {
        let existed = self.contributions.iter().any(|one| one.existed);
        let old = self.contributions.iter().find_map(|one| one.old);
        let newest = self.contributions.iter().filter(|one| one.new.is_some()).max_by_key(|one| one.position);
        let new = newest.and_then(|one| one.new);
        let operation = match (existed, new.is_some()) {
            (false, true) => Operation::Create,
            (true, true) => Operation::Update,
            (true, false) => Operation::Delete,
            (false, false) => return None,
        };
        let last = self.contributions.iter().max_by_key(|one| one.position)?;
        let table = &chains.get(newest.unwrap_or(last).chain)?.table;
        let (old, new) = own(old.map(|document| &document.json), new.map(|document| &document.json));
        Some(EventData {
            position: last.position,
            operation,
            kind: self.entity.kind,
            graph: table.graph.to_string(),
            label: table.label.to_string(),
            entity_id: self.entity.id.to_owned(),
            ordering_key: self.entity.ordering_key.to_owned(),
            old,
            new,
            commit_time_us: begin.commit_time_us,
            xid: begin.xid,
            traceparent: String::new(),
        })
    }
}

/// Copies both documents into one allocation of their own: an event that waits for its acknowledgement must not hold on
/// to the whole buffer that it was received in, or memory could not be bounded by what the events cost. A document that
/// is too large for that buffer has an allocation to itself, and is not held twice.
fn own(old: Option<&Bytes>, new: Option<&Bytes>) -> (Option<Bytes>, Option<Bytes>) {
    let is_alone = |document: &&Bytes| document.len() > WHOLE_BYTES_MAX;
    if old.filter(is_alone).or(new.filter(is_alone)).is_some() {
        let owned = |document: &Bytes| match document {
            alone if is_alone(&alone) => alone.clone(),
            small => Bytes::copy_from_slice(small),
        };
        return (old.map(owned), new.map(owned));
    }
    let old_length = old.map_or(0, Bytes::len);
    let documents: Bytes =
        [old, new].into_iter().flatten().map(Bytes::as_ref).collect::<Vec<_>>().concat().into();
    (old.map(|_| documents.slice(..old_length)), new.map(|_| documents.slice(old_length..)))
}
