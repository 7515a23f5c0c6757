//! What we keep at the broker, as data: exchanges, queues, bindings, and their arguments.
//!
//! Stock RabbitMQ 3.10 to 4.x, no plugin. Every queue is a quorum queue. Wherever a message may be dead-lettered, it is so at
//! least once, which RabbitMQ grants only together with `x-overflow=reject-publish`.

mod broker;

pub use broker::{Drift, Problem};
pub(crate) use broker::{apply, check, delete, soft_error};

use crate::{
    config::{Prefix, RabbitConfig},
    ladder::{self, BASE, POSITIONS},
};
use ringback_delivery::port::{Lane, QueueName};
use std::fmt;

/// Everything that should exist at the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Where messages are published to.
    pub exchanges: Vec<Exchange>,
    /// Where they wait.
    pub queues: Vec<Queue>,
    /// How they get from one to the other.
    pub bindings: Vec<Binding>,
}

/// A durable exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// How it reads routing keys.
    pub kind: Kind,
    /// What it was in a release before. An exchange that is still of this kind does the same, and stays as it is.
    pub formerly: Option<Kind>,
}

/// How an exchange reads routing keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By patterns of words.
    Topic,
    /// Whole, which costs the broker a fraction of that.
    Direct,
    /// Not at all: each message goes everywhere, which costs least.
    Fanout,
}

impl Kind {
    /// What AMQP calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Direct => "direct",
            Self::Fanout => "fanout",
        }
    }
}

/// A durable quorum queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// What it is declared with. RabbitMQ keeps these for as long as the queue lives.
    pub arguments: Vec<(&'static str, Argument)>,
}

/// The value of a queue's argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A text.
    Text(String),
    /// A number.
    Number(u32),
}

/// A way from an exchange to a queue or to another exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The exchange it begins at.
    pub source: String,
    /// Which routing keys go this way.
    pub pattern: String,
    /// Where it ends.
    pub destination: Endpoint,
}

/// Where a binding ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// At a queue.
    Queue(String),
    /// At another exchange.
    Exchange(String),
}

/// The parked queue keeps what nobody could handle. RabbitMQ 4 would drop a message there after 20 returns, and
/// RabbitMQ 3 takes no "never": so, practically never.
const PARKED_DELIVERY_LIMIT: u32 = 1_000_000_000;

const LANES: [Lane; 2] = [Lane::Main, Lane::Slow];

impl Topology {
    /// All there is to an installation.
    pub fn of(config: &RabbitConfig) -> Self {
        let names = Names::new(&config.prefix);
        let mut topology = Self::of_events(config);
        topology.add_deliveries(&names, config.delivery_limit.get().into());
        topology.add_ladder(&names);
        topology.add_exchange(names.watch(), Kind::Topic);
        topology
    }

    /// The part that a producer needs: events, and where they are parked.
    pub fn of_events(config: &RabbitConfig) -> Self {
        let names = Names::new(&config.prefix);
        let mut topology = Self {
            exchanges: Vec::new(),
            queues: Vec::new(),
            bindings: Vec::new(),
        };
        topology.add_exchange(names.parked(), Kind::Topic);
        // Whoever wants some events only binds an exchange of their own to it: keys are kept.
        topology.exchanges.push(Exchange {
            name: names.events(),
            kind: Kind::Fanout,
            formerly: Some(Kind::Topic),
        });
        topology.add_queue(
            names.parked(),
            vec![("x-delivery-limit", Argument::Number(PARKED_DELIVERY_LIMIT))],
        );
        topology.add_consumed_queue(&names, names.events(), config.delivery_limit.get().into());
        topology.bind(names.parked(), "#", Endpoint::Queue(names.parked()));
        topology.bind(names.events(), "#", Endpoint::Queue(names.events()));
        topology
    }

    fn add_deliveries(&mut self, names: &Names, delivery_limit: u32) {
        self.add_exchange(names.lanes(), Kind::Direct);
        self.add_exchange(names.due(), Kind::Topic);
        for lane in LANES {
            self.add_consumed_queue(names, names.deliveries(lane), delivery_limit);
            let word = ladder::lane_word(lane);
            let queue = || Endpoint::Queue(names.deliveries(lane));
            self.bind(names.lanes(), word, queue());
            // `#` is also nothing at all: a release before publishes here what is due at once.
            self.bind(names.due(), &format!("#.{word}"), queue());
        }
    }

