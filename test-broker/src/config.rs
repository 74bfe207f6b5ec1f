//! The properties of one node. Chosen for tests: quick sessions, quick take-over, a cleaner that does not dawdle.

use std::fmt::Write as _;
use std::path::Path;

/// The one user of the SASL listener.
pub const SASL_USER: &str = "kappa";
/// That user's password.
pub const SASL_PASSWORD: &str = "kappa-secret";

/// Every cluster has the same id: they never meet.
pub(crate) const CLUSTER_ID: &str = "kappaTestClusterId001A";

/// The ports of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) client: u16,
    pub(crate) controller: u16,
    pub(crate) sasl: Option<u16>,
}

/// What `meta.properties` says in the log directory of this node.
pub(crate) fn meta_properties(id: usize) -> String {
    // The directory's id: 16 bytes in base64url.
    format!("version=1\ncluster.id={CLUSTER_ID}\nnode.id={id}\ndirectory.id=kappaTestBrokerNode{id:02}A\n")
}

/// The `node.properties` of node `id` (from 1) in a cluster with these ports.
pub(crate) fn node_properties(id: usize, cluster: &[Ports], data: &Path, more: &[&str]) -> String {
    let own = cluster[id - 1];
    let voters: Vec<String> =
        cluster.iter().enumerate().map(|(i, ports)| format!("{}@127.0.0.1:{}", i + 1, ports.controller)).collect();
    let replicas = cluster.len().min(3);
    let in_sync = if replicas >= 3 { 2 } else { 1 };
    let mut client = format!("PLAINTEXT://127.0.0.1:{}", own.client);
    if let Some(port) = own.sasl {
        let _ = write!(client, ",SASL_PLAINTEXT://127.0.0.1:{port}");
    }
    let (controller, voters, data) = (own.controller, voters.join(","), data.display());
    let mut text = format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners={client},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={client}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
{COMMON}"
    );
    if own.sasl.is_some() {
        let _ = writeln!(
            text,
            "sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
             user_{SASL_USER}=\"{SASL_PASSWORD}\";"
        );
    }
    // Of two lines with the same name, Java takes the last.
    for property in more {
        let _ = write!(text, "\n{property}");
    }
    text
}

/// The same for every node.
const COMMON: &str = "\
# A topic that nobody created is an error, not an empty topic.
auto.create.topics.enable=false
# A group's first member need not wait for others; sessions may be as short as a test likes.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# Few partitions of internal topics: a node is ready sooner.
offsets.topic.num.partitions=5
transaction.state.log.num.partitions=5
share.coordinator.state.topic.num.partitions=1
# A transaction whose producer vanished is aborted soon after its time-out.
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
# A dead node is noticed soon; not so soon that a machine with two cores loses live ones.
broker.heartbeat.interval.ms=1000
broker.session.timeout.ms=5000
# Compaction and retention happen while a test looks on.
log.initial.task.delay.ms=500
log.cleaner.backoff.ms=200
log.cleaner.min.cleanable.ratio=0.01
log.cleaner.dedupe.buffer.size=16777216
log.retention.check.interval.ms=500
log.segment.delete.delay.ms=500
";

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(nodes: usize, sasl: bool) -> Vec<Ports> {
        (0..nodes as u16)
            .map(|i| Ports { client: 100 + i, controller: 200 + i, sasl: sasl.then_some(300 + i) })
            .collect()
    }

    #[test]
    fn three_nodes_know_each_other_and_replicate() {
        let text = node_properties(2, &cluster(3, false), Path::new("/data"), &["a.b=c"]);
        assert!(text.ends_with("\na.b=c"));
        assert!(text.contains("\ncontroller.quorum.voters=1@127.0.0.1:200,2@127.0.0.1:201,3@127.0.0.1:202\n"));
        assert!(text.contains("\nlisteners=PLAINTEXT://127.0.0.1:101,CONTROLLER://127.0.0.1:201\n"));
        assert!(text.contains("\ntransaction.state.log.min.isr=2\n"));
        assert!(!text.contains("jaas"));
    }

    #[test]
    fn one_node_with_sasl_keeps_its_plain_listener() {
        let text = node_properties(1, &cluster(1, true), Path::new("/data"), &[]);
        assert!(text.contains("\nadvertised.listeners=PLAINTEXT://127.0.0.1:100,SASL_PLAINTEXT://127.0.0.1:300\n"));
        assert!(text.contains("user_kappa=\"kappa-secret\";\n"));
        assert!(text.contains("\nmin.insync.replicas=1\n"));
    }
}
