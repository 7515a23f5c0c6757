//! The topology against a broker: made where it is missing, compared where it is there, never changed.

use super::{Argument, Endpoint, Exchange, Kind, Queue, Topology};
use lapin::{
    Channel, Connection, ErrorKind, ExchangeKind,
    options::{
        ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};
use std::fmt;

/// Something at the broker that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// `queue` or `exchange`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with an exchange or queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It does not exist.
    Missing,
    /// It exists with other properties; the broker's words.
    Different(String),
    /// Our user may not look at it or make it; the broker's words.
    Forbidden(String),
}

impl Drift {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match (&self.problem, self.kind) {
            (Problem::Missing, _) => "run `ringback topology apply`",
            (Problem::Forbidden(_), _) => {
                "grant the user `configure`, `write` and `read` on names that begin with the prefix, or apply as another user"
            }
            (Problem::Different(_), "exchange") => {
                "stop publishing, delete the exchange, run `ringback topology apply`: an exchange holds no messages"
            }
            (Problem::Different(_), _) => {
                "set the configuration back to what the queue was made with; or stop publishing, let the queue run empty, \
                 delete it, and run `ringback topology apply`"
            }
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            name,
            problem,
        } = self;
        match problem {
            Problem::Missing => write!(f, "{kind} `{name}` is missing"),
            Problem::Different(words) => write!(f, "{kind} `{name}` differs: {words}"),
            Problem::Forbidden(words) => write!(f, "{kind} `{name}` is out of reach: {words}"),
        }
    }
}

/// Makes what is missing. What exists with other properties stays as it is, and is reported.
pub(crate) async fn apply(
    topology: &Topology,
    connection: &Connection,
) -> lapin::Result<Vec<Drift>> {
    let mut channel = Probe::new(connection);
    let mut drifts = Vec::new();
    for exchange in &topology.exchanges {
        drifts.extend(channel.make_exchange(exchange).await?);
    }
    for queue in &topology.queues {
        let done = declare_queue(channel.get().await?, queue, false).await;
        drifts.extend(channel.judge(done, "queue", &queue.name)?);
    }
    for binding in &topology.bindings {
        let done = bind(channel.get().await?, binding).await;
        let (kind, name) = match &binding.destination {
            Endpoint::Queue(name) => ("queue", name),
            Endpoint::Exchange(name) => ("exchange", name),
        };
        if let Some(drift) = channel.judge(done, kind, name)? {
            // Whatever kept it from being made was reported above; that it cannot be bound is no news.
            if !drifts
                .iter()
                .any(|known| known.kind == drift.kind && known.name == drift.name)
            {
                drifts.push(drift);
            }
        }
    }
    Ok(drifts)
}

/// Compares and changes nothing. AMQP cannot list bindings, so those are not compared; [`apply`] makes missing ones.
pub(crate) async fn check(
    topology: &Topology,
    connection: &Connection,
) -> lapin::Result<Vec<Drift>> {
    let mut channel = Probe::new(connection);
    let mut drifts = Vec::new();
    for exchange in &topology.exchanges {
        let there = declare_exchange(channel.get().await?, exchange, exchange.kind, true).await;
        let found = match channel.judge(there, "exchange", &exchange.name)? {
            None => channel.make_exchange(exchange).await?,
            missing => missing,
        };
        drifts.extend(found);
    }
    for queue in &topology.queues {
        // Passively first: declaring a queue that is not there would make it.
        let there = declare_queue(channel.get().await?, queue, true).await;
        let found = match channel.judge(there, "queue", &queue.name)? {
            None => {
                let same = declare_queue(channel.get().await?, queue, false).await;
                channel.judge(same, "queue", &queue.name)?
            }
            missing => missing,
        };
        drifts.extend(found);
    }
    Ok(drifts)
}

/// Deletes everything of the topology. What is not there is no failure.
pub(crate) async fn delete(topology: &Topology, connection: &Connection) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    for queue in &topology.queues {
        let name = queue.name.as_str().into();
        channel
            .queue_delete(name, QueueDeleteOptions::default())
            .await?;
    }
    for exchange in &topology.exchanges {
        let name = exchange.name.as_str().into();
        channel
            .exchange_delete(name, ExchangeDeleteOptions::default())
            .await?;
    }
    Ok(())
}

