//! One delivery, the handlings of its messages, and everything that may happen between two of their steps.

use crate::{
    breakage::Breakage,
    claims::{Claims, End, Position, SettledAs, Told},
    ledger::Ledger,
};
use ringback_simulation::Invariant;
use stateright::{Model, Property};
use std::fmt;

/// How much may happen.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Messages handled at the same time.
    pub handlings: usize,
    /// Attempts in a generation.
    pub attempts: u8,
    /// Generations: one more than there are replays.
    pub generations: u8,
    /// Crashes, lost connections, stalls, lost answers and doubled messages, all together.
    pub faults: u8,
    /// Whether the store may lose all claims, which is a fault, too.
    pub store_forgets: bool,
}

/// The protocol, whole or broken.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// How much may happen.
    pub bounds: Bounds,
    /// What is wrong with it.
    pub breakage: Option<Breakage>,
}

/// A message in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    at: Position,
    /// Put off until nobody holds the claim.
    waits: bool,
}

/// A message being handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handling {
    at: Position,
    /// Whether its message is still this handling's to acknowledge.
    has_receipt: bool,
    /// What the store granted, 0 for nothing.
    token: u8,
    step: Step,
}

/// How far it has come: what it does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Step {
    /// Asks for the claim.
    Taken,
    /// Sends.
    Claimed,
    /// Waits for the answer.
    Sending,
    /// Settles as delivered.
    Accepted,
    /// Publishes the next attempt.
    Refused,
    /// Settles as retrying.
    RetryPublished,
    /// Settles as a dead letter.
    GivingUp,
    /// Settles as released.
    Releasing,
    /// Publishes the same attempt again.
    PuttingOff,
    /// Acknowledges.
    Done,
    /// [`Breakage::BuriesAfterAcknowledging`]: stores the dead letter.
    Burying,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// In no order: any of them may come next. Sorted, so that equal states are equal.
    queue: Vec<Message>,
    handlings: Vec<Handling>,
    claims: Claims,
    ledger: Ledger,
    /// The profile would rather ask a person than send twice.
    is_careful: bool,
    faults_left: u8,
}

/// What happens next. Handlings are named by their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A message is handed out.
    Take(Message),
    /// A handling does its next step.
    Go(Handling),
    /// The same, and nobody tells it: an answer or a confirm got lost, and it does the step once more.
    GoUnheard(Handling),
    /// It took too long to begin its request.
    FindTooLate(Handling),
    /// The destination accepts the request.
    Accept(Handling),
    /// The destination refuses, or does not answer.
    Refuse(Handling),
    /// The worker vanishes.
    Crash(Handling),
    /// The connection is lost: the message comes again, the handling goes on.
    Cut(Handling),
    /// A lease is over.
    RunOut,
    /// Somebody replays the dead letter.
    Replay,
    /// The store starts again, empty.
    Forget,
}

impl Action {
    fn is_fault(self) -> bool {
        matches!(
            self,
            Self::GoUnheard(_) | Self::Crash(_) | Self::Cut(_) | Self::Forget
        )
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempt {} of {}", self.attempt, self.generation)
    }
}

