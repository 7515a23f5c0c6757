//! What the use cases need of the world, as traits. Edges fill them; `ringback-testkit` holds the contract each must keep.

mod budget;
mod environment;
mod groups;
mod plans;
mod queue;
mod sender;
mod store;

pub use budget::{BudgetStore, OldestDeadLetters};
pub use environment::{Clock, Entropy, Observer, Occurrence};
pub use groups::{GroupFilter, GroupList, GroupOrder, GroupStore, TrafficStore};
pub use plans::{Advance, AdvanceAnswer, LetterRead, PlanLease, PlanStore};
pub use queue::{
    Consumer, Depth, Lane, ParkedContent, ParkedMessage, Punctuality, Queue, QueueError, QueueName,
    Receipt, Taken, Unreadable,
};
pub use sender::{Exchange, Request, SendFailure, Sender, Tracing};
pub use store::{
    Claim, ClaimAnswer, ClaimNonce, ClaimRequest, ClaimStore, Cursor, DamagedRecord,
    DeadLetterFilter, DeadLetterMark, DeadLetterStore, DeliveryFilter, DeliveryStore,
    DisposeAnswer, EventMark, EventStore, ExpiredClaim, FencingToken, KeyStore, PaceStore, Page,
    ReservedTurn, SettleAnswer, SettledAs, Settlement, Store, StoreError, StoreHealth,
    WebhookStore, WriteAnswer,
};