/// A channel that is replaced whenever the broker closed it, which is how it says no.
struct Probe<'a> {
    connection: &'a Connection,
    channel: Option<Channel>,
}

impl<'a> Probe<'a> {
    fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            channel: None,
        }
    }

    async fn get(&mut self) -> lapin::Result<&Channel> {
        if self.channel.is_none() {
            self.channel = Some(self.connection.create_channel().await?);
        }
        Ok(self.channel.as_ref().expect("just made"))
    }

    /// Makes an exchange where it is missing. One that is still what it was in a release before will do.
    async fn make_exchange(&mut self, exchange: &Exchange) -> lapin::Result<Option<Drift>> {
        let done = declare_exchange(self.get().await?, exchange, exchange.kind, false).await;
        let drift = self.judge(done, "exchange", &exchange.name)?;
        let is_different = |drift: &Drift| matches!(drift.problem, Problem::Different(_));
        let Some(formerly) = exchange
            .formerly
            .filter(|_| drift.as_ref().is_some_and(is_different))
        else {
            return Ok(drift);
        };
        let done = declare_exchange(self.get().await?, exchange, formerly, false).await;
        let still_different = self.judge(done, "exchange", &exchange.name)?;
        Ok(still_different.and(drift))
    }

    /// Tells a no about this one thing from a failure of the whole.
    fn judge(
        &mut self,
        done: lapin::Result<()>,
        kind: &'static str,
        name: &str,
    ) -> lapin::Result<Option<Drift>> {
        let Err(error) = done else { return Ok(None) };
        let problem = match soft_error(&error) {
            Some((AMQPSoftError::NOTFOUND, _)) => Problem::Missing,
            Some((AMQPSoftError::ACCESSREFUSED, words)) => Problem::Forbidden(words),
            Some((_, words)) => Problem::Different(words),
            None => return Err(error),
        };
        self.channel = None;
        Ok(Some(Drift {
            kind,
            name: name.to_owned(),
            problem,
        }))
    }
}

/// What the broker said when it closed a channel, and only the channel.
pub(crate) fn soft_error(error: &lapin::Error) -> Option<(AMQPSoftError, String)> {
    let ErrorKind::ProtocolError(error) = error.kind() else {
        return None;
    };
    let AMQPErrorKind::Soft(kind) = error.kind() else {
        return None;
    };
    Some((kind.clone(), error.get_message().to_string()))
}

async fn declare_exchange(
    channel: &Channel,
    exchange: &Exchange,
    kind: Kind,
    passive: bool,
) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        passive,
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(
            exchange.name.as_str().into(),
            match kind {
                Kind::Topic => ExchangeKind::Topic,
                Kind::Direct => ExchangeKind::Direct,
                Kind::Fanout => ExchangeKind::Fanout,
            },
            options,
            FieldTable::default(),
        )
        .await
}

async fn declare_queue(channel: &Channel, queue: &Queue, passive: bool) -> lapin::Result<()> {
    let mut arguments = FieldTable::default();
    for (key, value) in &queue.arguments {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Argument::Number(number) => AMQPValue::LongLongInt((*number).into()),
        };
        arguments.insert((*key).into(), value);
    }
    let options = QueueDeclareOptions {
        passive,
        ..QueueDeclareOptions::durable()
    };
    channel
        .queue_declare(queue.name.as_str().into(), options, arguments)
        .await
        .map(drop)
}

async fn bind(channel: &Channel, binding: &super::Binding) -> lapin::Result<()> {
    let (source, pattern) = (
        binding.source.as_str().into(),
        binding.pattern.as_str().into(),
    );
    let arguments = FieldTable::default();
    match &binding.destination {
        Endpoint::Queue(name) => {
            channel
                .queue_bind(
                    name.as_str().into(),
                    source,
                    pattern,
                    QueueBindOptions::default(),
                    arguments,
                )
                .await
        }
        Endpoint::Exchange(name) => {
            channel
                .exchange_bind(
                    name.as_str().into(),
                    source,
                    pattern,
                    ExchangeBindOptions::default(),
                    arguments,
                )
                .await
        }
    }
}