impl fmt::Display for Handling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at, token, step, ..
        } = self;
        write!(f, "{at} ({step:?}, token {token})")
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Take(message) => write!(f, "{} is taken", message.at),
            Self::Go(handling) => write!(f, "{handling} goes on"),
            Self::GoUnheard(handling) => write!(f, "{handling} goes on and does not hear of it"),
            Self::FindTooLate(handling) => write!(f, "{handling} finds itself too late to send"),
            Self::Accept(handling) => write!(f, "{handling} is accepted"),
            Self::Refuse(handling) => write!(f, "{handling} is refused"),
            Self::Crash(handling) => write!(f, "{handling} CRASHES"),
            Self::Cut(handling) => write!(f, "{handling} loses its connection, and goes on"),
            Self::RunOut => write!(f, "the lease is over"),
            Self::Replay => write!(f, "the dead letter is replayed"),
            Self::Forget => write!(f, "the store starts again, empty"),
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let first = Position {
            generation: 0,
            attempt: 1,
        };
        let with = |is_careful| State {
            queue: vec![Message {
                at: first,
                waits: false,
            }],
            handlings: Vec::new(),
            claims: Claims::default(),
            ledger: Ledger::default(),
            is_careful,
            faults_left: self.bounds.faults,
        };
        vec![with(false), with(true)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !self.is_intact(state) {
            return;
        }
        if state.handlings.len() < self.bounds.handlings {
            let is_held = state.claims.is_alive();
            let ready = state.queue.iter().filter(|it| !(it.waits && is_held));
            actions.extend(ready.copied().map(Action::Take));
        }
        for handling in &state.handlings {
            self.actions_of(state, *handling, actions);
        }
        if state.claims.is_alive() && self.may_run_out(state) {
            actions.push(Action::RunOut);
        }
        if let Some(generation) = state.ledger.next_generation()
            && generation < self.bounds.generations
        {
            actions.push(Action::Replay);
        }
        if self.bounds.store_forgets {
            actions.push(Action::Forget);
        }
        if state.faults_left == 0 {
            actions.retain(|action| !action.is_fault());
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        state.faults_left -= u8::from(action.is_fault());
        match action {
            Action::Take(message) => state.take(message, self.breakage),
            Action::Go(handling) => {
                let place = state.place_of(handling);
                self.go(&mut state, place, true);
            }
            Action::GoUnheard(handling) => {
                let place = state.place_of(handling);
                self.go(&mut state, place, false);
            }
            Action::FindTooLate(handling) => {
                // Slow while the lease is alive: nothing but a fault makes it so.
                state.faults_left -= u8::from(state.may_send(handling));
                let place = state.place_of(handling);
                state.handlings[place].step = Step::Releasing;
            }
            Action::Accept(handling) => {
                let place = state.place_of(handling);
                state.handlings[place].step = Step::Accepted;
                state.ledger.request_accepted(handling.at);
            }
            Action::Refuse(handling) => {
                let place = state.place_of(handling);
                let is_last = handling.at.attempt == self.bounds.attempts;
                let next = if is_last {
                    Step::GivingUp
                } else {
                    Step::Refused
                };
                state.handlings[place].step = next;
            }
            Action::Crash(handling) => {
                let place = state.place_of(handling);
                state.explain_if_unsettled(handling);
                state.handlings.remove(place);
                if handling.has_receipt {
                    state.publish(handling.at, false);
                }
            }
            Action::Cut(handling) => {
                let place = state.place_of(handling);
                state.handlings[place].has_receipt = false;
                state.publish(handling.at, false);
            }
            Action::RunOut => {
                if let Some(holder) = state.holder() {
                    state.faults_left -= 1;
                    state.explain_if_unsettled(holder);
                }
                state.claims.run_out();
            }
            Action::Replay => {
                let generation = state.ledger.next_generation()?;
                state.ledger.replayed_as(generation);
                let at = Position {
                    generation,
                    attempt: 1,
                };
                state.publish(at, false);
            }
            Action::Forget => state.claims = Claims::default(),
        }
        state.look_for_losses();
        state.bring_to_form();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        type Holds = fn(&Protocol, &State) -> bool;
        let holds = |invariant| -> Holds {
            match invariant {
                Invariant::NothingLost => |_, state| state.ledger.holds(Invariant::NothingLost),
                Invariant::OneHolder => |_, state| state.ledger.holds(Invariant::OneHolder),
                Invariant::InOrder => |_, state| state.ledger.holds(Invariant::InOrder),
                Invariant::NoNeedlessDuplicate => {
                    |_, state| state.ledger.holds(Invariant::NoNeedlessDuplicate)
                }
                Invariant::ComesToRest => Self::is_at_rest_at_the_end,
                Invariant::SameBytes | Invariant::NeverEarly | Invariant::ChangesApply => {
                    unreachable!("there are no bytes and no clock")
                }
            }
        };
        let invariants = self.invariants().iter();
        invariants
            .map(|invariant| Property::always(invariant.name(), holds(*invariant)))
            .collect()
    }
}

