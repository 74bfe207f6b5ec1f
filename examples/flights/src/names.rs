//! The names of the demo's topics and app.

/// What this run of the demo calls things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The app.
    pub app: String,
    /// The topic of flights.
    pub flights: String,
    /// The topic of airports.
    pub airports: String,
    /// The registry's topic.
    pub registry: String,
}

impl Names {
    /// The names as anyone would choose them.
    pub fn plain() -> Self {
        Self {
            app: "flights".into(),
            flights: "flights".into(),
            airports: "airports".into(),
            registry: kappa_core::registry::DEFAULT_REGISTRY.into(),
        }
    }

    /// Names that begin with `run`, for a cluster that others use as well.
    pub fn of_run(run: Option<&str>) -> Self {
        let plain = Self::plain();
        let Some(run) = run else { return plain };
        let prefixed = |name: String| format!("{run}-{name}");
        Self {
            app: prefixed(plain.app),
            flights: prefixed(plain.flights),
            airports: prefixed(plain.airports),
            registry: prefixed("registry".into()),
        }
    }
}
