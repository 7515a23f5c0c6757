//! The claim table: who may make which attempt, and what a settlement does.

/// Which attempt: of a later generation or a higher number is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// From 0: how often it was replayed.
    pub generation: u8,
    /// From 1.
    pub attempt: u8,
}

/// How a settled attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The next attempt is in the queue.
    Retrying,
    /// Final.
    Delivered,
    /// Final, save for a replay.
    DeadLettered,
}

/// What a claim is settled as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettledAs {
    /// The attempt was made.
    Ended(End),
    /// It was not, after all.
    Released,
}

/// How it stands with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Standing {
    #[default]
    Free,
    Held {
        at: Position,
        is_alive: bool,
    },
    Settled {
        at: Position,
        end: End,
    },
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Go on.
    Granted {
        /// The same attempt was claimed before and never settled.
        is_expired: bool,
    },
    /// Somebody has it.
    Held,
    /// It is over.
    Settled,
}

/// The claim to the one delivery there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Claims {
    /// The newest token; 0 when there never was one.
    pub(crate) token: u8,
    standing: Standing,
    /// What a release returns to.
    before: Standing,
    /// Whether the newest token has settled.
    is_ended: bool,
}

impl Claims {
    /// Asks for an attempt. `token` is what the asker was given before without hearing of it; `next` what a new claim gets.
    pub fn claim(&mut self, at: Position, token: u8, next: u8) -> Told {
        if self.is_past(at) {
            return Told::Settled;
        }
        let is_expired = match &mut self.standing {
            Standing::Held { at: held, is_alive } => {
                let is_renewal = !self.is_ended && token == self.token && *held == at;
                if is_renewal {
                    *is_alive = true;
                    let is_expired = self.before.is_held_at(at);
                    return Told::Granted { is_expired };
                }
                if *is_alive {
                    return Told::Held;
                }
                *held == at
            }
            _ => false,
        };
        self.grant(at, next);
        Told::Granted { is_expired }
    }

    /// Grants, whoever has it.
    pub(crate) fn grant(&mut self, at: Position, next: u8) {
        let held = Standing::Held { at, is_alive: true };
        self.before = std::mem::replace(&mut self.standing, held);
        self.token = next;
        self.is_ended = false;
    }

    /// Ends a claim; whether the token was new enough.
    pub fn settle(&mut self, token: u8, at: Position, settled_as: SettledAs) -> bool {
        if token < self.token {
            return false;
        }
        let is_known = token == self.token;
        if is_known && self.is_ended {
            return true;
        }
        self.standing = match settled_as {
            SettledAs::Ended(end) => Standing::Settled { at, end },
            SettledAs::Released if is_known => self.before,
            SettledAs::Released => Standing::Free,
        };
        self.before = Standing::Free;
        self.token = token;
        self.is_ended = true;
        true
    }

    /// Whether this attempt or a later one is settled, or a later one under way.
    fn is_past(&self, at: Position) -> bool {
        match self.standing {
            Standing::Free => false,
            Standing::Held { at: held, .. } => at < held,
            Standing::Settled { at: settled, end } => {
                let is_final = match end {
                    End::Retrying => false,
                    End::Delivered => true,
                    End::DeadLettered => at.generation == settled.generation,
                };
                is_final || at <= settled
            }
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.standing, Standing::Held { is_alive: true, .. })
    }

    /// The lease runs out.
    pub fn run_out(&mut self) {
        if let Standing::Held { is_alive, .. } = &mut self.standing {
            *is_alive = false;
        }
    }

    /// Whether the handling with this token holds the newest claim, its lease alive or not.
    pub(crate) fn is_held_by(&self, token: u8) -> bool {
        token != 0 && token == self.token && !self.is_ended
    }
}

impl Standing {
    fn is_held_at(self, asked: Position) -> bool {
        matches!(self, Self::Held { at, .. } if at == asked)
    }
}