impl Protocol {
    /// What has to hold. A store that forgets its claims costs duplicates, and docs/store.md says so; it costs no event.
    fn invariants(&self) -> &'static [Invariant] {
        if self.bounds.store_forgets {
            &[Invariant::NothingLost, Invariant::ComesToRest]
        } else {
            &[
                Invariant::NothingLost,
                Invariant::OneHolder,
                Invariant::InOrder,
                Invariant::NoNeedlessDuplicate,
                Invariant::ComesToRest,
            ]
        }
    }

    fn is_intact(&self, state: &State) -> bool {
        let mut invariants = self.invariants().iter();
        invariants.all(|invariant| state.ledger.holds(*invariant))
    }

    fn actions_of(&self, state: &State, handling: Handling, actions: &mut Vec<Action>) {
        match handling.step {
            Step::Sending => actions.extend([Action::Accept(handling), Action::Refuse(handling)]),
            Step::Claimed => {
                let may_send = state.may_send(handling);
                if may_send || self.is(Breakage::SendsAfterLease) {
                    actions.push(Action::Go(handling));
                }
                if !may_send || state.faults_left > 0 {
                    actions.push(Action::FindTooLate(handling));
                }
            }
            Step::Done | Step::Burying => actions.push(Action::Go(handling)),
            _ => actions.extend([Action::Go(handling), Action::GoUnheard(handling)]),
        }
        actions.push(Action::Crash(handling));
        if handling.has_receipt {
            actions.push(Action::Cut(handling));
        }
    }

    /// A lease covers a request that began in time; what else a living holder does may take too long, which is a fault.
    fn may_run_out(&self, state: &State) -> bool {
        if self.is(Breakage::LeasesForEver) {
            return false;
        }
        match state.holder() {
            None => true,
            Some(holder) => holder.step != Step::Sending && state.faults_left > 0,
        }
    }

    fn is(&self, breakage: Breakage) -> bool {
        self.breakage == Some(breakage)
    }

    /// The next step of a handling. Not `heard`, it does not know that it made it.
    fn go(&self, state: &mut State, place: usize, heard: bool) {
        let handling = state.handlings[place];
        let next = match handling.step {
            Step::Taken => self.claim(state, place),
            Step::Claimed => {
                state.send(handling);
                Step::Sending
            }
            Step::Accepted => state.settle(handling, End::Delivered, self.breakage),
            Step::Refused => {
                let next = Position {
                    attempt: handling.at.attempt + 1,
                    ..handling.at
                };
                if self.is(Breakage::SettlesBeforePublishing) {
                    state.settle(handling, End::Retrying, self.breakage);
                } else {
                    state.publish(next, false);
                }
                Step::RetryPublished
            }
            Step::RetryPublished => {
                if self.is(Breakage::SettlesBeforePublishing) {
                    let next = Position {
                        attempt: handling.at.attempt + 1,
                        ..handling.at
                    };
                    state.publish(next, false);
                } else {
                    state.settle(handling, End::Retrying, self.breakage);
                }
                Step::Done
            }
            Step::GivingUp => state.settle(handling, End::DeadLettered, self.breakage),
            Step::Releasing => {
                let Handling { token, at, .. } = handling;
                state.claims.settle(token, at, SettledAs::Released);
                Step::PuttingOff
            }
            Step::PuttingOff => {
                state.publish(handling.at, true);
                Step::Done
            }
            Step::Done => {
                let buries = self.is(Breakage::BuriesAfterAcknowledging) && handling.has_receipt;
                if buries && handling.at.attempt == self.bounds.attempts {
                    state.handlings[place].has_receipt = false;
                    Step::Burying
                } else {
                    state.handlings.remove(place);
                    return;
                }
            }
            Step::Burying => {
                state.ledger.dead_letter_stored(handling.at.generation);
                state.handlings.remove(place);
                return;
            }
            Step::Sending => unreachable!("the destination's turn"),
        };
        if heard {
            state.handlings[place].step = next;
        }
    }

    fn claim(&self, state: &mut State, place: usize) -> Step {
        let Handling { at, token, .. } = state.handlings[place];
        let next = state.next_token();
        let told = if self.is(Breakage::NoClaim) {
            state.claims.grant(at, next);
            Told::Granted { is_expired: false }
        } else {
            state.claims.claim(at, token, next)
        };
        match told {
            Told::Granted { is_expired } => {
                state.handlings[place].token = state.claims.token;
                if state.is_sending_besides(place) {
                    state.ledger.break_invariant(Invariant::OneHolder);
                }
                if is_expired && state.is_careful {
                    Step::GivingUp
                } else {
                    Step::Claimed
                }
            }
            Told::Held => Step::PuttingOff,
            Told::Settled => Step::Done,
        }
    }

    /// When nothing can happen any more, nothing is left to be done.
    fn is_at_rest_at_the_end(&self, state: &State) -> bool {
        if state.queue.is_empty() && state.handlings.is_empty() || !self.is_intact(state) {
            return true;
        }
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        !actions.is_empty()
    }
}

