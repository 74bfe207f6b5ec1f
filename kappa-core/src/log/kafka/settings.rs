//! What the user sets, and the configurations made from it.
//!
//! **Invariants:** a property that the contract of the seam depends on is refused with the place where
//! it is set instead; a property that may hold a secret is never shown.

use super::hooks::ClientHooks;
use super::sys::{Client, Conf, Kind};
use crate::log::LogError;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// How to reach a Kafka cluster.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaSettings {
    /// The brokers to begin with, `host:port` with commas between.
    pub brokers: String,
    /// Any of librdkafka's properties by its name, for example `security.protocol`, `sasl.username`,
    /// `ssl.ca.location` or `fetch.max.bytes`. Those that kappa owns are refused.
    pub properties: BTreeMap<String, String>,
}

impl KafkaSettings {
    /// Brokers, and librdkafka's defaults for the rest.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), properties: BTreeMap::new() }
    }

    /// With one more property.
    #[must_use]
    pub fn with(mut self, property: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(property.into(), value.into());
        self
    }

    /// Checks everything that can be checked without the network.
    pub(super) fn check(&self) -> Result<(), LogError> {
        if self.brokers.trim().is_empty() {
            return Err(refuse("brokers", "is empty; name at least one broker as host:port"));
        }
        for property in self.properties.keys() {
            if let Some((_, reason)) = PROTECTED.iter().find(|(name, _)| name == property) {
                return Err(refuse(property, *reason));
            }
        }
        // Making a client checks what single properties can't: files that are missing, values that exclude
        // each other. It opens connections only when used.
        self.build(self.conf("kappa-check", &[], &[])?, Kind::Producer, "kappa-check").map(drop)
    }

    /// The configuration of a client: defaults and `suggested`, then the user's properties, then `owned`.
    pub(super) fn conf(
        &self,
        client_id: &str,
        suggested: &[(&str, &str)],
        owned: &[(&str, &str)],
    ) -> Result<Conf, LogError> {
        let mut conf = Conf::new().ok_or_else(|| refuse("brokers", "no memory for a configuration"))?;
        let user = self.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let ours = [("bootstrap.servers", self.brokers.as_str()), ("client.id", client_id)];
        let all = DEFAULTS.iter().chain(suggested).copied().chain(user).chain(ours).chain(owned.iter().copied());
        for (name, value) in all {
            conf.set(name, value).map_err(|reason| refuse(name, without_value(&reason, name, value)))?;
        }
        Ok(conf)
    }

    /// Makes the client, and what it tells from threads of its own.
    pub(super) fn build(
        &self,
        conf: Conf,
        kind: Kind,
        client_id: &str,
    ) -> Result<(Arc<Client>, Arc<ClientHooks>), LogError> {
        let hooks = Arc::new(ClientHooks::new(client_id));
        conf.build(kind, hooks.clone())
            .map(|client| (client, hooks))
            .map_err(|reason| refuse("properties", format!("librdkafka refuses them together: {reason}")))
    }
}

fn refuse(property: &str, reason: impl Into<String>) -> LogError {
    LogError::Setting { property: property.into(), reason: reason.into() }
}

/// librdkafka quotes the value it refuses.
fn without_value(reason: &str, name: &str, value: &str) -> String {
    if is_secret(name) && !value.is_empty() { reason.replace(value, "***") } else { reason.into() }
}

/// Whether a property may hold a secret. The list of what is shown would be safer, and useless: it is long.
fn is_secret(property: &str) -> bool {
    const PARTS: [&str; 7] = ["password", "secret", "jaas", "oauthbearer", ".pem", "key", "sasl.username"];
    PARTS.iter().any(|part| property.contains(part))
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): (&String, &String)| {
            (name.clone(), if is_secret(name) { "***".to_owned() } else { value.clone() })
        };
        let properties: BTreeMap<String, String> = self.properties.iter().map(shown).collect();
        f.debug_struct("KafkaSettings").field("brokers", &self.brokers).field("properties", &properties).finish()
    }
}

/// For every client, unless the user says otherwise.
const DEFAULTS: &[(&str, &str)] = &[
    ("enable.metrics.push", "false"),
    ("log.connection.close", "false"),
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"),
    // As Java's client: a broker that is back is found within a second.
    ("reconnect.backoff.max.ms", "1000"),
    // Half of it passes between a client's first two connections, which every start of a client waits for.
    ("reconnect.backoff.ms", "20"),
    ("topic.metadata.refresh.fast.interval.ms", "50"),
];

const BY_OPTIONS: &str = "kappa sets it for each client it makes; use the option of the application instead";
const READER: &str = "kappa keeps offsets itself, together with results and state; there is nothing to set";
const EXACTLY_ONCE: &str = "exactly-once results depend on it; kappa sets it";

