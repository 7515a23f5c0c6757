//! Steps that are ready at the same moment go to the server as one.
//!
//! A script costs the server more before its first command than some of its commands, and both sides pay for each message. Nobody
//! waits for company: a step goes at once, unless those before it are still under way. What comes meanwhile goes together when
//! their answer is here. So the busier server and worker are, the more they share.

use crate::{
    connection::Connection,
    error::is_refusal,
    key::{SHARDS, Shard},
};
use futures_util::future::try_join_all;
use redis::{
    Arg, Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, RedisWrite, Script, ToRedisArgs,
};
use ringback_delivery::port::StoreError;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::oneshot, task::yield_now};

/// Steps that go together at most: the server does nothing else meanwhile.
const TOGETHER_MAX: usize = 32;

/// Room for the arguments of most steps; a record grows beyond it once.
const ARGS_ROOM: usize = 8;
const BYTES_ROOM: usize = 192;

/// One step: its keys, and its arguments after those that all have in common.
pub(crate) struct Step {
    keys: Vec<String>,
    /// A list of arguments in one buffer, which is all that a `Cmd` is.
    args: Cmd,
}

impl Step {
    pub(crate) fn new<const N: usize>(keys: [String; N]) -> Self {
        Self {
            keys: keys.into(),
            args: Cmd::with_capacity(ARGS_ROOM, BYTES_ROOM),
        }
    }

    pub(crate) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        self.args.arg(arg);
        self
    }

    pub(crate) fn keys(&self) -> &[String] {
        &self.keys
    }

    pub(crate) fn args(&self) -> impl Clone + Iterator<Item = &[u8]> {
        self.args.args_iter().map(|arg| match arg {
            Arg::Simple(arg) => arg,
            // Only a scan has any other.
            _ => &[],
        })
    }
}

/// What steps of one kind are, at the server.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    /// Of all their keys and arguments.
    Script(&'static Script),
    /// The same, of a script that touches keys it is not told of: see [`Shard::never`].
    WholeScript(&'static Script),
    /// Of all their keys: they have no arguments.
    Command(&'static str),
    /// A command for each, one after the other: its keys, its arguments, what all have in common.
    Commands(&'static str),
}

/// Where steps of one kind come together. The server answers with a list: an answer of type `T` for each, in their order.
pub(crate) struct Gathering<T> {
    name: &'static str,
    call: Call,
    /// What all have in common.
    common: Vec<Vec<u8>>,
    connection: Arc<Connection>,
    lines: Vec<Arc<Line<T>>>,
}

/// Steps that may go together: one line, or, in a cluster, where a script has to stay in its slot, one for each shard.
struct Line<T>(Mutex<Waiting<T>>);

struct Waiting<T> {
    steps: VecDeque<(Step, oneshot::Sender<RedisResult<T>>)>,
    under_way: bool,
}

impl<T: FromRedisValue + Send + 'static> Gathering<T> {
    pub(crate) fn new(
        name: &'static str,
        call: Call,
        common: Vec<Vec<u8>>,
        connection: Arc<Connection>,
    ) -> Self {
        let lines = if connection.is_cluster() { SHARDS } else { 1 };
        let line = || {
            Arc::new(Line(Mutex::new(Waiting {
                steps: VecDeque::new(),
                under_way: false,
            })))
        };
        Self {
            name,
            call,
            common,
            connection,
            lines: (0..lines).map(|_| line()).collect(),
        }
    }

    /// Has a step done. Dropped before the answer, it may be done all the same.
    pub(crate) async fn run(&self, shard: &Shard, step: Step) -> Result<T, StoreError> {
        let line = &self.lines[usize::from(shard.number()) % self.lines.len()];
        let (tell, told) = oneshot::channel();
        let goes = {
            let mut waiting = line.lock();
            waiting.steps.push_back((step, tell));
            !std::mem::replace(&mut waiting.under_way, true)
        };
        if goes {
            let flight = Flight {
                is_over: false,
                name: self.name,
                call: self.call,
                common: self.common.clone(),
                never: self.connection.is_cluster().then(|| shard.never()),
                connection: self.connection.clone(),
                line: line.clone(),
            };
            tokio::spawn(flight.run());
        }
        let answer = told.await.unwrap_or_else(|_| Err(gone()));
        answer.map_err(|failure| self.connection.fault(self.name, failure))
    }
}

impl<T> Line<T> {
    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes next; nothing when the line is empty, and then the next to come sees to itself.
    fn next(&self) -> Vec<(Step, oneshot::Sender<RedisResult<T>>)> {
        let mut waiting = self.lock();
        waiting.steps.retain(|(_, tell)| !tell.is_closed());
        let count = waiting.steps.len().min(TOGETHER_MAX);
        if count == 0 {
            waiting.under_way = false;
        }
        waiting.steps.drain(..count).collect()
    }
}

/// Sends what waits in a line until nothing does.
struct Flight<T> {
    /// Whether the line knows that this is over.
    is_over: bool,
    name: &'static str,
    call: Call,
    common: Vec<Vec<u8>>,
    /// In a cluster, where all steps of a line are of one shard.
    never: Option<String>,
    connection: Arc<Connection>,
    line: Arc<Line<T>>,
}

/// A line whose flight is gone, with its runtime or in a panic, would wait for ever.
impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        if !self.is_over {
            let mut waiting = self.line.lock();
            waiting.steps.clear();
            waiting.under_way = false;
        }
    }
}

