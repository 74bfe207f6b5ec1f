//! Whether an application has committed all of its input, and all that it sent to itself because of it.

use crate::cluster::{Cluster, ClusterError, Commits, Extent};

/// Watches one application of kappa's.
#[derive(Debug)]
pub struct Drain<'c> {
    cluster: &'c Cluster,
    commits: Commits,
    application_id: String,
    inputs: Vec<(String, Vec<Extent>)>,
}

impl<'c> Drain<'c> {
    /// Of this application, up to the present ends of its input topics.
    pub fn new(cluster: &'c Cluster, application_id: &str, inputs: &[String]) -> Result<Self, ClusterError> {
        let extents = |topic: &String| Ok((topic.clone(), cluster.extents(topic)?));
        Ok(Self {
            cluster,
            commits: Commits::of(cluster.brokers(), application_id)?,
            application_id: application_id.to_owned(),
            inputs: inputs.iter().map(extents).collect::<Result<_, ClusterError>>()?,
        })
    }

    /// The records of the input.
    pub fn input_records(&self) -> u64 {
        let extents = self.inputs.iter().flat_map(|(_, extents)| extents);
        extents.map(|extent| (extent.end - extent.start) as u64).sum()
    }

    /// Whether all of it is committed.
    ///
    /// The repartition topics' commits are looked at after the input's, and all their ends after all their commits: what was
    /// sent because of what is committed is then below these ends, also where one such topic leads to another. Ends are
    /// reached exactly, since commits pass the transaction markers.
    pub fn is_drained(&self) -> Result<bool, ClusterError> {
        for (topic, extents) in &self.inputs {
            if !self.is_reached(topic, extents)? {
                return Ok(false);
            }
        }
        let prefix = format!("{}-", self.application_id);
        let repartitions = self.cluster.topics(|name| name.starts_with(&prefix) && name.ends_with("-repartition"))?;
        let commits = repartitions
            .iter()
            .map(|topic| self.commits.read(topic, self.cluster.extents(topic)?.len()))
            .collect::<Result<Vec<_>, _>>()?;
        for (topic, commits) in repartitions.iter().zip(&commits) {
            if !reached(commits, &self.cluster.extents(topic)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_reached(&self, topic: &str, extents: &[Extent]) -> Result<bool, ClusterError> {
        Ok(reached(&self.commits.read(topic, extents.len())?, extents))
    }
}

fn reached(commits: &[Option<i64>], extents: &[Extent]) -> bool {
    commits.iter().zip(extents).all(|(commit, extent)| commit.unwrap_or(extent.start) >= extent.end)
}