    /// A chain of exchanges, each reading one digit of the routing key: 0 leads straight on, the others through a rung.
    fn add_ladder(&mut self, names: &Names) {
        for position in (0..POSITIONS).rev() {
            let next = match position {
                0 => names.due(),
                _ => names.delay_exchange(position - 1),
            };
            self.add_exchange(names.delay_exchange(position), Kind::Topic);
            let read = "*.".repeat(usize::from(POSITIONS - 1 - position));
            self.bind(
                names.delay_exchange(position),
                &format!("{read}0.#"),
                Endpoint::Exchange(next.clone()),
            );
            for digit in 1..u8::try_from(BASE).expect("a digit") {
                let rung = names.delay_queue(position, digit);
                let wait = ladder::rung_wait(position, digit).as_millis();
                let mut arguments = at_least_once(next.clone());
                arguments.push((
                    "x-message-ttl",
                    Argument::Number(u32::try_from(wait).expect("5.3 days are less than 2^32 ms")),
                ));
                self.bind(
                    names.delay_exchange(position),
                    &format!("{read}{digit}.#"),
                    Endpoint::Queue(rung.clone()),
                );
                self.add_queue(rung, arguments);
            }
        }
    }

    fn add_exchange(&mut self, name: String, kind: Kind) {
        self.exchanges.push(Exchange {
            name,
            kind,
            formerly: None,
        });
    }

    /// A queue that workers take from: after too many returns, a message is parked.
    fn add_consumed_queue(&mut self, names: &Names, name: String, delivery_limit: u32) {
        // An exchange of our own: to the default one, a user would need a right beyond our names.
        let mut arguments = at_least_once(names.parked());
        arguments.push(("x-delivery-limit", Argument::Number(delivery_limit)));
        self.add_queue(name, arguments);
    }

    fn add_queue(&mut self, name: String, mut arguments: Vec<(&'static str, Argument)>) {
        arguments.insert(0, ("x-queue-type", Argument::Text("quorum".to_owned())));
        self.queues.push(Queue { name, arguments });
    }

    fn bind(&mut self, source: String, pattern: &str, destination: Endpoint) {
        self.bindings.push(Binding {
            source,
            pattern: pattern.to_owned(),
            destination,
        });
    }

    /// The whole as text, a thing a line.
    pub fn show(&self) -> String {
        self.to_string()
    }
}

/// Dead-lettering that keeps a message until the next queue has it.
fn at_least_once(exchange: String) -> Vec<(&'static str, Argument)> {
    vec![
        ("x-dead-letter-exchange", Argument::Text(exchange)),
        (
            "x-dead-letter-strategy",
            Argument::Text("at-least-once".to_owned()),
        ),
        ("x-overflow", Argument::Text("reject-publish".to_owned())),
    ]
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for exchange in &self.exchanges {
            writeln!(f, "exchange {} ({})", exchange.name, exchange.kind.as_str())?;
        }
        for queue in &self.queues {
            write!(f, "queue {}", queue.name)?;
            for (key, value) in &queue.arguments {
                match value {
                    Argument::Text(text) => write!(f, " {key}={text}")?,
                    Argument::Number(number) => write!(f, " {key}={number}")?,
                }
            }
            writeln!(f)?;
        }
        for binding in &self.bindings {
            let destination = match &binding.destination {
                Endpoint::Queue(name) => format!("queue {name}"),
                Endpoint::Exchange(name) => format!("exchange {name}"),
            };
            writeln!(
                f,
                "binding {} --{}--> {destination}",
                binding.source, binding.pattern
            )?;
        }
        Ok(())
    }
}

