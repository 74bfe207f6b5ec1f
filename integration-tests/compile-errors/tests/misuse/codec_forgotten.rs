use kappa_core::codec::utf8;
use kappa_core::topology::Topology;

fn main() {
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8()).group_by_key().aggregate("n", || 0_i64, |_, _, n| n + 1).to("out");
}
