//! Settings from the environment.

use super::KafkaSettings;
use crate::log::LogError;

const PREFIX: &str = "KAPPA_KAFKA_";

impl KafkaSettings {
    /// `KAPPA_BROKERS`, and any property of librdkafka as `KAPPA_KAFKA_` and its name in capitals with `_` for `.`:
    /// `KAPPA_KAFKA_SECURITY_PROTOCOL=SASL_SSL` sets `security.protocol`.
    pub fn from_env() -> Result<Self, LogError> {
        Self::from_vars(std::env::vars())
    }

    fn from_vars(vars: impl Iterator<Item = (String, String)>) -> Result<Self, LogError> {
        let mut settings = Self::default();
        for (name, value) in vars {
            if name == "KAPPA_BROKERS" {
                settings.brokers = value;
            } else if let Some(property) = name.strip_prefix(PREFIX) {
                settings.properties.insert(property.to_ascii_lowercase().replace('_', "."), value);
            }
        }
        if settings.brokers.trim().is_empty() {
            let reason = "is not set; name at least one broker as host:port".to_owned();
            return Err(LogError::Setting { property: "KAPPA_BROKERS".to_owned(), reason });
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_brokers_and_properties() {
        let vars = [("KAPPA_BROKERS", "a:1,b:2"), ("KAPPA_KAFKA_SSL_CA_LOCATION", "/ca.pem"), ("PATH", "/bin")];
        let settings = KafkaSettings::from_vars(vars.map(|(name, value)| (name.into(), value.into())).into_iter());
        let settings = settings.expect("complete");
        assert_eq!(settings.brokers, "a:1,b:2");
        assert_eq!(settings.properties.into_iter().collect::<Vec<_>>(), [("ssl.ca.location".into(), "/ca.pem".into())]);
        assert!(KafkaSettings::from_vars(std::iter::empty()).is_err());
    }
}
