//! Wrappers of a topology's operators.

use super::TopologyBuilder;
use super::graph::{Kind, NodeId};
use crate::processor::{ProcessorWrapper, Wrap, WrappedOperator};
use std::sync::Arc;

impl TopologyBuilder {
    /// Has `wrapper` wrap every operator of the topology, wherever it is called: see [`ProcessorWrapper`]. A topology has one
    /// wrapper; the last one counts. Without one there is no cost.
    ///
    /// ```
    /// use kappa_core::{codec::utf8, log::Headers, testing::TestDriver, topology::Topology};
    /// use kappa_core::processor::{AroundSupplier, ProcessorWrapper, WrappedOperator, WrappedRecord, WrapperContext};
    /// use std::sync::Arc;
    ///
    /// /// Marks what is written with the operator that wrote it.
    /// struct Stamp;
    ///
    /// impl ProcessorWrapper for Stamp {
    ///     fn wrap(&self, operator: &mut WrappedOperator<'_>) -> Option<AroundSupplier> {
    ///         if !operator.is_sink() {
    ///             return None;
    ///         }
    ///         Some(Arc::new(|| {
    ///             Box::new(|record: &WrappedRecord<'_>, cx: &mut WrapperContext<'_, '_>| {
    ///                 let headers = record.headers.with("written-by", Some(cx.operator().as_bytes()));
    ///                 cx.pass_on_with(record.timestamp_ms, &headers)
    ///             })
    ///         }))
    ///     }
    /// }
    ///
    /// let mut app = Topology::builder();
    /// app.wrap_processors(Stamp);
    /// app.stream("in", utf8(), utf8()).to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("in", utf8(), utf8()).pipe("key", "value", 10)?;
    /// let out = driver.take_written();
    /// assert_eq!(out[0].headers.last("written-by").and_then(|header| header.value.as_deref()), Some(&b"out.sink"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wrap_processors(&mut self, wrapper: impl ProcessorWrapper) {
        self.graph.borrow_mut().wrapper = Some(Arc::new(wrapper));
    }

    /// Asks the wrapper about each operator. Sources are none: they have nothing before them.
    pub(super) fn wrap(&self) {
        let Some(wrapper) = self.graph.borrow().wrapper.clone() else { return };
        let operators: Vec<(NodeId, String, bool)> = (self.graph.borrow().nodes.iter().enumerate())
            .filter(|(_, node)| !matches!(node.kind, Kind::Source { .. }))
            .map(|(id, node)| (id, node.name.clone(), matches!(node.kind, Kind::Sink { .. })))
            .collect();
        for (node, name, is_sink) in operators {
            let mut operator = WrappedOperator { graph: &self.graph, name, is_sink, stores: Vec::new() };
            let Some(supplier) = wrapper.wrap(&mut operator) else { continue };
            let stores = operator.stores;
            let mut graph = self.graph.borrow_mut();
            graph.connect(node, &stores);
            graph.wraps.push(Wrap { node, supplier, stores });
        }
    }
}
