//! Several RabbitMQ nodes in one cluster, which fail one by one.

use crate::{RabbitOptions, RabbitServer, ServerError, process::POLL, rabbitmq::COOKIE};
use std::time::{Duration, Instant};

const WHOLE_WITHIN: Duration = Duration::from_mins(5);

/// A cluster on this machine.
///
/// A node that finds itself without a majority stops serving until it has one again (`pause_minority`), as RabbitMQ's manual
/// advises for clusters of three.
pub struct RabbitCluster {
    nodes: Vec<RabbitServer>,
}

impl RabbitCluster {
    /// Starts so many nodes and joins them. Three take about 20 seconds.
    ///
    /// # Panics
    ///
    /// When asked for none.
    pub fn start(count: usize, options: &RabbitOptions) -> Result<Self, ServerError> {
        let options = RabbitOptions {
            conf: format!(
                "cluster_partition_handling = pause_minority\n{}",
                options.conf
            ),
        };
        assert!(count > 0, "a cluster has a node");
        let first = RabbitServer::start(&options)?;
        let mut nodes = std::thread::scope(|scope| {
            let (first, options) = (&first, &options);
            // They boot side by side and join one after the other: joining changes what all nodes share.
            let others: Vec<_> = (1..count)
                .map(|_| scope.spawn(move || first.start_unjoined(options)))
                .collect();
            let mut nodes = Vec::new();
            for other in others {
                let other = other.join().expect("starting a node does not panic")?;
                other.join(first)?;
                nodes.push(other);
            }
            Ok::<_, ServerError>(nodes)
        })?;
        nodes.insert(0, first);
        Ok(Self { nodes })
    }

    /// The nodes, in the order of [`Self::url`].
    pub fn nodes(&self) -> &[RabbitServer] {
        &self.nodes
    }

    /// A node, to stop, kill or restart.
    pub fn node_mut(&mut self, index: usize) -> &mut RabbitServer {
        &mut self.nodes[index]
    }

    /// Where they answer, separated by commas, credentials included.
    pub fn url(&self) -> String {
        let urls: Vec<_> = self.nodes.iter().map(RabbitServer::url).collect();
        urls.join(",")
    }

    /// Cuts a node off from all others: a partition with a minority of one. It lives, its clients still reach it, and no
    /// packet passes between it and its peers.
    ///
    /// Its connections to them are ended and cannot be made again: from now on it knows them by another cookie, so that the
    /// handshake fails from either side. What this does not show is a link that swallows packets without a word; a node that
    /// is paused comes closer to that.
    pub fn cut_off(&self, index: usize) -> Result<(), ServerError> {
        let peers = self.peers_of(index);
        let expression = format!(
            "[begin erlang:set_cookie(N, 'cut-off'), erlang:disconnect_node(N) end || N <- [{peers}]], ok."
        );
        self.nodes[index].rabbitmqctl(&["eval", &expression])?;
        Ok(())
    }

    /// Lets a node that was cut off find its peers again. It takes a few seconds before it serves: see [`Self::wait_until_whole`].
    pub fn reconnect(&self, index: usize) -> Result<(), ServerError> {
        let peers = self.peers_of(index);
        let expression = format!(
            "[erlang:set_cookie(N, '{COOKIE}') || N <- [{peers}]], [net_adm:ping(N) || N <- [{peers}]], ok."
        );
        self.nodes[index].rabbitmqctl(&["eval", &expression])?;
        Ok(())
    }

    /// Waits until all nodes run, see each other and speak AMQP.
    pub fn wait_until_whole(&self) -> Result<(), ServerError> {
        let deadline = Instant::now() + WHOLE_WITHIN;
        let count = self.nodes.len().to_string();
        let limit = WHOLE_WITHIN.as_secs().to_string();
        let first = &self.nodes[0];
        loop {
            // What the first sees, all see: connections between nodes have two ends.
            let seen = first.rabbitmqctl(&["await_online_nodes", &count, "--timeout", &limit]);
            match seen {
                Ok(_) if self.nodes.iter().all(RabbitServer::speaks_amqp) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Ok(_) if Instant::now() > deadline => return Err(self.not_whole()),
                Ok(_) | Err(_) => std::thread::sleep(POLL),
            }
        }
    }

    fn not_whole(&self) -> ServerError {
        let silent = self.nodes.iter().filter(|node| !node.speaks_amqp());
        let names: Vec<_> = silent.map(RabbitServer::node_name).collect();
        ServerError::NotReady {
            server: "RabbitMQ",
            why: format!("no AMQP within {WHOLE_WITHIN:?} from {}", names.join(", ")),
            log: "see the nodes' own logs".to_owned(),
        }
    }

    /// The node that leads a quorum queue, as far as the first node that answers has heard; nothing while none is known.
    pub fn leader_of(&self, queue: &str) -> Result<Option<usize>, ServerError> {
        let Some(node) = self.nodes.iter().find(|node| node.speaks_amqp()) else {
            return Ok(None);
        };
        // Asks the node alone: `list_queues` asks all of them and waits for one that stands still.
        let expression = format!(
            "case rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)) of
                 {{ok, Q}} -> {{Name, _}} = amqqueue:get_pid(Q), ra_leaderboard:lookup_leader(Name);
                 _ -> undefined
             end."
        );
        let answer = node.rabbitmqctl(&["eval", &expression])?;
        let is_named = |node: &RabbitServer| answer.contains(&node.node_name());
        Ok(self.nodes.iter().position(is_named))
    }

    /// The others' names, as Erlang writes atoms in a list.
    fn peers_of(&self, index: usize) -> String {
        let others = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(peer, _)| *peer != index);
        let names: Vec<_> = others
            .map(|(_, peer)| format!("'{}'", peer.node_name()))
            .collect();
        names.join(", ")
    }
}