/// The names of an installation.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(prefix: &Prefix) -> Self {
        Self {
            prefix: prefix.as_str().to_owned(),
        }
    }

    /// Exchange and queue.
    pub(crate) fn events(&self) -> String {
        format!("{}.events", self.prefix)
    }

    pub(crate) fn deliveries(&self, lane: Lane) -> String {
        match lane {
            Lane::Main => format!("{}.deliveries", self.prefix),
            Lane::Slow => format!("{}.deliveries.slow", self.prefix),
        }
    }

    /// Where what is due at once is published to.
    pub(crate) fn lanes(&self) -> String {
        format!("{}.lanes", self.prefix)
    }

    /// Where the delay ladder ends.
    pub(crate) fn due(&self) -> String {
        format!("{}.due", self.prefix)
    }

    pub(crate) fn delay_exchange(&self, position: u8) -> String {
        format!("{}.delay.{position}", self.prefix)
    }

    pub(crate) fn delay_queue(&self, position: u8, digit: u8) -> String {
        format!("{}.delay.{position}.{digit}", self.prefix)
    }

    /// Leads word of watched retries to those who watch them.
    pub(crate) fn watch(&self) -> String {
        format!("{}.watch", self.prefix)
    }

    /// The queue of one that watches, which lives no longer than its connection; also the routing key to it.
    pub(crate) fn watch_reply(&self, unique: u64) -> String {
        format!("{}.watch.{unique:016x}", self.prefix)
    }

    pub(crate) fn is_watch_reply(&self, name: &str) -> bool {
        let rest = name.strip_prefix(self.prefix.as_str());
        rest.is_some_and(|rest| rest.starts_with(".watch."))
    }

    /// Exchange and queue.
    pub(crate) fn parked(&self) -> String {
        format!("{}.parked", self.prefix)
    }

    /// The rung of the delay ladder that a queue is, by position and digit.
    pub(crate) fn rung(&self, queue: &str) -> Option<(u8, u8)> {
        let rest = queue.strip_prefix(self.prefix.as_str())?;
        let (position, digit) = rest.strip_prefix(".delay.")?.split_once('.')?;
        Some((position.parse().ok()?, digit.parse().ok()?))
    }

    /// The queue that messages are taken from; what is delayed lies in many.
    pub(crate) fn queue(&self, name: QueueName) -> String {
        match name {
            QueueName::Events => self.events(),
            QueueName::Deliveries(lane) => self.deliveries(lane),
            QueueName::Delayed => format!("{}.delay", self.prefix),
            QueueName::Parked => self.parked(),
        }
    }

    /// What a queue of this name holds; `None` for a name that is not ours.
    pub(crate) fn read(&self, queue: &str) -> Option<QueueName> {
        let rest = queue
            .strip_prefix(self.prefix.as_str())?
            .strip_prefix('.')?;
        match rest {
            "events" => Some(QueueName::Events),
            "deliveries" => Some(QueueName::Deliveries(Lane::Main)),
            "deliveries.slow" => Some(QueueName::Deliveries(Lane::Slow)),
            "parked" => Some(QueueName::Parked),
            _ if rest.starts_with("delay.") => Some(QueueName::Delayed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ladder::Climb;
    use ringback_domain::Wait;
    use std::{collections::HashSet, time::Duration};

    fn topology() -> Topology {
        Topology::of(&RabbitConfig::default())
    }

    /// Follows a key from an exchange to the queues it reaches.
    fn route<'a>(topology: &'a Topology, exchange: &str, key: &str) -> Vec<&'a str> {
        let kind = topology
            .exchanges
            .iter()
            .find(|known| known.name == exchange)
            .unwrap()
            .kind;
        let leads = |pattern: &str| match kind {
            Kind::Topic => matches(pattern, key),
            Kind::Direct => pattern == key,
            Kind::Fanout => true,
        };
        let matching = topology
            .bindings
            .iter()
            .filter(|binding| binding.source == exchange && leads(&binding.pattern));
        matching
            .flat_map(|binding| match &binding.destination {
                Endpoint::Queue(name) => vec![name.as_str()],
                Endpoint::Exchange(name) => route(topology, name, key),
            })
            .collect()
    }

    /// A topic pattern as RabbitMQ reads it: `*` is one word, `#` is any number of words.
    fn matches(pattern: &str, key: &str) -> bool {
        fn words(pattern: &[&str], key: &[&str]) -> bool {
            match (pattern, key) {
                (["#", rest @ ..], _) => {
                    (0..=key.len()).any(|skipped| words(rest, &key[skipped..]))
                }
                (["*", rest @ ..], [_, after @ ..]) => words(rest, after),
                ([word, rest @ ..], [first, after @ ..]) => word == first && words(rest, after),
                ([], _) => key.is_empty(),
                (_, []) => false,
            }
        }
        words(
            &pattern.split('.').collect::<Vec<_>>(),
            &key.split('.').collect::<Vec<_>>(),
        )
    }

    fn argument<'a>(topology: &'a Topology, queue: &str, key: &str) -> &'a Argument {
        let queue = topology
            .queues
            .iter()
            .find(|candidate| candidate.name == queue)
            .unwrap();
        &queue
            .arguments
            .iter()
            .find(|(name, _)| *name == key)
            .unwrap()
            .1
    }

    #[test]
    fn every_climb_passes_rungs_that_add_up_and_ends_in_its_lane_alone() {
        let topology = topology();
        for (lane, end) in [
            (Lane::Main, "ringback.deliveries"),
            (Lane::Slow, "ringback.deliveries.slow"),
        ] {
            for millis in [
                1,
                250,
                251,
                2_000,
                5_000,
                60_000,
                300_000,
                1_800_000,
                86_399_999,
                432_000_000,
            ] {
                let climb = Climb::plan(Wait::exactly(Duration::from_millis(millis)))
                    .unwrap()
                    .unwrap();
                let key = climb.routing_key(lane);
                let mut exchange = format!("ringback.delay.{}", climb.start());
                let mut waited = 0;
                for _ in 0..climb.hops() {
                    let reached = route(&topology, &exchange, &key);
                    let [rung] = reached[..] else {
                        panic!("{key} reached {reached:?}")
                    };
                    let Argument::Number(ttl) = argument(&topology, rung, "x-message-ttl") else {
                        panic!()
                    };
                    waited += u128::from(*ttl);
                    let Argument::Text(next) = argument(&topology, rung, "x-dead-letter-exchange")
                    else {
                        panic!()
                    };
                    exchange.clone_from(next);
                }
                assert_eq!(route(&topology, &exchange, &key), [end], "{key}");
                assert_eq!(waited, climb.wait().as_millis());
            }
        }
    }

    #[test]
    fn what_is_due_at_once_reaches_its_lane_and_events_reach_dispatch() {
        let topology = topology();
        // To the latter a release before publishes.
        for exchange in ["ringback.lanes", "ringback.due"] {
            assert_eq!(route(&topology, exchange, "main"), ["ringback.deliveries"]);
            assert_eq!(
                route(&topology, exchange, "slow"),
                ["ringback.deliveries.slow"]
            );
        }
        assert_eq!(
            route(&topology, "ringback.events", "acme.task.completed"),
            ["ringback.events"]
        );
    }

    #[test]
    fn no_message_is_dropped_by_any_queue() {
        let topology = topology();
        for queue in &topology.queues {
            let holds = |key, value: &str| {
                queue
                    .arguments
                    .contains(&(key, Argument::Text(value.to_owned())))
            };
            assert!(holds("x-queue-type", "quorum"), "{}", queue.name);
            if queue.name == "ringback.parked" {
                continue;
            }
            assert!(
                holds("x-dead-letter-strategy", "at-least-once"),
                "{}",
                queue.name
            );
            assert!(holds("x-overflow", "reject-publish"), "{}", queue.name);
        }
        assert_eq!(topology.queues.len(), 4 + 49);
        let names: HashSet<_> = topology.queues.iter().map(|queue| &queue.name).collect();
        assert_eq!(names.len(), topology.queues.len());
    }

    #[test]
    fn names_are_read_back() {
        let names = Names::new(&"a.b".parse().unwrap());
        for (queue, expected) in [
            (names.events(), Some(QueueName::Events)),
            (
                names.deliveries(Lane::Main),
                Some(QueueName::Deliveries(Lane::Main)),
            ),
            (
                names.deliveries(Lane::Slow),
                Some(QueueName::Deliveries(Lane::Slow)),
            ),
            (names.delay_queue(3, 5), Some(QueueName::Delayed)),
            (names.parked(), Some(QueueName::Parked)),
            ("a.bevents".to_owned(), None),
            ("ringback.events".to_owned(), None),
        ] {
            assert_eq!(names.read(&queue), expected, "{queue}");
        }
    }

    #[test]
    fn a_producer_needs_no_more_than_a_part_of_the_whole() {
        let part = Topology::of_events(&RabbitConfig::default());
        let whole = topology();
        assert!(
            part.exchanges
                .iter()
                .all(|exchange| whole.exchanges.contains(exchange))
        );
        assert!(part.queues.iter().all(|queue| whole.queues.contains(queue)));
        assert!(
            part.bindings
                .iter()
                .all(|binding| whole.bindings.contains(binding))
        );
    }
}
