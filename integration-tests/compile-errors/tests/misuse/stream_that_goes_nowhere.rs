#![deny(unused_must_use)]
use kappa_core::codec::utf8;
use kappa_core::topology::Topology;

fn main() {
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8()).filter(|_, _| true);
    app.stream("in", utf8(), utf8()).group_by_key();
    app.stream("in", utf8(), utf8()).group_by_key().count("n");
}