/// Properties that can't be set, and why.
const PROTECTED: &[(&str, &str)] = &[
    ("bootstrap.servers", "set KAPPA_BROKERS (or KafkaSettings::brokers) instead"),
    ("metadata.broker.list", "set KAPPA_BROKERS (or KafkaSettings::brokers) instead"),
    ("client.id", "kappa names each client after the application, instance and thread"),
    ("group.id", "it is the application id; name the application and its version instead"),
    ("group.instance.id", "set KAPPA_INSTANCE_ID instead"),
    ("group.protocol", "tasks are shared out by the classic protocol; the others are not supported"),
    ("group.remote.assignor", "tasks are shared out by the classic protocol; the others are not supported"),
    ("partition.assignment.strategy", "tasks are shared out by cooperative-sticky; there is nothing to set"),
    ("session.timeout.ms", BY_OPTIONS),
    ("heartbeat.interval.ms", BY_OPTIONS),
    ("max.poll.interval.ms", "it follows from the session time-out; set that instead"),
    ("enable.auto.commit", READER),
    ("auto.commit.enable", READER),
    ("auto.commit.interval.ms", READER),
    ("enable.auto.offset.store", READER),
    ("offset.store.method", READER),
    ("auto.offset.reset", "a silent reset loses records; say in the topology where a topic is read from"),
    ("enable.partition.eof", READER),
    ("isolation.level", "kappa chooses it for each reader; see the application's processing guarantee"),
    ("allow.auto.create.topics", "a mistyped name would make a topic; create topics before they are used"),
    ("topic.metadata.propagation.max.ms", "a missing topic is reported within 10 s; there is nothing to set"),
    ("queued.max.messages.kbytes", "set the bytes fetched ahead as an option of the application instead"),
    ("transactional.id", "it follows from the application id and the instance; there is nothing to set"),
    ("transaction.timeout.ms", BY_OPTIONS),
    ("enable.idempotence", EXACTLY_ONCE),
    ("enable.gapless.guarantee", EXACTLY_ONCE),
    ("acks", EXACTLY_ONCE),
    ("request.required.acks", EXACTLY_ONCE),
    ("message.send.max.retries", EXACTLY_ONCE),
    ("retries", EXACTLY_ONCE),
    ("max.in.flight", EXACTLY_ONCE),
    ("max.in.flight.requests.per.connection", EXACTLY_ONCE),
    ("message.timeout.ms", "it follows from the transaction time-out; set that instead"),
    ("delivery.timeout.ms", "it follows from the transaction time-out; set that instead"),
    ("delivery.report.only.error", EXACTLY_ONCE),
    ("linger.ms", BY_OPTIONS),
    ("queue.buffering.max.ms", BY_OPTIONS),
    ("queue.buffering.max.kbytes", "set the bytes that wait to be sent as an option of the application instead"),
    ("queue.buffering.max.messages", "set the bytes that wait to be sent as an option of the application instead"),
    ("partitioner", "kappa computes partitions itself (murmur2, as Kafka's Java client)"),
    ("plugin.library.paths", "plugins run inside the exactly-once path; they are not supported"),
    ("api.version.request", "needed for transactions; kappa leaves it on"),
    ("broker.version.fallback", "needed for transactions; kappa asks the broker"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(settings: KafkaSettings) -> String {
        match settings.check() {
            Err(LogError::Setting { property, reason }) => format!("{property}: {reason}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn owned_unknown_and_impossible_properties_are_refused_by_name() {
        let settings = KafkaSettings::new("localhost:1");
        for (name, _) in PROTECTED {
            assert!(refused(settings.clone().with(*name, "1")).starts_with(&format!("{name}: ")));
        }
        assert!(refused(settings.clone().with("fetch.maxx.bytes", "1")).starts_with("fetch.maxx.bytes: "));
        assert!(refused(settings.clone().with("fetch.max.bytes", "many")).starts_with("fetch.max.bytes: "));
        assert!(
            refused(settings.with("security.protocol", "SSL").with("ssl.ca.location", "/no/such/file.pem"))
                .contains("ssl.ca.location")
        );
        assert!(refused(KafkaSettings::new(" ")).starts_with("brokers: "));
    }

    #[test]
    fn security_passes_and_secrets_are_not_shown() {
        let settings = KafkaSettings::new("localhost:1")
            .with("security.protocol", "SASL_PLAINTEXT")
            .with("sasl.mechanism", "PLAIN")
            .with("sasl.username", "alice")
            .with("sasl.password", "open sesame");
        assert_eq!(settings.check(), Ok(()));
        let shown = format!("{settings:?}");
        assert!(shown.contains("SASL_PLAINTEXT") && !shown.contains("open sesame") && !shown.contains("alice"));
    }
}