impl<T: FromRedisValue + Send + 'static> Flight<T> {
    async fn run(mut self) {
        loop {
            // Whoever is about to come, comes first.
            yield_now().await;
            let (steps, tells): (Vec<_>, Vec<_>) = self.line.next().into_iter().unzip();
            if steps.is_empty() {
                self.is_over = true;
                return;
            }
            match self.send(&steps).await {
                Ok(answers) if answers.len() == tells.len() => {
                    for (tell, answer) in tells.into_iter().zip(answers) {
                        let _ = tell.send(Ok(answer));
                    }
                }
                Ok(_) => drop(tells),
                // The server refuses them together for the sake of one, perhaps.
                Err(failure) if is_refusal(&failure) && steps.len() > 1 => {
                    for (step, tell) in steps.iter().zip(tells) {
                        let _ = tell.send(self.send_alone(step).await);
                    }
                }
                Err(failure) => {
                    for tell in tells {
                        let _ = tell.send(Err(failure.clone()));
                    }
                    self.fail_waiting(&failure);
                }
            }
        }
    }

    /// Those who came meanwhile would wait as long again for the same.
    fn fail_waiting(&self, failure: &RedisError) {
        let waiting: Vec<_> = self.line.lock().steps.drain(..).collect();
        for (_, tell) in waiting {
            let _ = tell.send(Err(failure.clone()));
        }
    }

    async fn send_alone(&self, step: &Step) -> RedisResult<T> {
        let answers = self.send(std::slice::from_ref(step)).await?;
        answers.into_iter().next().ok_or_else(gone)
    }

    async fn send(&self, steps: &[Step]) -> RedisResult<Vec<T>> {
        let (mut command, script) = match self.call {
            Call::Commands(name) => return self.send_each(name, steps).await,
            Call::Command(name) => (redis::cmd(name), None),
            Call::Script(script) | Call::WholeScript(script) => {
                (redis::cmd("EVALSHA"), Some(script))
            }
        };
        let never = match self.call {
            Call::WholeScript(_) => self.never.as_ref(),
            _ => None,
        };
        let keys = steps.iter().flat_map(Step::keys).chain(never);
        let args = steps.iter().flat_map(Step::args);
        if let Some(script) = script {
            command.arg(script.get_hash()).arg(keys.clone().count());
        } else {
            debug_assert!(self.common.is_empty() && args.clone().next().is_none());
        }
        let common = self.common.iter().map(Vec::len);
        let lengths = keys.clone().map(String::len).chain(common);
        command.reserve_space_for_args(lengths.chain(args.clone().map(<[u8]>::len)));
        for key in keys {
            command.arg(key);
        }
        command.arg(self.common.as_slice());
        for arg in args {
            command.arg(arg);
        }
        self.connection.call(self.name, script, &command).await
    }

    async fn send_each(&self, name: &str, steps: &[Step]) -> RedisResult<Vec<T>> {
        let command_of = |step: &Step| {
            let mut command = redis::cmd(name);
            command.arg(step.keys());
            for arg in step.args() {
                command.arg(arg);
            }
            command.arg(self.common.as_slice());
            command
        };
        if self.connection.is_cluster() {
            // While a slot moves, the client would send all of them to both nodes.
            let alone = steps.iter().map(async |step| {
                let command = command_of(step);
                self.connection.call(self.name, None, &command).await
            });
            return try_join_all(alone).await;
        }
        let mut commands = Pipeline::with_capacity(steps.len());
        for step in steps {
            commands.add_command(command_of(step));
        }
        self.connection.call_all(self.name, &commands).await
    }
}

fn gone() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()
}