impl State {
    fn take(&mut self, message: Message, breakage: Option<Breakage>) {
        let place = self.queue.iter().position(|queued| *queued == message);
        self.queue
            .remove(place.expect("only what is there is taken"));
        self.handlings.push(Handling {
            at: message.at,
            has_receipt: breakage != Some(Breakage::AcknowledgesFirst),
            token: 0,
            step: Step::Taken,
        });
    }

    fn place_of(&self, handling: Handling) -> usize {
        let place = self.handlings.iter().position(|it| *it == handling);
        place.expect("only what is there acts")
    }

    fn publish(&mut self, at: Position, waits: bool) {
        self.queue.push(Message { at, waits });
    }

    fn send(&mut self, handling: Handling) {
        if !self.may_send(handling) {
            self.ledger.break_invariant(Invariant::OneHolder);
        }
        self.ledger.request_sent(handling.at);
    }

    /// Whether its request would begin, and so end, within its lease.
    fn may_send(&self, handling: Handling) -> bool {
        self.claims.is_held_by(handling.token) && self.claims.is_alive()
    }

    fn is_sending_besides(&self, place: usize) -> bool {
        let mut others = self.handlings.iter().enumerate();
        others.any(|(other, it)| other != place && it.step == Step::Sending)
    }

    /// Settles, and says what is next: with a token too old, somebody else has the claim now, and may not have the message.
    fn settle(&mut self, handling: Handling, end: End, breakage: Option<Breakage>) -> Step {
        let Handling { token, at, .. } = handling;
        if !self.claims.settle(token, at, SettledAs::Ended(end)) {
            return if breakage == Some(Breakage::AcknowledgesStale) {
                Step::Done
            } else {
                Step::PuttingOff
            };
        }
        match end {
            End::Delivered => self.ledger.recorded_as_delivered(),
            End::DeadLettered if breakage != Some(Breakage::BuriesAfterAcknowledging) => {
                self.ledger.dead_letter_stored(at.generation);
            }
            End::DeadLettered | End::Retrying => {}
        }
        Step::Done
    }

    /// Who holds the newest claim, if anybody alive does.
    fn holder(&self) -> Option<Handling> {
        let mut handlings = self.handlings.iter();
        handlings
            .find(|it| self.claims.is_held_by(it.token))
            .copied()
    }

    fn explain_if_unsettled(&mut self, handling: Handling) {
        let is_unsettled = matches!(
            handling.step,
            Step::Sending | Step::Accepted | Step::Refused | Step::RetryPublished | Step::GivingUp
        );
        if is_unsettled {
            self.ledger.explain(handling.at);
        }
    }

    /// A token newer than any there is: stores draw them from the clock.
    fn next_token(&self) -> u8 {
        let held = self.handlings.iter().map(|it| it.token).max();
        1 + held.unwrap_or(0).max(self.claims.token)
    }

    fn look_for_losses(&mut self) {
        let is_somewhere = !self.queue.is_empty() || self.handlings.iter().any(|it| it.has_receipt);
        if !is_somewhere && !self.ledger.is_final() {
            self.ledger.break_invariant(Invariant::NothingLost);
        }
    }

    /// Equal states look equal: no order among messages and handlings, and of the tokens nothing but their order.
    fn bring_to_form(&mut self) {
        let mut tokens: Vec<u8> = self.handlings.iter().map(|it| it.token).collect();
        tokens.push(self.claims.token);
        tokens.push(0);
        tokens.sort_unstable();
        tokens.dedup();
        let rank = |token: u8| {
            let place = tokens.binary_search(&token).expect("it is among them");
            u8::try_from(place).expect("a token for each handling, and one more")
        };
        for handling in &mut self.handlings {
            handling.token = rank(handling.token);
        }
        self.claims.token = rank(self.claims.token);
        self.queue.sort_unstable();
        self.handlings.sort_unstable();
    }
}
